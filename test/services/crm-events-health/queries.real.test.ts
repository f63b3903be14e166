/** What the probe asks, under Prometheus' own engine. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { afterAll, describe, expect, test } from "vitest";
import { readHealthEnv } from "../../../services/crm-events-health/env.ts";
import { createLog } from "../../../services/crm-events-health/log.ts";
import { ProbeMetrics } from "../../../services/crm-events-health/metrics.ts";
import { Poller } from "../../../services/crm-events-health/poller.ts";
import { findPromtool } from "../../rules/support/promtool.ts";
import { FakePrometheus, values as answering } from "./fake-prometheus.ts";

const promtool = await findPromtool();
const folder = mkdtempSync(join(tmpdir(), "probe-queries-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Of one poll: for the present and for the past of the skew. */
async function asked(): Promise<[now: string, past: string]> {
  const prometheus = new FakePrometheus(answering("1", "2"));
  const env = readHealthEnv({ PROM_URL: await prometheus.listen() });
  const poller = new Poller(env, createLog("crm-events-health", "silent"), new ProbeMetrics());
  await poller.poll();
  await poller.close();
  await prometheus.close();
  const of = (endpoint: string) => new URL(prometheus.queries.find((query) => query.startsWith(`/api/v1/${endpoint}?`) && query.includes("skew"))!, "http://prometheus").searchParams.get("query")!;
  return [of("query"), of("query_range")];
}

describe.skipIf("missing" in promtool)("the probe's queries", () => {
  test("give the newest sample of the group, and none that is too old", async () => {
    const [now, past] = await asked();
    const series = (group: string) => `kafka:group_skew_ratio{consumergroup="${group}", topic="aetherlink.events"}`;
    const is = (expr: string, eval_time: string, ...values: number[]) => ({ expr, eval_time, exp_samples: values.map((value) => ({ labels: series("crm-events-sse"), value })) });
    const path = join(folder, "queries.yml");
    writeFileSync(
      path,
      stringify({
        evaluation_interval: "30s",
        tests: [
          {
            interval: "30s",
            // The last sample at 10 min, as when Prometheus was stopped, and one more at 13 min.
            input_series: [{ series: series("crm-events-sse"), values: "1.5x20 _x5 3" }, { series: series("other"), values: "7x40" }],
            promql_expr_test: [is(now, "10m", 1.5), is(now, "11m29s", 1.5), is(now, "11m30s"), is(now, "12m59s"), is(now, "13m", 3), is(past, "10m44s", 1.5), is(past, "10m45s"), is(past, "13m29s", 3)],
          },
        ],
      }),
    );
    const output = await new Promise<string>((resolve) => {
      execFile("program" in promtool ? promtool.program : "", ["test", "rules", path], (error, stdout, stderr) => resolve(error ? `${stdout}${stderr}` || error.message : ""));
    });
    expect(output).toBe("");
  });
});
