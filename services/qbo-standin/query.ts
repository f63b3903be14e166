/** The subset of QuickBooks' query language that it documents: AND only, no joins, pages of at most 1000. */
import { QboRefusal } from "./faults.ts";

export interface Query {
  readonly count: boolean;
  readonly entity: string;
  readonly conditions: readonly Condition[];
  readonly order: { readonly field: string; readonly descending: boolean } | undefined;
  /** From 1. */
  readonly start: number;
  readonly max: number;
}

export interface Condition {
  readonly field: string;
  readonly operator: "=" | "<" | ">" | "<=" | ">=" | "LIKE" | "IN";
  readonly values: readonly string[];
}

const maxPage = 1_000;
const token = /\s*('(?:[^'\\]|\\.)*'|<=|>=|[=<>(),*]|[A-Za-z_][\w.]*|\d+(?:\.\d+)?)/gy;

function tokens(text: string): string[] {
  const found: string[] = [];
  token.lastIndex = 0;
  const trimmed = text.trimEnd();
  while (token.lastIndex < trimmed.length) {
    const at = token.lastIndex;
    const match = token.exec(trimmed);
    if (match?.[1] === undefined) throw parseError(trimmed.slice(at, at + 20));
    found.push(match[1]);
  }
  return found;
}

const parseError = (near: string): QboRefusal => new QboRefusal("4000", "Error parsing query", `QueryParserError: Encountered " ${near} "`);

class Reader {
  readonly #tokens: readonly string[];
  #next = 0;

  constructor(list: readonly string[]) {
    this.#tokens = list;
  }

  take(): string {
    const found = this.#tokens[this.#next++];
    if (found === undefined) throw parseError("<EOF>");
    return found;
  }

  /** Takes the word when it comes next, in any case. */
  has(word: string): boolean {
    if (this.#tokens[this.#next]?.toUpperCase() !== word) return false;
    this.#next++;
    return true;
  }

  expect(word: string): void {
    if (!this.has(word)) throw parseError(this.#tokens[this.#next] ?? "<EOF>");
  }

  end(): void {
    const rest = this.#tokens[this.#next];
    if (rest !== undefined) throw parseError(rest);
  }
}

const literal = (text: string): string => (text.startsWith("'") ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text);

function readColumns(reader: Reader): boolean {
  if (reader.has("*")) return false;
  if (reader.has("COUNT")) {
    for (const part of ["(", "*", ")"]) reader.expect(part);
    return true;
  }
  do reader.take();
  while (reader.has(","));
  return false;
}

function readCondition(reader: Reader): Condition {
  const field = reader.take();
  const operator = reader.take().toUpperCase();
  if (operator === "IN") {
    reader.expect("(");
    const values = [literal(reader.take())];
    while (reader.has(",")) values.push(literal(reader.take()));
    reader.expect(")");
    return { field, operator, values };
  }
  if (operator !== "=" && operator !== "<" && operator !== ">" && operator !== "<=" && operator !== ">=" && operator !== "LIKE") throw parseError(operator);
  return { field, operator, values: [literal(reader.take())] };
}

function readNumber(reader: Reader, word: string, fallback: number): number {
  if (!reader.has(word)) return fallback;
  const value = Number(reader.take());
  if (!Number.isInteger(value) || value < 1) throw parseError(word);
  return value;
}

/** @throws QboRefusal 4000 for anything else than the subset */
export function parseQuery(text: string): Query {
  const reader = new Reader(tokens(text));
  reader.expect("SELECT");
  const count = readColumns(reader);
  reader.expect("FROM");
  const entity = reader.take();
  const conditions: Condition[] = [];
  if (reader.has("WHERE")) {
    do conditions.push(readCondition(reader));
    while (reader.has("AND"));
  }
  let order: Query["order"];
  if (reader.has("ORDERBY") || (reader.has("ORDER") && (reader.expect("BY"), true))) {
    const field = reader.take();
    order = { field, descending: reader.has("DESC") || (reader.has("ASC"), false) };
  }
  const start = readNumber(reader, "STARTPOSITION", 1);
  const max = readNumber(reader, "MAXRESULTS", 100);
  if (max > maxPage) throw new QboRefusal("4002", "QueryValidationError", `MAXRESULTS can be at most ${maxPage}`);
  reader.end();
  return { count, entity, conditions, order, start, max };
}

/** What a field of an object is compared by: times as times, the rest as text or number. */
function comparable(value: unknown): number | string {
  if (typeof value === "number") return value;
  const text = String(value ?? "");
  if (/^\d{4}-\d\d-\d\d(T|$)/.test(text)) return Date.parse(text);
  return text;
}

function fieldOf(row: Readonly<Record<string, unknown>>, path: string): unknown {
  let value: unknown = row;
  for (const part of path.split(".")) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  return value;
}

const knownFields = new Set(["Id", "DueDate", "TxnDate", "DocNumber", "PrivateNote", "DisplayName", "Active", "Type", "Name", "Balance", "TotalAmt", "MetaData.CreateTime", "MetaData.LastUpdatedTime"]);

function holds(row: Readonly<Record<string, unknown>>, c: Condition): boolean {
  const actual = comparable(fieldOf(row, c.field));
  const values = c.values.map((v) => (typeof actual === "number" && !/^\d{4}-/.test(v) ? Number(v) : comparable(v)));
  const [first] = values;
  if (first === undefined) return false;
  if (c.operator === "IN") return values.includes(actual);
  if (c.operator === "LIKE") return new RegExp(`^${escaped(String(first)).replaceAll("%", ".*")}$`, "i").test(String(actual));
  if (c.operator === "=") return actual === first;
  if (c.operator === "<") return actual < first;
  if (c.operator === ">") return actual > first;
  return c.operator === "<=" ? actual <= first : actual >= first;
}

/** The rows of a query's page, and how many there are on all pages. */
export function runQuery<T extends object>(query: Query, rows: Iterable<T>): { readonly page: T[]; readonly total: number } {
  const asked = [...query.conditions, ...(query.order === undefined ? [] : [query.order])];
  const unknown = asked.find((part) => !knownFields.has(part.field));
  if (unknown !== undefined) throw new QboRefusal("4001", "Invalid query", `QueryValidationError: Property ${unknown.field} not found`);
  const found = [...rows].filter((row) => query.conditions.every((c) => holds(row as Record<string, unknown>, c)));
  const { order } = query;
  if (order !== undefined) {
    const key = (row: T) => comparable(fieldOf(row as Record<string, unknown>, order.field));
    found.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (order.descending ? -1 : 1));
  }
  return { page: found.slice(query.start - 1, query.start - 1 + query.max), total: found.length };
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
