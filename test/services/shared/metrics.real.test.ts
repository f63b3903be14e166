/** What the services show to Prometheus keeps to its rules for names, by promtool. */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { crmApi, crmEvents, rag, type MetricSpec } from "../../../rules/metrics.ts";
import { counter, createRegistry, gauge, histogram } from "../../../services/shared/metrics.ts";
import { findPromtool } from "../../rules/support/promtool.ts";

const promtool = await findPromtool();

it.skipIf("missing" in promtool)("every metric of the services, and the process's own", async () => {
  const registry = createRegistry();
  for (const spec of Object.values<MetricSpec>({ ...crmApi, ...crmEvents, ...rag })) {
    if (spec.type === "histogram") histogram(registry, spec, [1]);
    else (spec.type === "counter" ? counter : gauge)(registry, spec);
  }
  const text = await registry.metrics();
  expect(text).toContain("process_cpu_seconds_total");
  const { status, stdout, stderr } = spawnSync("program" in promtool ? promtool.program : "", ["check", "metrics"], { input: text, encoding: "utf8" });
  expect([status, stdout, stderr]).toEqual([0, "", ""]);
});
