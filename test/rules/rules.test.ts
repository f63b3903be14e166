import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { metricsOf } from "../../rules/expressions.ts";
import { alerts, recordings, ruleGroups } from "../../rules/index.ts";
import { ruleFiles } from "../../rules/render.ts";
import { requiredLabels } from "../../rules/types.ts";
import { sampleSettings } from "../support/settings.ts";
import { caseSettings } from "./cases/case.ts";

const s = sampleSettings();
const find = (name: string) => alerts(caseSettings).filter((a) => a.alert === name);

/** Name, severity and `for` of every alert; empty where the design leaves the time open. */
const table: [name: string, severity: string, hold: string][] = [
  ["LowInvoicePaymentRate", "warning", "24h"],
  ["RevenueZeroStreak", "critical", ""],
  ["InvoiceGenerationStalled", "warning", ""],
  ["CrmApiDown", "critical", "5m"],
  ["RevenueFlatlineFast", "warning", "15m"],
  ["RevenueFlatlineSlow", "warning", "1h"],
  ["PaymentRateSLOBurnFast", "critical", ""],
  ["PaymentRateSLOBurnSlow", "warning", ""],
  ["UptimeProbeFailing", "critical", "2m"],
  ["CrmMetricsScrapeStale", "warning", ""],
  ["CrmRecordingRulesStale", "warning", ""],
  ["CacheEffectivenessDrop", "warning", "15m"],
  ["LowConfidenceSpike", "warning", "15m"],
  ["CacheEffectivenessDropVIP", "critical", "5m"],
  ["LowConfidenceSpikeVIP", "critical", "5m"],
  ["CrmEventsConsumerStuck", "critical", "10m"],
  ["CrmEventsSLOAvailabilityBreach", "critical", "5m"],
  ["CrmEventsSLOThroughputDegraded", "warning", "10m"],
  ["CrmEventsNoClients", "warning", "10m"],
  ["CrmEventsTooManyClients", "warning", ""],
  ["CrmEventsNoMessages", "warning", "10m"],
  ["CrmEventsHighErrorRate", "warning", "5m"],
  ["CrmEventsFrequentRestarts", "warning", ""],
  ["CrmEventsHotKeySkewHigh", "warning", "12m"],
  ["CrmEventsUnderReplicatedConsumers", "warning", "7m"],
  ["CrmEventsPartitionStuck", "critical", "10m"],
  ["CrmEventsHighLag", "warning", "5m"],
  ["CrmEventsBackpressure", "warning", "5m"],
  ["CrmFinanceDrift", "warning", "15m"],
  ["QboTokenExpiring", "warning", "0s"],
  ["QboSyncStale", "warning", "15m"],
  ["QboRateLimited", "warning", "10m"],
  ["QboWritesFailed", "warning", "5m"],
  ["OutboxStuck", "critical", "2m"],
  ["CrmEventsDeadLetters", "warning", "0s"],
  ["CrmEventsFanoutLag", "warning", "5m"],
  ["CrmEventsFanoutSilent", "warning", "5m"],
  ["HealthProbeUnknown", "warning", "10m"],
  ["ServiceReplicaDown", "warning", "5m"],
  ["TargetDown", "warning", "5m"],
  ["Watchdog", "none", "0s"],
  ["AlertmanagerNotificationsFailing", "critical", "5m"],
  ["PrometheusConfigReloadFailed", "warning", "10m"],
  ["AlertmanagerConfigReloadFailed", "warning", "10m"],
  ["PrometheusRuleFailures", "warning", "5m"],
  ["PrometheusRuleGroupSlow", "warning", "5m"],
  ["PrometheusNoAlertmanager", "warning", "5m"],
  ["PrometheusStorageFilling", "warning", "10m"],
];

describe("alerts", () => {
  it.each(table)("%s is %s after %s", (name, severity, hold) => {
    const rules = find(name);
    expect(rules.length).toBeGreaterThan(0);
    for (const rule of rules) {
      expect(rule.labels.severity).toBe(severity);
      if (hold) expect(rule.for).toBe(hold);
    }
  });

  it("CrmEventsServiceDown has two causes with times of their own", () => {
    expect(find("CrmEventsServiceDown").map((a) => [a.labels.cause, a.labels.severity, a.for])).toEqual([
      ["no-member", "critical", "5m"],
      ["no-replica", "critical", "2m"],
    ]);
  });

  it("are all in the table, beside certificates", () => {
    const known = [...table.map(([name]) => name), "CrmEventsServiceDown", "TlsCertificateExpiring", "TlsCertificateExpiresNow"];
    expect([...new Set(alerts(caseSettings).map((a) => a.alert))].sort()).toEqual(known.sort());
    expect(alerts(s).some((a) => a.alert.startsWith("TlsCertificate"))).toBe(false);
  });

  it("say whose they are", () => {
    const owned = Object.fromEntries(alerts(caseSettings).map((a) => [a.alert, [a.labels.team, a.labels.service, a.labels.product]]));
    expect(owned.RevenueZeroStreak).toEqual(["crm", "crm-api", "peakpro"]);
    expect(owned.CrmEventsHighLag).toEqual(["crm", "crm-events-sse", "aetherlink"]);
    expect(owned.LowConfidenceSpike).toEqual(["aetherlink", "rag-api", "aetherlink"]);
    expect(owned.OutboxStuck!.slice(0, 2)).toEqual(["crm", "crm-api"]);
    expect(owned.PrometheusRuleFailures![0]).toBe("ops");
    for (const a of alerts(caseSettings)) for (const label of requiredLabels) expect(a.labels[label] ?? a.derived[label]?.[0], `${a.alert} ${label}`).toBeTruthy();
  });

  it("carry the required labels in the files too", () => {
    const rendered = Object.values(ruleFiles(caseSettings)).flatMap((text) => (parse(text) as { groups: { rules: { alert?: string; labels?: Record<string, string> }[] }[] }).groups).flatMap((g) => g.rules);
    for (const { alert, labels } of rendered.filter((r) => r.alert)) for (const label of requiredLabels) expect(labels?.[label], `${alert} ${label}`).toBeTruthy();
  });

  it("tell VIP tenants what is at stake", () => {
    expect(find("CacheEffectivenessDropVIP")[0]!.labels.sla).toBe("at_risk");
    expect(find("LowConfidenceSpikeVIP")[0]!.labels.sla).toBe("breach");
  });

  it("link to runbook and dashboard", () => {
    for (const a of alerts(caseSettings)) {
      expect(a.runbookUrl).toBe(`https://runbooks.example.com/runbooks/${a.alert}.md`);
      expect(a.dashboardUrl).toMatch(/^http:\/\/localhost:3000\/d\/[\w-]+\?viewPanel=\d+$/);
    }
  });

  it("take thresholds, windows and the VIP pattern from the settings", () => {
    const other = sampleSettings({ vipPattern: "gold-.*", thresholds: { ...s.thresholds, skew: 5, lag: 77, paymentSloPct: 90, maxClients: 9 } });
    const expr = (name: string) => alerts(other).find((a) => a.alert === name)!.expr;
    expect(expr("CacheEffectivenessDropVIP")).toContain('tenant=~"gold-.*"');
    expect(expr("CrmEventsHotKeySkewHigh")).toContain("> 5");
    expect(expr("CrmEventsHighLag")).toContain("> 77");
    expect(expr("CrmEventsTooManyClients")).toContain("> 9");
    expect(expr("PaymentRateSLOBurnFast")).toContain("/ 0.1, 1e-6) > 3");
  });

  it("scale `for` in the fast profile, and no window", () => {
    const fast = sampleSettings({ timing: "fast" });
    const [slow, quick] = [s, fast].map((x) => alerts(x).find((a) => a.alert === "CrmApiDown")!.for);
    expect([slow, quick]).toEqual(["5m", "10s"]);
    expect(recordings(fast).map((r) => r.expr)).toEqual(recordings(s).map((r) => r.expr));
    expect(alerts(fast).map((a) => a.expr)).toEqual(alerts(s).map((a) => a.expr));
  });
});

describe("recording rules", () => {
  it("have the names that dashboards and services use", () => {
    const names = recordings(s).map((r) => r.record);
    const finance = ["crm:invoices_created_24h", "crm:invoices_paid_24h", "crm:revenue_usd", "crm:payment_rate_30d_pct"];
    const tenants = ["aether:cache_hit_ratio:5m", "aether:rerank_utilization_pct:15m", "aether:lowconfidence_pct:15m"];
    const rest = [
      "aether:billing_cost_usd:30d",
      "aether:health_score:15m",
      "crm_events:messages:rate5m",
      "crm_events:http_requests:rate5m",
      "crm_events:sse_clients:current",
      "crm_events:slo:availability:5m",
      "crm_events:slo:throughput:5m",
      "kafka:group_consumer_count",
      "kafka:group_skew_ratio",
      "kafka:group_partition_lag",
      "kafka:group_lag_sum",
      "kafka:group_drain_eta_seconds",
      "kafka:group_lag_p95",
      "kafka:topic_message_rate",
      "kafka:topic_byte_rate",
    ];
    expect(names).toEqual(expect.arrayContaining([...finance, ...finance.map((n) => `${n}:by_org`), ...tenants, ...tenants.map((n) => `${n}:all`), ...rest]));
    expect(new Set(names).size).toBe(names.length);
  });

  it("explain themselves", () => {
    for (const r of recordings(s)) expect(r.help, r.record).toMatch(/^[a-zA-Z0-9].{10,}\.$/);
  });
});

describe("groups", () => {
  it("keep the two names that others rely on", () => {
    const names = ruleGroups(s).map((g) => g.name);
    expect(names).toEqual(expect.arrayContaining(["crm_finance.recording", "crm_finance.rules", "aether", "crm_events", "kafka"]));
    expect(new Set(names).size).toBe(names.length);
  });

  it("record what they read, before they read it: groups run in no order", () => {
    const known = new Set(recordings(s).map((r) => r.record));
    for (const group of ruleGroups(s)) {
      const before = new Set<string>();
      for (const r of group.rules.filter((r) => r.kind === "record")) {
        before.add(r.record);
        // A sparse copy is for people to look at, who do not mind one interval more.
        const reads = r.record.endsWith(":sparse") ? [] : metricsOf(r.expr).filter((name) => known.has(name));
        expect(reads.filter((name) => !before.has(name)), `${group.name}: ${r.record}`).toEqual([]);
      }
    }
  });

  it("have no RAG rules when nothing exports RAG metrics", () => {
    const without = ruleGroups(sampleSettings({ ragTargets: [] })).flatMap((g) => g.rules.map((r) => r.expr)).join("\n");
    expect(without).not.toMatch(/aether[_:]/);
    expect(ruleGroups(s).some((g) => g.name === "aether")).toBe(true);
  });
});
