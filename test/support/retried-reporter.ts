import { writeFileSync } from "node:fs";
import type { Reporter, TestCase } from "vitest/node";

/** A case that passed only at a later try, and what its first try said. */
export interface Retried {
  name: string;
  reason: string;
}

/** Writes the cases that passed only at a later try to the file that RETRIED_FILE names; the end of `make test` lists them. */
export default class RetriedReporter implements Reporter {
  private readonly retried: Retried[] = [];

  onTestCaseResult(test: TestCase): void {
    if (!test.diagnostic()?.flaky) return;
    this.retried.push({ name: `${test.module.relativeModuleId} > ${test.fullName}`, reason: test.result().errors?.[0]?.message ?? "" });
  }

  onTestRunEnd(): void {
    if (process.env.RETRIED_FILE) writeFileSync(process.env.RETRIED_FILE, JSON.stringify(this.retried, undefined, 2));
  }
}
