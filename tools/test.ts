/**
 * `make test`: types, lint, and every suite, with the programs that they need; ends with one line of totals.
 *
 * `--long` repeats what the suites repeat (LONG=1) and adds nothing else; `--only NAME` runs one step.
 */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Note } from "./notes-reporter.ts";
import { results, run, suite, type Totals } from "./test-suite.ts";

/** Lines of a failure's reason that the list near the end shows, frames of packages left out; the whole of it stands where the suite ran. */
const shownLines = 12;
/** Characters of each failure in the very last lines. */
const shownCharacters = 240;

const began = Date.now();
const minutesGone = (): number => (Date.now() - began) / 60_000;

/** A check without cases of its own counts as one. */
const check = (program: string, args: readonly string[]) => (): Totals => {
  const good = run(program, args) === 0;
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0, failures: good ? [] : [{ name: [program, ...args].join(" "), reason: "see above" }] };
};

/** Once more after a failure: a registry that does not answer for a moment is no fault of the project. */
const twice = (step: () => Totals) => (): Totals => {
  const first = step();
  return first.failed > 0 ? step() : first;
};

const steps: Record<string, (held: boolean) => Totals | Promise<Totals>> = {
  types: check("npm", ["run", "--silent", "typecheck"]),
  lint: check("eslint", [".", "--max-warnings", "0"]),
  unit: suite("unit", minutesGone, 70),
  // The programs that the next suites start; building them is a step of its own, so that no suite's time limit counts it.
  programs: twice(check(process.execPath, ["tools/test-programs.ts"])),
  waiting: suite("waiting", minutesGone, 35),
  real: suite("real", minutesGone, 35),
  e2e: suite("e2e", minutesGone),
};

/** Steps that run beside another one, which leaves them most of a processor; what they write is shown when they have ended. */
const beside: Record<string, string> = { real: "waiting" };

const { values } = parseArgs({ options: { long: { type: "boolean" }, only: { type: "string", multiple: true } } });
const unknown = (values.only ?? []).filter((name) => !(name in steps));
if (unknown.length > 0) {
  console.error(`--only ${unknown.join(", ")}: there is no such step; the steps are ${Object.keys(steps).join(", ")}`);
  process.exit(2);
}
if (values.long) process.env.LONG = "1";
mkdirSync(results, { recursive: true });
const sum = { passed: 0, failed: 0, skipped: 0 };
const notes = { failed: [] as string[], "passed at the second try": [] as string[] };
const lines = (step: string, list: readonly Note[]) => list.map(({ name, reason }) => `${step}: ${name}\n${reason}`);
/** Runs a step, tells how it ended, and adds to the sums. */
async function take(name: string, held = false): Promise<void> {
  const start = Date.now();
  console.log(`\n=== ${name}`);
  const totals = await steps[name]!(held);
  for (const key of ["passed", "failed", "skipped"] as const) sum[key] += totals[key];
  notes.failed.push(...lines(name, totals.failures));
  notes["passed at the second try"].push(...lines(name, totals.retried ?? []));
  console.log(`=== ${name}: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped in ${Math.round((Date.now() - start) / 1000)} s`);
}

const chosen = Object.keys(steps).filter((name) => values.only?.includes(name) ?? true);
for (const name of chosen) {
  const other = beside[name];
  if (other !== undefined && chosen.includes(other)) await Promise.all([take(name), take(other, true)]);
  else if (!chosen.some((main) => beside[main] === name)) await take(name);
}
// At the end as well: where only the tail of a long log is kept, the reasons are in it, and a line on each failure is the last of it.
for (const [title, list] of Object.entries(notes)) {
  if (list.length > 0) console.log(`\n=== ${title}`);
  for (const each of list) console.log(each.split("\n").filter((line) => !line.includes("/node_modules/")).slice(0, shownLines).join("\n  "));
}
if (notes.failed.length > 0) console.log("\n=== in short");
for (const each of notes.failed) console.log(`× ${each.split("\n", 2).join(": ").slice(0, shownCharacters)}`);
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 ? 1 : 0;
