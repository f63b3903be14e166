/** The API of one company's data: what a request with a good token gets. */
import { Books, type Change, type EntityName } from "./books.ts";
import { qboTime, type StandinClock } from "./clock.ts";
import { QboRefusal } from "./faults.ts";
import { parseQuery, runQuery } from "./query.ts";

const captureDays = 30;
/** Objects in one answer of change data capture, over all entities. */
const captureLimit = 1_000;
const keptAnswers = 10_000;

export interface Limits {
  readonly perSecond: number;
  readonly perMinute: number;
}

/** Intuit's, for one company. */
export const intuitLimits: Limits = { perSecond: 10, perMinute: 500 };

type Json = Record<string, unknown>;

export class Company {
  readonly books: Books;
  /** Requests that were refused for coming too fast. */
  throttled = 0;
  readonly #clock: StandinClock;
  /** Answers to writes by their requestid. */
  readonly #answers = new Map<string, Json>();
  readonly #about: Json;
  readonly #limits: Limits;
  #starts: number[] = [];

  constructor(realm: string, clock: StandinClock, limits: Limits, changed: (change: Change) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.books = new Books(realm, clock, changed);
    const at = qboTime(clock.now());
    this.#about = { CompanyName: `Company ${realm}`, LegalName: `Company ${realm}`, Country: "US", FiscalYearStartMonth: "January", domain: "QBO", sparse: false, Id: "1", SyncToken: "0", MetaData: { CreateTime: at, LastUpdatedTime: at } };
  }

  /** Counts a request. @returns false when it is one too many for the last second or minute */
  admit(): boolean {
    // Real time: a test's clock must not lift the limit.
    const now = performance.now();
    this.#starts = this.#starts.filter((at) => now - at < 60_000);
    const admitted = this.#starts.length < this.#limits.perMinute && this.#starts.filter((at) => now - at < 1_000).length < this.#limits.perSecond;
    if (admitted) this.#starts.push(now);
    else this.throttled++;
    return admitted;
  }

  query(text: string): Json {
    const query = parseQuery(text);
    const rows = this.books.rows(query.entity);
    if (rows === undefined) throw new QboRefusal("4001", "Invalid query", `QueryValidationError: ${query.entity} is not known`);
    const { page, total } = runQuery(query, rows.values());
    const response = query.count ? { totalCount: total } : page.length === 0 ? {} : { [query.entity]: page, startPosition: query.start, maxResults: page.length };
    return { QueryResponse: response, time: this.#time() };
  }

  /** Changes since a time, the newest first; older ones are missing when there are too many. */
  changesSince(entities: readonly string[], since: number): Json {
    const now = this.#clock.now();
    if (Number.isNaN(since) || since > now || now - since > captureDays * 24 * 60 * 60 * 1000) {
      throw new QboRefusal("2010", "Request has invalid or unsupported property", `changedSince must be a time within the last ${captureDays} days`);
    }
    const changes = entities.flatMap((entity) => this.#changed(entity as EntityName, since));
    changes.sort((a, b) => b.at - a.at);
    const kept = Map.groupBy(changes.slice(0, captureLimit), (c) => c.entity);
    const parts = [...kept].map(([entity, list]) => ({ [entity]: list.map((c) => c.object), startPosition: 1, maxResults: list.length }));
    return { CDCResponse: [{ QueryResponse: parts.length === 0 ? [{}] : parts }], time: this.#time() };
  }

  #changed(entity: EntityName, since: number): { entity: EntityName; at: number; object: unknown }[] {
    const rows = this.books.rows(entity);
    if (rows === undefined) throw new QboRefusal("4001", "Invalid query", `${entity} is not known`);
    const live = [...rows.values()].map((object) => ({ entity, at: Date.parse(object.MetaData.LastUpdatedTime), object: object as unknown }));
    const gone = this.books.graves.filter((g) => g.entity === entity).map((g) => ({ entity, at: g.at, object: { domain: "QBO", status: "Deleted", Id: g.id, MetaData: { LastUpdatedTime: qboTime(g.at) } } as unknown }));
    return [...live, ...gone].filter((c) => c.at >= since);
  }

  read(path: string, id: string): Json {
    const entity = entityOf(path);
    const rows = this.books.rows(entity) ?? new Map();
    return { [entity]: this.books.find(rows, id), time: this.#time() };
  }

  /** @param id the company's own */
  info(id: string): Json {
    if (id !== this.books.realm) throw new QboRefusal("610", "Object Not Found", `Object Not Found : Something you're trying to use has been made inactive. CompanyInfo ${id}`);
    return { CompanyInfo: this.#about, time: this.#time() };
  }

  /** A write; the same requestid again gives the first answer and does nothing. */
  write(path: string, query: Readonly<Record<string, string | undefined>>, body: unknown): Json {
    const { requestid } = query;
    if (requestid !== undefined && requestid.length > 50) throw new QboRefusal("2040", "Invalid requestid", "requestid can have at most 50 characters");
    const known = requestid === undefined ? undefined : this.#answers.get(requestid);
    if (known !== undefined) return known;
    const entity = entityOf(path);
    // A copy: later changes must not alter an answer that was given.
    const answer = structuredClone({ [entity]: this.#change(entity, query, body), time: this.#time() });
    if (requestid !== undefined) {
      this.#answers.set(requestid, answer);
      const [oldest] = this.#answers.keys();
      if (this.#answers.size > keptAnswers && oldest !== undefined) this.#answers.delete(oldest);
    }
    return answer;
  }

  #change(entity: EntityName, query: Readonly<Record<string, string | undefined>>, body: unknown): unknown {
    if (entity === "Customer" && query["operation"] === undefined) return this.books.createCustomer(body);
    if (entity === "Invoice" || entity === "Payment") {
      if (query["operation"] === "delete") return this.books.remove(entity, body);
      if (entity === "Invoice" && query["operation"] === "void") return this.books.voidInvoice(body);
      if (entity === "Payment" && query["operation"] === "update" && query["include"] === "void") return this.books.voidPayment(body);
      if (query["operation"] === undefined) return entity === "Invoice" ? this.books.createInvoice(body) : this.books.createPayment(body);
    }
    throw new QboRefusal("500", "Unsupported Operation", `Operation ${query["operation"] ?? "create"} of ${entity} is not supported`);
  }

  #time(): string {
    return qboTime(this.#clock.now(), true);
  }
}

const entities: Readonly<Record<string, EntityName>> = { customer: "Customer", item: "Item", invoice: "Invoice", payment: "Payment" };

function entityOf(path: string): EntityName {
  const entity = entities[path];
  if (entity === undefined) throw new QboRefusal("500", "Unsupported Operation", `there is no entity ${path}`);
  return entity;
}
