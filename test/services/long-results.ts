/** What the long forms of tests found, kept beside the benchmarks' results. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../bench/results/", import.meta.url));

/** Whether tests that repeat something do it at length. */
export const long = process.env["LONG"] === "1";

/**
 * Keeps the figures of one case in `bench/results/<name>.json`, in the place of those of an earlier run; the short forms
 * keep nothing.
 */
export function keepResult(name: string, what: string, figures: Readonly<Record<string, number | string>>): void {
  if (!long) return;
  const path = `${folder}${name}.json`;
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>) : {};
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `${JSON.stringify({ ...before, [what]: { at: new Date().toISOString().slice(0, 10), ...figures } }, null, 2)}\n`);
}
