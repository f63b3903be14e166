import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files by name: the end-to-end suites share one running stack and are numbered. */
class ByName extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1));
  }
}

/** Most of their time they wait for a real program: the next interval of Prometheus or Alertmanager, a broker that is away. */
const waiting = [
  ...["cluster", "dead-man", "finance-exact", "finance-restart", "outage", "outage-order", "slack-faults"].map((name) => `test/rules/${name}.real.test.ts`),
  ...["cut-off", "early-clients", "two-brokers"].map((name) => `test/services/crm-events/${name}.real.test.ts`),
  "test/services/crm-api/two-brokers.real.test.ts",
];

export default defineConfig({
  test: {
    sequence: { sequencer: ByName },
    // Of the cases that say they may run side by side: each is one busy process, and machines have two cores.
    maxConcurrency: 2,
    projects: [
      {
        // Needs nothing but node_modules. Once again after a failure: services are driven over sockets and clocks here, on
        // machines that others use too; `make test` lists what needed it.
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/**/*.real.test.ts", "test/e2e/**"], retry: 1, testTimeout: 20_000, hookTimeout: 60_000, maxWorkers: 2 },
      },
      {
        // Starts real programs (Prometheus, Alertmanager, Kafka, PostgreSQL, Chromium); each says why when it skips.
        // Once again after a failure: processes are killed and timed here.
        test: { name: "real", include: ["test/**/*.real.test.ts"], exclude: waiting, retry: 1, testTimeout: 180_000, hookTimeout: 300_000, fileParallelism: false },
      },
      {
        // Real programs too, but side by side; `make test` runs them beside the project above.
        test: { name: "waiting", include: waiting, retry: 1, testTimeout: 180_000, hookTimeout: 300_000, maxWorkers: 2 },
      },
      {
        // Drives a whole running stack on a Docker engine.
        test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], globalSetup: "test/e2e/global-setup.ts", retry: 1, testTimeout: 600_000, hookTimeout: 900_000, fileParallelism: false },
      },
    ],
  },
});
