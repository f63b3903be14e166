/**
 * One vitest project as a step of `make test`. Files in which something failed are run once more by themselves, after the
 * others: what failed for want of a processor, or because a case before it had failed, passes then, and is listed as such;
 * what is broken fails again and counts.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import type { Note, Notes } from "./notes-reporter.ts";
import { root } from "./service-sources.ts";

/** Counts of one step; what failed in it, and what passed only at a second try. */
export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
  failures: readonly Note[];
  retried?: readonly Note[];
}

/** What is read of vitest's JSON report. */
interface Report {
  testResults: readonly {
    name: string;
    status: string;
    message?: string;
    /** Milliseconds. */
    startTime: number;
    endTime: number;
    assertionResults: readonly { fullName: string; status: string; failureMessages?: readonly string[] | null }[];
  }[];
}

type FileResult = Report["testResults"][number];

/** Minutes that these files took, or the whole run. */
const minutesOf = (run: Run, names?: readonly string[]): number =>
  (names?.map((name) => run.files.get(name)).reduce((sum, file) => sum + (file ? file.endTime - file.startTime : 0), 0) ?? run.tookMs) / 60_000;

/** What one run of vitest said, by file; `whole` is a failure that belongs to no file. */
interface Run {
  files: Map<string, FileResult>;
  outside: readonly Note[];
  retried: readonly Note[];
  whole?: Note;
  tookMs: number;
}

/** Everything must be over by this minute: a machine that runs all this by itself may stop it after 90. */
const overAfterMinutes = 87;

export const results = join(root, "test-results");

/** Runs a program in the foreground and gives its exit code. */
export const run = (program: string, args: readonly string[], env = process.env): number => spawnSync(program, args, { cwd: root, stdio: "inherit", env }).status ?? 1;

/** Reads a report that vitest may not have come to write. */
const read = <Content>(file: string): Content | undefined => (existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Content) : undefined);

/**
 * Runs the project, or only these files of it.
 * @param held its output is shown when it has ended: another step writes meanwhile
 */
const vitest = async (project: string, held: boolean, files: readonly string[] = []): Promise<Run> => {
  const reportFile = join(results, `${project}.json`);
  const notesFile = join(results, `${project}-notes.json`);
  for (const file of [reportFile, notesFile]) rmSync(file, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", "--reporter=./tools/notes-reporter.ts"];
  const began = Date.now();
  const log = join(results, `${project}.log`);
  const output = held ? openSync(log, "w") : "inherit";
  const child = spawn("vitest", ["run", "--project", project, ...reporters, `--outputFile.json=${reportFile}`, ...files], { cwd: root, stdio: ["inherit", output, output], env: { ...process.env, NOTES_FILE: notesFile } });
  // Where it cannot even be started, that is how it ended.
  const [code] = (await once(child, "close").catch((error: unknown) => [String(error)])) as [number | string | null];
  if (typeof output === "number") {
    closeSync(output);
    console.log(readFileSync(log, "utf8"));
  }
  const report = read<Report>(reportFile);
  const { retried, outside } = read<Notes>(notesFile) ?? { retried: [], outside: [] };
  const byFile = new Map((report?.testResults ?? []).map((file) => [file.name, file]));
  const told = outside.length > 0 || [...byFile.values()].some((file) => file.status === "failed");
  const whole = report === undefined ? `vitest ended with ${code}, and no report was written` : code !== 0 && !told ? `vitest ended with ${code}, and no case failed` : undefined;
  return { files: byFile, outside, retried, whole: whole === undefined ? undefined : { name: "vitest", reason: whole }, tookMs: Date.now() - began };
};

/** What failed in a run: cases, files that could not be run at all, and errors outside every case. */
const failuresOf = (run: Run): Note[] => [
  ...[...run.files.values()].flatMap((file) => {
    const failed = file.assertionResults.filter((each) => each.status === "failed");
    const path = relative(root, file.name);
    if (failed.length === 0) return file.status === "failed" ? [{ name: path, reason: file.message ?? "" }] : [];
    return failed.map((each) => ({ name: `${path} > ${each.fullName}`, reason: (each.failureMessages ?? []).join("\n") }));
  }),
  ...run.outside.map((each) => ({ name: `${relative(root, each.name)}, outside every case`, reason: each.reason })),
  ...(run.whole ? [run.whole] : []),
];

/** The files to run once more; undefined stands for all, where a failure belongs to none. */
const suspects = (run: Run): string[] | undefined => {
  if (run.whole || run.outside.some((each) => each.name === "")) return undefined;
  const failed = [...run.files.values()].filter((file) => file.status === "failed").map((file) => file.name);
  return [...new Set([...failed, ...run.outside.map((each) => each.name)])].sort();
};

/** Counts the cases of a run by how they ended. */
const totalsOf = (run: Run, retried: readonly Note[]): Totals => {
  const cases = [...run.files.values()].flatMap((file) => file.assertionResults);
  const passed = cases.filter((each) => each.status === "passed").length;
  const failures = failuresOf(run);
  const failed = failures.length;
  return { passed, failed, skipped: cases.filter((each) => each.status !== "passed" && each.status !== "failed").length, failures, retried };
};

/**
 * A vitest project as a step.
 *
 * @param project Its name in vitest.config.ts.
 * @param minutesGone Since the run of all steps began.
 * @param minutesAfter What the steps behind it take: nothing is run once more at their cost.
 * @returns The step; its argument says whether its output is held back until it has ended.
 */
export const suite = (project: string, minutesGone: () => number, minutesAfter = 0) => async (held: boolean): Promise<Totals> => {
  const first = await vitest(project, held);
  const failures = failuresOf(first);
  const files = suspects(first);
  if (failures.length === 0 || minutesGone() + minutesOf(first, files) + minutesAfter > overAfterMinutes) return totalsOf(first, first.retried);
  console.log(`\n=== ${project}: once more ${files?.map((file) => relative(root, file)).join(", ") ?? "as a whole"}`);
  const second = await vitest(project, held, files);
  const merged: Run = { ...second, files: new Map([...first.files, ...second.files]) };
  const still = new Set(failuresOf(merged).map((each) => each.name));
  const passedThen = failures.filter((each) => !still.has(each.name));
  return totalsOf(merged, [...first.retried, ...second.retried, ...passedThen]);
};
