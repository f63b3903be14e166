/** The rendered files in a real Grafana, with a real Prometheus behind it: loaded, owned by the repository, answered. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dashboards, grafanaFiles } from "../../components/config/grafana.ts";
import { recorded } from "../../dashboards/queries.ts";
import { findGrafana, startGrafana, type TestGrafana } from "../support/grafana.ts";
import { findPrometheus, startPrometheus, type TestPrometheus } from "../support/prometheus.ts";
import { sampleSettings } from "../support/settings.ts";
import { allOf, checkPanels, requestsOf } from "./check-panels.ts";
import { healthyEmpty } from "./healthy-empty.ts";
import { startSyntheticStack, type SyntheticStack } from "./synthetic-stack.ts";

const s = sampleSettings({ timing: "fast" });
const grafanaHome = findGrafana();
const prometheusProgram = "missing" in grafanaHome ? grafanaHome : await findPrometheus();
if ("missing" in prometheusProgram) console.warn(`skipped: ${prometheusProgram.missing}`);

describe.skipIf("missing" in prometheusProgram)("dashboards in a real Grafana", () => {
  let exporters: SyntheticStack;
  let prometheus: TestPrometheus;
  let grafana: TestGrafana;

  beforeAll(async () => {
    exporters = await startSyntheticStack(s);
    prometheus = await startPrometheus((prometheusProgram as { program: string }).program, (port) => exporters.files(port));
    const local = (folder: string) =>
      Object.fromEntries(
        Object.entries(grafanaFiles(s)).map(([path, text]) => [path, text.replaceAll("/etc/grafana-stack/current", folder).replaceAll("http://prometheus:9090", prometheus.url)]),
      );
    grafana = await startGrafana((grafanaHome as { home: string }).home, local);
    while ((await prometheus.query(`${recorded.created24h} == 0`)).length < s.orgs.length) await sleep(1000);
    exporters.begin();
    for (let tries = 0; tries < 24 && (await checkPanels(prometheus.url, s)).faults.length > 0; tries++) await sleep(5000);
  });
  afterAll(async () => {
    await grafana?.stop();
    await prometheus?.stop();
    await exporters?.stop();
  });

  test("the data source is healthy", async () => {
    const { status, json } = await grafana.api("GET", "/datasources/uid/prometheus/health");
    expect({ status, state: json.status }).toEqual({ status: 200, state: "OK" });
  });

  test.each(dashboards(s).map((d) => [d.uid, d] as const))("%s is there, in its folder, as rendered, and cannot be saved over", async (_, d) => {
    const { json } = await grafana.api("GET", `/dashboards/uid/${d.uid}`);
    expect(json.meta).toMatchObject({ provisioned: true, folderTitle: d.folder });
    expect(json.dashboard).toMatchObject({ uid: d.uid, title: d.title });
    expect(json.dashboard.description).toMatch(new RegExp(`Revision ${d.revision}$`));
    expect(json.dashboard.panels).toHaveLength(JSON.parse(d.json).panels.length);
    const saved = await grafana.api("POST", "/dashboards/db", { dashboard: { ...json.dashboard, title: "Edited" }, overwrite: true });
    expect(saved.status).toBe(400);
  });

  test.each(dashboards(s).map((d) => [d.uid, d] as const))("every query of %s is answered through Grafana", async (_, d) => {
    const empty: string[] = [];
    for (const r of requestsOf(s, d, allOf(d))) {
      const query = { refId: r.refId, datasource: { uid: "prometheus" }, expr: r.expr, instant: !r.graph, range: r.graph !== undefined, intervalMs: (r.graph?.step ?? 15) * 1000, maxDataPoints: 600 };
      const { status, json } = await grafana.api("POST", "/ds/query", { queries: [query], from: `now-${r.graph?.range ?? 300}s`, to: "now" });
      expect(status, `${r.panel} ${r.title}: ${JSON.stringify(json)}`).toBe(200);
      const frames: { data: { values: unknown[][] } }[] = json.results[r.refId].frames;
      if (!frames.some((f) => (f.data.values[0] ?? []).length > 0)) empty.push(`${r.uid} ${r.panel}`);
    }
    const declared = healthyEmpty.map((h) => `${h.uid} ${h.panel}`);
    expect(empty.filter((at) => !declared.includes(at))).toEqual([]);
  });

  test("a changed file is served without a restart", async () => {
    const [d] = dashboards(s) as [ReturnType<typeof dashboards>[number]];
    writeFileSync(join(grafana.folder, `dashboards/${d.uid}.json`), d.json.replace(`Revision ${d.revision}`, "Revision 00000000"));
    for (let tries = 0; tries < 30; tries++) {
      const { json } = await grafana.api("GET", `/dashboards/uid/${d.uid}`);
      if (json.dashboard.description.endsWith("Revision 00000000")) return;
      await sleep(1000);
    }
    expect.fail("the old revision is still served after 30 s");
  });
});
