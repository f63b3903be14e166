import { readFileSync } from "node:fs";
import { expect, test, describe } from "vitest";
import { grafanaFiles } from "../../components/config/grafana.ts";
import { allDashboards, folders } from "../../dashboards/index.ts";
import { colours } from "../../dashboards/style.ts";
import { alerts, recordings } from "../../rules/index.ts";
import { allMetrics } from "../../rules/metrics.ts";
import { thresholds } from "../../components/settings/schema.ts";
import { readChanged } from "../components/settings/support.ts";
import { sampleSettings } from "../support/settings.ts";
import { expand, itemsOf, panelsOf, selectorsOf } from "./walk.ts";

const s = sampleSettings({ httpsTargets: [{ url: "https://crm.example.com", insecure: false }] });
const dashboards = allDashboards(s);
const panels = dashboards.flatMap(panelsOf);
const values = { org: ".+", tenant: ".+", datasource: "prometheus" };
const queries = panels.flatMap(({ uid, panel, targets }) => targets.map((t) => ({ uid, panel, target: t, at: `${uid} ${panel.id} ${t.refId}`, expr: expand(t.expr, values) })));

describe("the set", () => {
  test("uids, titles and folders are the agreed ones", () => {
    expect(dashboards.map((d) => [d.uid, d.folder])).toEqual([
      ["peakpro-crm-kpis", "PeakPro"],
      ["peakpro_crm_slo", "PeakPro"],
      ["peakpro-multi-org-slo", "PeakPro"],
      ["aetherlink_rag_tenant_metrics_enhanced", "AetherLink"],
      ["crm-events-pipeline", "AetherLink"],
      ["stack-alerts", "Operations"],
      ["stack-self", "Operations"],
    ]);
    expect(new Set(dashboards.map((d) => d.folder))).toEqual(new Set(folders));
    expect(new Set(dashboards.map((d) => d.title)).size).toBe(dashboards.length);
    expect(dashboards.find((d) => d.uid === "peakpro_crm_slo")!.title).toBe("PeakPro CRM — SLO & Uptime");
    expect(dashboards.find((d) => d.uid === "crm-events-pipeline")!.title).toBe("CRM Events - Kafka SSE Pipeline");
  });

  test("without RAG metrics there is no RAG dashboard", () => {
    const uids = allDashboards(sampleSettings({ ragTargets: [] })).map((d) => d.uid);
    expect(uids).not.toContain("aetherlink_rag_tenant_metrics_enhanced");
    expect(uids).toHaveLength(dashboards.length - 1);
  });

  test("the numbered panels are all there", () => {
    const ids = (uid: string) => panels.filter((p) => p.uid === uid).map((p) => p.panel.id!);
    const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
    expect(ids("peakpro-crm-kpis").sort((a, b) => a - b)).toEqual(numbers(10));
    expect(ids("crm-events-pipeline").sort((a, b) => a - b)).toEqual(numbers(19));
    expect(ids("peakpro_crm_slo")).toEqual(expect.arrayContaining(numbers(9)));
  });

  test("the same settings give the same bytes, and another content another revision", () => {
    expect(allDashboards(s)).toEqual(dashboards);
    const other = allDashboards({ ...s, thresholds: thresholds.parse({ paymentSloPct: 90 }) });
    const changed = dashboards.filter((d, i) => d.revision !== other[i]!.revision).map((d) => d.uid);
    expect(changed).toContain("peakpro_crm_slo");
    expect(changed).not.toContain("crm-events-pipeline");
    for (const d of dashboards) expect(JSON.parse(d.json).description).toMatch(new RegExp(` Revision ${d.revision}$`));
  });
});

describe("every dashboard", () => {
  test.each(dashboards.map((d) => [d.uid, d] as const))("%s refreshes, cannot be edited, and names its data source by a variable", (_, d) => {
    const json = JSON.parse(d.json);
    expect(json).toMatchObject({ uid: d.uid, title: d.title, editable: false, refresh: "30s" });
    expect(json.templating.list[0]).toMatchObject({ type: "datasource", name: "datasource", query: "prometheus" });
    for (const v of json.templating.list.slice(1)) expect(v).toMatchObject({ type: "query", includeAll: true, multi: true, allValue: ".+", datasource: { uid: "${datasource}" } });
    expect(json.annotations.list[0].target.expr).toContain("ALERTS");
    expect(json.links[0]).toMatchObject({ type: "dashboards", keepTime: true });
  });

  test.each(dashboards.map((d) => [d.uid, d] as const))("%s has unique ids and fills its lines without overlap", (_, d) => {
    const items = itemsOf(d.json);
    expect(new Set(items.map((i) => i.id)).size).toBe(items.length);
    const cells = new Set<string>();
    for (const { gridPos: at } of items) {
      expect(at!.x + at!.w).toBeLessThanOrEqual(24);
      for (let x = at!.x; x < at!.x + at!.w; x++) for (let y = at!.y; y < at!.y + at!.h; y++) {
        expect(cells.has(`${x},${y}`), `two panels at ${x},${y}`).toBe(false);
        cells.add(`${x},${y}`);
      }
    }
    // No hole: the page is a rectangle of 24 columns.
    expect(cells.size).toBe(24 * Math.max(...items.map((i) => i.gridPos!.y + i.gridPos!.h)));
  });
});

describe("every panel", () => {
  test.each(panels.map((p) => [`${p.uid} ${p.panel.id} ${p.panel.title}`, p] as const))("%s says what it shows", (_, { panel, targets }) => {
    expect(panel.title).toBeTruthy();
    expect(panel.description?.length).toBeGreaterThan(20);
    expect(panel.datasource).toEqual({ type: "prometheus", uid: "${datasource}" });
    expect(panel.fieldConfig?.defaults?.unit).toBeTruthy();
    expect(panel.fieldConfig?.defaults?.thresholds?.steps?.[0]?.value).toBeNull();
    // 4 columns are 220 pixels at a page width of 1366.
    expect(panel.gridPos!.w).toBeGreaterThanOrEqual(panel.type === "stat" ? 4 : 6);
    if (panel.type === "text") return expect(panel.options.content).toBeTruthy();
    expect(targets.map((t) => t.refId)).toEqual(targets.map((_t, i) => String.fromCharCode(65 + i)));
    expect(targets.length).toBeGreaterThan(0);
    for (const t of targets) {
      expect(t.datasource).toEqual({ type: "prometheus", uid: "${datasource}" });
      expect(t.legendFormat).toBeTruthy();
    }
    if (["stat", "gauge", "bargauge"].includes(panel.type)) expect(panel.options.reduceOptions.calcs).toEqual(["lastNotNull"]);
    if (["stat", "gauge", "bargauge", "table"].includes(panel.type)) expect(targets.every((t) => t.instant && !t.range)).toBe(true);
    if (panel.type === "timeseries") expect(panel.options.legend).toMatchObject({ showLegend: true, displayMode: "list" });
  });

  test("whole numbers are shown whole: the unit short would make 1,234 invoices \"1 K\"", () => {
    for (const { uid, panel } of panels) if (panel.fieldConfig?.defaults?.decimals === 0) expect(panel.fieldConfig.defaults.unit, `${uid} ${panel.id}`).not.toBe("short");
  });

  test("money is shown to the cent: the unit currencyUSD alone would make 1234.56 dollars \"$1.23K\"", () => {
    const money = panels.filter(({ panel }) => panel.fieldConfig?.defaults?.unit === "currencyUSD");
    expect(money.map(({ uid, panel }) => `${uid} ${panel.id}`)).toEqual(["peakpro-crm-kpis 9", "peakpro_crm_slo 2", ...[14, 15, 16].map((id) => `aetherlink_rag_tenant_metrics_enhanced ${id}`)]);
    for (const { uid, panel, targets } of money) {
      const whole = targets.map((t) => ({ matcher: { id: "byFrameRefID", options: t.refId }, properties: [{ id: "unit", value: "currency:financial:$" }] }));
      expect(panel.fieldConfig!.overrides, `${uid} ${panel.id}`).toEqual(whole);
      // Without a number of decimals that unit has one.
      expect(panel.fieldConfig!.defaults!.decimals, `${uid} ${panel.id}`).toBeGreaterThanOrEqual(2);
    }
  });

  test("yellow is a background, never a text, which nobody could read on white", () => {
    for (const { uid, panel } of panels) {
      const at = `${uid} ${panel.id}`;
      if (panel.type === "stat" && JSON.stringify(panel.fieldConfig).includes(colours.notice)) expect(panel.options.colorMode, at).toBe("background");
      expect(JSON.stringify(panel.fieldConfig), at).not.toContain('"color-text"');
    }
  });

  test("a dial has room for its thresholds, whatever they are", () => {
    const busy = allDashboards({ ...s, thresholds: thresholds.parse({ throughputPerSecond: 20 }) }).flatMap(panelsOf);
    for (const { uid, panel } of [...panels, ...busy].filter((p) => p.panel.type === "gauge")) {
      const { max, thresholds: limits } = panel.fieldConfig!.defaults!;
      expect(max, `${uid} ${panel.id}`).toBeGreaterThan(limits!.steps.at(-1)!.value!);
    }
    const description = (of: typeof panels) => of.find((p) => p.uid === "crm-events-pipeline" && p.panel.id === 10)!.panel.description;
    expect(description(panels)).toContain("0.1 to 10.");
    expect(description(busy)).toContain("20 to 40.");
  });

  test("thresholds rise, as Grafana needs them", () => {
    for (const { uid, panel } of panels) {
      const steps = (panel.fieldConfig?.defaults?.thresholds?.steps ?? []).slice(1).map((t) => t.value!);
      expect(steps, `${uid} ${panel.id}`).toEqual([...steps].sort((a, b) => a - b));
    }
  });
});

describe("every query", () => {
  const exported = new Map(allMetrics.flatMap((m) => [m.name, ...(m.type === "histogram" ? ["_bucket", "_sum", "_count"].map((x) => m.name + x) : [])].map((name) => [name, m] as const)));
  const recorded = new Set(recordings(s).map((r) => r.record));
  const targetLabels = ["job", "instance", "service"];

  test("there are queries to check", () => expect(queries.length).toBeGreaterThan(100));

  test.each(queries.map((q) => [q.at, q.expr] as const))("%s parses and asks for what is exported or recorded", (_, expr) => {
    for (const { metric, labels } of selectorsOf(expr)) {
      const spec = exported.get(metric);
      expect(spec !== undefined || recorded.has(metric), `${metric || "a selector without a name"} is neither exported nor recorded`).toBe(true);
      if (spec && !metric.startsWith("ALERTS")) for (const label of labels) expect([...spec.labels, ...targetLabels], `${metric} has no label ${label}`).toContain(label);
    }
  });

  test("annotations and variables ask for what is exported", () => {
    for (const d of dashboards) {
      const json = JSON.parse(d.json);
      for (const a of json.annotations.list) selectorsOf(a.target.expr);
      for (const v of json.templating.list.slice(1)) {
        const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(v.query.query)!;
        expect(exported.get(metric!)?.labels).toContain(label);
      }
    }
  });

  test("a variable in use is defined on the page, and a defined one is used", () => {
    for (const d of dashboards) {
      const defined = JSON.parse(d.json).templating.list.slice(1).map((v: { name: string }) => v.name);
      const used = new Set(panels.filter((p) => p.uid === d.uid).flatMap((p) => p.targets.flatMap((t) => [...t.expr.matchAll(/\$(org|tenant)\b/g)].map((m) => m[1]))));
      expect([...used]).toEqual(defined);
    }
  });

  test("a graph's rate covers its whole step, whatever time is shown", () => {
    // Quantiles would have gaps between rare requests, and the cost per hour is that of the other RAG figures' window.
    const fixed = panels.flatMap(({ uid, panel, targets }) => (panel.type === "timeseries" && targets.some((t) => /\brate\([^[]*\[\d/.test(t.expr) && !t.expr.startsWith("histogram_quantile")) ? [`${uid} ${panel.id}`] : []));
    expect(fixed).toEqual(["aetherlink_rag_tenant_metrics_enhanced 16"]);
  });

  test("with All, the SLO page reads no organisation's own series over time", () => {
    const overTime = queries.filter((q) => q.uid === "peakpro_crm_slo" && (!q.target.instant || q.expr.includes("[6h:")) && q.expr.includes(":by_org"));
    expect(overTime.map((q) => q.panel.id).sort()).toEqual([8, 9]);
    for (const { at, expr } of overTime) for (const [selector] of expr.matchAll(/[^\s(]*\{[^}]*:by_org"[^}]*\}|\S*:by_org\{[^}]*\}/g)) expect(selector, at).toContain('__name__!~".+"');
  });

  test("windows of a day and more are read from recorded series only", () => {
    for (const { at, expr } of queries) {
      for (const [, metric] of expr.matchAll(/(\w[\w:]*)(?:\{[^}]*\})?\[(?:\d+[dwy]|24h|48h)/g)) expect.fail(`${at} reads a long window of ${metric}`);
    }
  });
});

describe("links", () => {
  const known = new Set(alerts(s).map((a) => a.alert));

  test("from panel to runbook: every named alert exists", () => {
    for (const { uid, panel } of panels) {
      for (const l of panel.links ?? []) {
        const name = /\/([^/]+)\.md$/.exec(l.url!)![1]!;
        expect(l.url).toBe(`${s.urls.runbooks}/${name}.md`);
        expect(known, `${uid} ${panel.id} links to ${name}`).toContain(name);
      }
    }
  });

  test("from alert to panel, which knows the alert", () => {
    for (const a of alerts(s)) {
      const { pathname, searchParams } = new URL(a.dashboardUrl);
      const found = panels.find((p) => pathname === `/d/${p.uid}` && String(p.panel.id) === searchParams.get("viewPanel"));
      expect(found?.panel.links?.map((l) => l.url), `${a.alert} leads to ${a.dashboardUrl}`).toContain(a.runbookUrl);
    }
  });

  test("lead to one address, with a slash at the end of a base or without", () => {
    const bases = { prometheus: "https://p.example.com/", alertmanager: "https://a.example.com/am//", grafana: "https://g.example.com/", commandCenter: "https://ops.example.com/" };
    const { settings } = readChanged("dev", { urls: JSON.stringify(bases), runbookBaseUrl: "https://r.example.com/books/" });
    expect(settings.urls).toEqual({ prometheus: "https://p.example.com", alertmanager: "https://a.example.com/am", grafana: "https://g.example.com", commandCenter: "https://ops.example.com", runbooks: "https://r.example.com/books" });
    const found = [...Object.values(grafanaFiles(settings)), JSON.stringify(alerts(settings))].flatMap((text) => text.match(/https?:\/\/[^\s"'()<>\\]+/g) ?? []);
    expect(found).toContain("https://ops.example.com/ops/crm-events");
    for (const url of found) expect(new URL(url).pathname, url).not.toContain("//");
  });

  test("from the service's text: runbooks exist", () => {
    const text = panels.find((p) => p.uid === "crm-events-pipeline" && p.panel.id === 11)!.panel.options.content as string;
    for (const [, name] of text.matchAll(/\/(\w+)\.md\)/g)) expect(known).toContain(name);
  });
});

describe("thresholds are the alerts' own", () => {
  /** A value that no default has, where it must turn up in a rule and where on a page. */
  const cases: [keyof typeof s.thresholds, number, string, [uid: string, panel: number, value: number][]][] = [
    ["paymentSloPct", 88, "PaymentRateSLOBurnFast", [["peakpro_crm_slo", 1, 88], ["peakpro-multi-org-slo", 5, 88]]],
    ["paymentRatePct", 47, "LowInvoicePaymentRate", [["peakpro-crm-kpis", 10, 47]]],
    ["cacheHitPct", 31, "CacheEffectivenessDrop", [["aetherlink_rag_tenant_metrics_enhanced", 5, 31]]],
    ["cacheHitVipPct", 21, "CacheEffectivenessDropVIP", [["aetherlink_rag_tenant_metrics_enhanced", 10, 21]]],
    ["lowConfidencePct", 19, "LowConfidenceSpike", [["aetherlink_rag_tenant_metrics_enhanced", 7, 19]]],
    ["lowConfidenceVipPct", 14, "LowConfidenceSpikeVIP", [["aetherlink_rag_tenant_metrics_enhanced", 11, 14]]],
    ["maxClients", 70, "CrmEventsTooManyClients", [["crm-events-pipeline", 1, 70]]],
    ["throughputPerSecond", 0.3, "CrmEventsSLOThroughputDegraded", [["crm-events-pipeline", 10, 0.3]]],
    ["minConsumers", 3, "CrmEventsUnderReplicatedConsumers", [["crm-events-pipeline", 18, 3]]],
    ["skew", 3.5, "CrmEventsHotKeySkewHigh", [["crm-events-pipeline", 19, 3.5]]],
    ["availabilityPct", 98, "CrmEventsSLOAvailabilityBreach", [["crm-events-pipeline", 4, 0.98]]],
    ["outboxAgeSeconds", 250, "OutboxStuck", [["stack-self", 20, 250]]],
    ["qboTokenDays", 9, "QboTokenExpiring", [["stack-self", 23, 9 * 86_400]]],
  ];
  test.each(cases)("%s", (key, value, alert, places) => {
    const changed = { ...s, thresholds: thresholds.parse({ [key]: value }) };
    const before = alerts(s).find((a) => a.alert === alert)!;
    expect(alerts(changed).find((a) => a.alert === alert)!.expr).not.toBe(before.expr);
    for (const [uid, id, step] of places) {
      const { panel } = panelsOf(allDashboards(changed).find((d) => d.uid === uid)!).find((p) => p.panel.id === id)!;
      expect(panel.fieldConfig!.defaults!.thresholds!.steps.map((t) => t.value)).toContain(step);
    }
  });
});

test("the document lists the dashboards as they are", () => {
  const text = readFileSync(new URL("../../docs/dashboards.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([^`]+)` \| ([^|]+) \| (\w+) \| ([^|]*)\|/gm)].map(([, uid, title, folder, variables]) => [uid, title, folder, variables!.trim()]);
  const variables = (json: string) => JSON.parse(json).templating.list.slice(1).map((v: { name: string }) => `\`$${v.name}\``).join(", ");
  expect(rows).toEqual(dashboards.map((d) => [d.uid, d.title, d.folder, variables(d.json)]));
});
