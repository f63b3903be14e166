/** Values that panels show for given series, under Prometheus's own engine: nothing but the query decides. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { allDashboards } from "../../dashboards/index.ts";
import { findPromtool } from "../rules/support/promtool.ts";
import { sampleSettings } from "../support/settings.ts";
import { expand, panelsOf, type Values } from "./walk.ts";

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);
const s = sampleSettings();

type Series = Readonly<Record<string, string>>;
interface Sample {
  readonly labels: string;
  readonly value: number;
}
const one = (value: number): Sample[] => [{ labels: "{}", value }];

/** A panel's queries as Grafana sends them. */
function queriesOf(uid: string, id: number, values: Values): string[] {
  const { targets } = panelsOf(allDashboards(s).find((d) => d.uid === uid)!).find(({ panel }) => panel.id === id)!;
  return targets.map((t) => expand(t.expr, values));
}

/** The first of them. */
const query = (uid: string, id: number, values: Values): string => queriesOf(uid, id, values)[0]!;

/** What promtool prints where an expression does not give these samples after 20 minutes; empty when all do. */
async function compare(series: Series, expected: readonly (readonly [expr: string, samples: readonly Sample[]])[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "panel-queries-"));
  const tests = [
    {
      interval: "1m",
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: expected.map(([expr, samples]) => ({ expr, eval_time: "20m", exp_samples: samples })),
    },
  ];
  writeFileSync(join(folder, "test.yml"), stringify({ evaluation_interval: "1m", fuzzy_compare: true, tests }, { lineWidth: 0 }));
  try {
    return await new Promise((resolve) => {
      execFile("program" in promtool ? promtool.program : "", ["test", "rules", join(folder, "test.yml")], (error, stdout, stderr) => resolve(error ? `${stdout}${stderr}` || error.message : ""));
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf("missing" in promtool)("finance panels", () => {
  /** Figures of each organisation. */
  const orgs = { acme: { revenue: 10.5, created: 10, paid: 9 }, globex: { revenue: 20, created: 50, paid: 45 }, initech: { revenue: 40.25, created: 100, paid: 0 } };
  const names = Object.keys(orgs) as (keyof typeof orgs)[];
  const sum = (of: readonly (keyof typeof orgs)[], figure: "revenue" | "created" | "paid") => of.reduce((total, name) => total + orgs[name][figure], 0);
  const rate = (of: readonly (keyof typeof orgs)[]) => (100 * sum(of, "paid")) / sum(of, "created");
  const recorded = (name: string, of: (names: readonly (keyof typeof orgs)[]) => number): Series => ({
    [name]: `${of(names)}x30`,
    ...Object.fromEntries(names.map((org) => [`${name}:by_org{org_id="${org}"}`, `${of([org])}x30`])),
  });
  // Totals and parts side by side, as the rules record them.
  const series: Series = {
    ...recorded("crm:revenue_usd", (of) => sum(of, "revenue")),
    ...recorded("crm:invoices_created_30d", (of) => sum(of, "created")),
    ...recorded("crm:invoices_paid_30d", (of) => sum(of, "paid")),
    ...recorded("crm:payment_rate_30d_pct", rate),
  };

  test.each<[$org: string, chosen: (keyof typeof orgs)[]]>([
    [".*", names],
    [".+", names],
    ["acme", ["acme"]],
    ["acme|globex", ["acme", "globex"]],
    ["(acme|initech)", ["acme", "initech"]],
  ])("count each organisation of %s once", async (org, chosen) => {
    const slo = (id: number) => query("peakpro_crm_slo", id, { org });
    const kpi = (id: number) => query("peakpro-crm-kpis", id, { org });
    const left = rate(chosen) - s.thresholds.paymentSloPct;
    expect(
      await compare(series, [
        [slo(1), one(rate(chosen))],
        [slo(2), one(sum(chosen, "revenue"))],
        [slo(7), one(left)],
        [slo(8), one(left)],
        // A rate under the floor is there already; one above it that does not fall never is.
        [slo(9), one(rate(chosen) > s.thresholds.paymentFloorPct ? Infinity : 0)],
        [kpi(9), one(sum(chosen, "revenue"))],
        [kpi(10), one(rate(chosen))],
      ]),
    ).toBe("");
  });

  test("show nothing, and not the total, for an organisation without invoices", async () => {
    const idle: Series = { 'crm:invoices_created_30d:by_org{org_id="idle"}': "0x30", 'crm:invoices_paid_30d:by_org{org_id="idle"}': "0x30" };
    const asked = ["idle", "nobody", "idle|nobody"].flatMap((org) => [1, 7, 8, 9].map((id) => query("peakpro_crm_slo", id, { org })));
    expect(await compare({ ...series, ...idle }, asked.map((expr) => [expr, []]))).toBe("");
  });
});

describe.skipIf("missing" in promtool)("the SLA of VIP tenants", () => {
  const cache = (tenant: string, pct: number): Series => ({ [`aether:cache_hit_ratio:5m{tenant="${tenant}"}`]: `${pct}x30` });
  const confidence = (tenant: string, pct: number): Series => ({ [`aether:lowconfidence_pct:15m{tenant="${tenant}"}`]: `${pct}x30` });
  const by = (values: Readonly<Record<string, number>>): Sample[] => Object.entries(values).map(([tenant, value]) => ({ labels: `{tenant="${tenant}"}`, value }));

  test("is known of a tenant that only asks the cache, or only gets answers", async () => {
    const series = {
      ...cache("vip-both", 10),
      ...confidence("vip-both", 50),
      ...cache("vip-well", 90),
      ...confidence("vip-well", 1),
      ...cache("vip-cache", 10),
      ...cache("vip-cache-well", 90),
      ...confidence("vip-answers", 50),
      ...confidence("premium-answers-well", 1),
      ...cache("plain", 1),
    };
    const state = { "vip-both": 3, "vip-well": 0, "vip-cache": 1, "vip-cache-well": 0, "vip-answers": 2, "premium-answers-well": 0 };
    const met = Object.fromEntries(Object.entries(state).map(([tenant, value]) => [tenant, value === 0 ? 100 : 0]));
    const values = { tenant: ".+", __range: "10m" };
    expect(
      await compare(series, [
        [query("aetherlink_rag_tenant_metrics_enhanced", 12, values), by(state)],
        [query("aetherlink_rag_tenant_metrics_enhanced", 13, values), by(met)],
      ]),
    ).toBe("");
  });
});

describe.skipIf("missing" in promtool)("counters that begin with the first event of their kind", () => {
  const [dropped, parked] = queriesOf("stack-self", 28, {}) as [string, string];
  const asked = [query("stack-self", 22, {}), dropped, parked];
  const up = (value: 0 | 1): Series => ({ 'up{job="crm_api"}': `${value}x30`, 'up{job="crm-events"}': `${value}x30` });

  test("have a line for each series and no other", async () => {
    const events = { 'crm_qbo_requests_total{operation="query",status="200"}': "0+2x30", 'crm_events_dropped_clients_total{reason="slow"}': "0+1x30", 'crm_events_dead_letters_total{reason="schema"}': "5x30" };
    const lines = [
      { labels: '{operation="query", status="200"}', value: 2 },
      { labels: '{reason="slow"}', value: 1 },
      { labels: '{reason="schema"}', value: 0 },
    ];
    const wide = asked.map((expr) => expr.replaceAll("[1m]", "[5m]"));
    expect(await compare({ ...up(1), ...events }, wide.map((expr, i) => [expr, [lines[i]!]]))).toBe("");
  });

  test("are 0 before it, and unknown while nobody answers", async () => {
    expect(await compare(up(1), asked.map((expr) => [expr, one(0)]))).toBe("");
    expect(await compare(up(0), asked.map((expr) => [expr, []]))).toBe("");
  });
});
