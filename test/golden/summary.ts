/** A stack's resources as a text that people compare: every input, without the contents that have tests of their own. */
import type { Recorded } from "../../render/record.ts";

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Columns up to which a value stays on one line. */
const width = 150;

/** Kinds whose `data` are files. */
const fileKinds = ["ConfigMap"];

/** Contents, and the hashes that follow from contents and sources, give way to what they are of. */
function withoutContents(value: unknown, key: string, owner: Fields): unknown {
  if (Array.isArray(value)) return value.map((v) => withoutContents(v, key, {}));
  if (isFields(value)) {
    if (typeof value.file === "string" && "content" in value) return `${value.file} ${String(value.permissions)}`;
    const files = key === "data" && fileKinds.includes(String(owner.kind));
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, files ? "<content>" : withoutContents(v, k, value)]));
  }
  if (typeof value !== "string") return value;
  if (key === "checksum/config") return "<revision>";
  if (key === "configJson") return "<content>";
  const text = value.replace(/((?:^|\/)crm-observability\/[a-z-]+):[0-9a-f]{12}$/, "$1:<sources>").replace(/\brev-[0-9a-f]{12}\b/g, "rev-<revision>");
  // A script is a program, and has tests that run it.
  return text.includes("\n") ? `<script that begins with ${text.split("\n")[0]}>` : text;
}

/** A plain word as it is, everything else quoted. */
const scalar = (value: unknown): string => (typeof value === "string" && /^[A-Za-z/_.][\w./-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value) ? value : JSON.stringify(value));
const sortedKeys = (value: Fields) => Object.keys(value).sort();

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (!isFields(value)) return scalar(value);
  const fields = sortedKeys(value).map((key) => `${scalar(key)}: ${inline(value[key])}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** YAML with each value on one line where it fits; keys by name, so that only what has changed differs. */
function lines(value: unknown, indent: string): string[] {
  const entry = (label: string, v: unknown): string[] => {
    const flat = `${indent}${label} ${inline(v)}`;
    return flat.length <= width || !(Array.isArray(v) || isFields(v)) ? [flat] : [`${indent}${label}`, ...lines(v, `${indent}  `)];
  };
  if (!Array.isArray(value)) return sortedKeys(value as Fields).flatMap((key) => entry(`${scalar(key)}:`, (value as Fields)[key]));
  return value.flatMap((v) => {
    const [first = "", ...others] = entry("-", v);
    // The first key of an object stands behind the dash.
    return first.endsWith("-") && others.length > 0 ? [`${first} ${others[0]!.trimStart()}`, ...others.slice(1)] : [first, ...others];
  });
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** What all have alike, however deep; undefined for nothing. */
function alikeIn(all: readonly Fields[]): Fields | undefined {
  const [first = {}, ...others] = all;
  const entries = Object.keys(first).flatMap((key): [string, unknown][] => {
    if (others.every((o) => key in o && same(o[key], first[key]))) return [[key, first[key]]];
    if (!all.every((o) => isFields(o[key]))) return [];
    const inside = alikeIn(all.map((o) => o[key] as Fields));
    return inside === undefined ? [] : [[key, inside]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** A value without what is said of all. */
function without(value: Fields, alike: Fields): Fields {
  const entries = Object.entries(value).flatMap(([key, v]): [string, unknown][] => {
    if (!(key in alike)) return [[key, v]];
    if (same(v, alike[key])) return [];
    return [[key, without(v as Fields, alike[key] as Fields)]];
  });
  return Object.fromEntries(entries);
}

/** One-shots have little in common with the programs that they load for. */
const groupOf = ({ type, name }: Recorded) => (name.endsWith("-loader") ? `${type}, loaders` : type);

/**
 * Every resource by type and name with its inputs; what all of a type have alike is said once, under `(all)`.
 * @param resources as they are rendered
 */
export function summaryOf(resources: readonly Recorded[]): string {
  const sections = [...new Set(resources.map(groupOf))].sort().map((group) => {
    const some = resources.filter((r) => groupOf(r) === group).map((r) => [r.name, withoutContents(r.inputs, "", {}) as Fields] as const);
    if (some.every(([, inputs]) => Object.keys(inputs).length === 0)) return `${scalar(group)}: ${inline(some.map(([name]) => name))}\n`;
    const alike = (some.length > 1 && alikeIn(some.map(([, inputs]) => inputs))) || {};
    const each = Object.fromEntries(some.map(([name, inputs]) => [name, without(inputs, alike)]));
    return `${scalar(group)}:\n${lines({ ...(Object.keys(alike).length > 0 && { "(all)": alike }), ...each }, "  ").join("\n")}\n`;
  });
  return sections.join("");
}
