/**
 * `make test`: types, lint, and every suite, with the programs that they need; ends with one line of totals.
 *
 * `--long` repeats what the suites repeat (LONG=1) and adds nothing else; `--only NAME` runs one step.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import type { Retried } from "../test/support/retried-reporter.ts";
import { root } from "./service-sources.ts";

/** Counts of one step; what failed in it, and what passed only at a second try, each with its reason. */
interface Totals {
  passed: number;
  failed: number;
  skipped: number;
  failures: readonly string[];
  retried?: readonly string[];
}

/** What is read of vitest's JSON report. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: readonly {
    name: string;
    status: string;
    message?: string;
    assertionResults: readonly { fullName: string; status: string; failureMessages?: readonly string[] | null }[];
  }[];
}

/** Lines of a failure's reason that the list at the end shows; the whole of it stands where the suite ran. */
const shownLines = 12;

const results = join(root, "test-results");

/** Runs a program in the foreground and gives its exit code. */
const run = (program: string, args: readonly string[], env = process.env): number => spawnSync(program, args, { cwd: root, stdio: "inherit", env }).status ?? 1;

/** A check without cases of its own counts as one. */
const check = (program: string, args: readonly string[]) => (): Totals => {
  const good = run(program, args) === 0;
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0, failures: good ? [] : [[program, ...args].join(" ")] };
};

/** The failed cases of a report, and the files that could not be run at all. */
const failuresOf = (report: Report): string[] =>
  report.testResults.flatMap((file) => {
    const failed = file.assertionResults.filter((each) => each.status === "failed");
    const path = relative(root, file.name);
    if (failed.length === 0) return file.status === "failed" ? [`${path}\n${file.message ?? ""}`] : [];
    return failed.map((each) => `${path} > ${each.fullName}\n${(each.failureMessages ?? []).join("\n")}`);
  });

/** A vitest project; a suite that could not be run at all counts as a failure. */
const suite = (project: string) => (): Totals => {
  const file = join(results, `${project}.json`);
  rmSync(file, { force: true });
  const retriedFile = join(results, `${project}-retried.json`);
  rmSync(retriedFile, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", "--reporter=./test/support/retried-reporter.ts"];
  const code = run("vitest", ["run", "--project", project, ...reporters, `--outputFile.json=${file}`], { ...process.env, RETRIED_FILE: retriedFile });
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0, failures: ["no report was written"] };
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  const failures = failuresOf(report);
  const retried = existsSync(retriedFile) ? (JSON.parse(readFileSync(retriedFile, "utf8")) as Retried[]).map((each) => `${each.name}\n${each.reason}`) : [];
  const totals = { passed: report.numPassedTests, failed: report.numFailedTests, skipped: report.numPendingTests + report.numTodoTests, failures, retried };
  // An error outside every case, as a rejection that nobody awaited, fails the run without failing a case.
  return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1, failures: failures.length > 0 ? failures : [`vitest ended with ${code}, and no case failed`] } : totals;
};

const steps: Record<string, () => Totals> = {
  types: check("npm", ["run", "--silent", "typecheck"]),
  lint: check("eslint", [".", "--max-warnings", "0"]),
  unit: suite("unit"),
  // The programs that the next suites start; building them is a step of its own, so that no suite's time limit counts it.
  programs: check(process.execPath, ["tools/test-programs.ts"]),
  real: suite("real"),
  e2e: suite("e2e"),
};

const { values } = parseArgs({ options: { long: { type: "boolean" }, only: { type: "string", multiple: true } } });
if (values.long) process.env.LONG = "1";
mkdirSync(results, { recursive: true });
const sum = { passed: 0, failed: 0, skipped: 0 };
const notes = { failed: [] as string[], "passed at the second try": [] as string[] };
for (const [name, step] of Object.entries(steps)) {
  if (values.only && !values.only.includes(name)) continue;
  const start = Date.now();
  console.log(`\n=== ${name}`);
  const totals = step();
  for (const key of ["passed", "failed", "skipped"] as const) sum[key] += totals[key];
  notes.failed.push(...totals.failures.map((each) => `${name}: ${each}`));
  notes["passed at the second try"].push(...(totals.retried ?? []).map((each) => `${name}: ${each}`));
  console.log(`=== ${name}: ${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped in ${Math.round((Date.now() - start) / 1000)} s`);
}
// At the end as well: where only the tail of a long log is kept, the reasons are in it.
for (const [title, list] of Object.entries(notes)) {
  if (list.length > 0) console.log(`\n=== ${title}`);
  for (const each of list) console.log(each.split("\n").slice(0, shownLines).join("\n  "));
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 ? 1 : 0;
