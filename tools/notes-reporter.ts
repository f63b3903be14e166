import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";

/** A case, or a file, and what went wrong in it. */
export interface Note {
  name: string;
  reason: string;
}

/** What vitest's JSON report leaves out: cases that passed only at a later try, and errors outside every case. */
export interface Notes {
  retried: readonly Note[];
  /** `name` is the file in which the error came up, absolute; empty when vitest could not tell. */
  outside: readonly Note[];
}

/** Writes the notes to the file that NOTES_FILE names; the end of `make test` shows them. */
export default class NotesReporter implements Reporter {
  private readonly retried: Note[] = [];

  onTestCaseResult(test: TestCase): void {
    if (!test.diagnostic()?.flaky) return;
    this.retried.push({ name: `${test.module.relativeModuleId} > ${test.fullName}`, reason: test.result().errors?.[0]?.message ?? "" });
  }

  onTestRunEnd(_modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const outside = errors.map((each) => ({ name: String(each.VITEST_TEST_PATH ?? ""), reason: each.stack ?? each.message }));
    const notes: Notes = { retried: this.retried, outside };
    if (process.env.NOTES_FILE) writeFileSync(process.env.NOTES_FILE, JSON.stringify(notes, undefined, 2));
  }
}
