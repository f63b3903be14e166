/** Every panel against a real Prometheus with the rendered rules, fed by exporters that stand in for the stack. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allDashboards } from "../../dashboards/index.ts";
import { recorded } from "../../dashboards/queries.ts";
import { findPrometheus, startPrometheus, type TestPrometheus } from "../support/prometheus.ts";
import { sampleSettings } from "../support/settings.ts";
import { allOf, checkPanels, usualChoice } from "./check-panels.ts";
import { healthyEmpty } from "./healthy-empty.ts";
import { startSyntheticStack, type SyntheticStack } from "./synthetic-stack.ts";
import { expand, panelsOf } from "./walk.ts";

const found = await findPrometheus();
if ("missing" in found) console.warn(`skipped: no Prometheus: ${found.missing}`);

// Two replicas of each, so that a panel that forgets one of them shows.
const s = { ...sampleSettings({ timing: "fast", httpsTargets: [{ url: "https://crm.example.com", insecure: false }] }), replicas: { crmApi: 2, crmEvents: 2, alertmanager: 1 } };

describe.skipIf("missing" in found)("panels against a real Prometheus", () => {
  let exporters: SyntheticStack;
  let prometheus: TestPrometheus;

  beforeAll(async () => {
    exporters = await startSyntheticStack(s);
    prometheus = await startPrometheus((found as { program: string }).program, (port) => exporters.files(port));
    await until("the first sample of each organisation", async () => (await prometheus.query(`${recorded.created24h} == 0`)).length === s.orgs.length);
    exporters.begin();
  });
  afterAll(async () => {
    await prometheus?.stop();
    await exporters?.stop();
  });

  const until = async (what: string, test: () => Promise<boolean>, limit = 90): Promise<void> => {
    for (let i = 0; i < limit; i++) {
      if (await test().catch(() => false)) return;
      await sleep(1000);
    }
    throw new Error(`waited ${limit} s for: ${what}`);
  };

  const valueOf = async (uid: string, id: number, org?: string): Promise<number> => {
    const d = allDashboards(s).find((d) => d.uid === uid)!;
    const { targets } = panelsOf(d).find((p) => p.panel.id === id)!;
    return Number((await prometheus.query(expand(targets[0]!.expr, org === undefined ? allOf(d) : { org })))[0]!.value[1]);
  };

  test("every query is answered, and only panels declared so are empty", async () => {
    let report = await checkPanels(prometheus.url, s);
    // A rate needs two samples, and what is read at whole minutes needs one of them to pass.
    for (let tries = 0; report.faults.length > 0 && tries < 24; tries++) {
      await sleep(5000);
      report = await checkPanels(prometheus.url, s);
    }
    expect(report.faults).toEqual([]);
    expect(report.queries.length).toBeGreaterThan(100);
    expect(report.variables.map((v) => v.values)).toContainEqual(s.orgs.map((o) => o.id).sort());
  });

  test("the check reports a panel without data and an organisation that is not there", async () => {
    const report = await checkPanels(prometheus.url, { ...s, orgs: [...s.orgs, { id: "nobody", name: "Nobody" }] }, { org: "nobody", tenant: usualChoice(s).tenant });
    expect(report.faults.join("\n")).toMatch(/peakpro-crm-kpis 7 .*no data/);
    expect(report.faults.join("\n")).toMatch(/\$org: .*lacks nobody/);
  });

  test("money on the page is the store's, to the cent, for all and for one", async () => {
    exporters.freeze();
    const [first, second] = s.orgs.map((o) => o.id) as [string, string];
    // Dollars are binary fractions: a sum of them may differ from the dollars of the sum in its last bit, not in its cents.
    const cents = async (uid: string, id: number, org?: string): Promise<number> => {
      const exactly = (await valueOf(uid, id, org)) * 100;
      return Math.abs(exactly - Math.round(exactly)) < 1e-4 ? Math.round(exactly) : exactly;
    };
    const exact = async () => {
      const { [first]: a, [second]: b } = exporters.cents;
      const shown = [await cents("peakpro-crm-kpis", 9), await cents("peakpro_crm_slo", 2), await cents("peakpro-crm-kpis", 9, first), await cents("peakpro_crm_slo", 2, first)];
      return shown.join() === [a! + b!, a! + b!, a, a].join();
    };
    await until("the recorded sums at the frozen counters", exact, 20);
    expect(exporters.cents[first]).not.toBe(exporters.cents[second]);
  });

  test("panels that are empty when all is well fill when something is wrong", async () => {
    exporters.loseConsumers();
    const declared = healthyEmpty.map((h) => `${h.uid} ${h.panel}`);
    let empty: readonly string[] = declared;
    await until("the declared panels to fill", async () => (empty = (await checkPanels(prometheus.url, s)).emptyAsDeclared).length === 0);
    expect(empty).toEqual([]);
    const muted = panelsOf(allDashboards(s).find((d) => d.uid === "stack-alerts")!).find((p) => p.panel.id === 6)!;
    const pairs = async () => (await prometheus.query(expand(muted.targets[0]!.expr, {}))).map((r) => `${r.metric["alertname"]} by ${r.metric["muted_by"]}`);
    await until("the muted alert in its table", async () => (await pairs()).includes("CrmEventsUnderReplicatedConsumers by CrmEventsServiceDown"));
  });
});
