/**
 * `npm run alerts -- COMMAND [--stack NAME]`
 *
 * - `list`: every alert with its channel and its worst-case delay
 * - `latency`: the parts of each worst-case delay
 * - `explain ALERT…`: what people are told when these alerts fire together. An alert is a name, or
 *   `alertname=NAME,tenant=x,…` where labels matter.
 * - `contacts`: whom to call, from the stack's setting `onCall`
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readStack } from "../components/settings/read.ts";
import type { Settings } from "../components/settings/schema.ts";
import { fileSource } from "../components/settings/stack-files.ts";
import { explain, listAlerts, listContacts, listLatencies, parseAlert } from "./explain.ts";

const usage = "usage: npm run alerts -- list | latency | explain ALERT… | contacts [--stack NAME]";

function run(command: string | undefined, names: readonly string[], s: Settings): string {
  if (command === "list") return listAlerts(s);
  if (command === "latency") return listLatencies(s);
  if (command === "contacts") return listContacts(s);
  if (command !== "explain" || names.length === 0) throw new Error(usage);
  return explain(s, names.map((text) => parseAlert(s, text)));
}

try {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { stack: { type: "string", default: "dev" } } });
  const [command, ...names] = positionals;
  console.log(run(command, names, readStack(fileSource(root, values.stack)).settings));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
