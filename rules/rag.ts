/** Recording rules and alerts of the RAG service, per tenant. Rendered only when something exports its metrics. */
import type { Settings } from "../components/settings/schema.ts";
import { scaled } from "../components/settings/timing.ts";
import { vipRegExp } from "../components/settings/vip-pattern.ts";
import { alert, percentReach, record, type AlertArgs } from "./alert.ts";
import { rag, type MetricSpec } from "./metrics.ts";
import { owners } from "./owners.ts";
import { compared, promql, quoted } from "./promql.ts";
import type { Alert, RecordingRule, RuleGroup } from "./types.ts";

/** Requests and answers per second by tenant, and the parts of them that the shares are made of. */
function rates(): RecordingRule[] {
  const whole = (name: string, what: string, metric: MetricSpec, window: string) => record(name, `${what} per second, by tenant.`, promql`sum by (tenant) (rate(${metric}[${window}]))`);
  // A tenant whose first one is still to come has no series yet: that is 0, not nothing.
  const part = (name: string, what: string, selector: string, window: string, of: string) =>
    record(name, `${what} per second, by tenant; 0 before the first one.`, promql`sum by (tenant) (rate(${selector}[${window}])) or 0 * ${of}`);
  return [
    whole("aether:cache_requests:rate5m", "Requests that asked the cache", rag.cacheRequests, "5m"),
    part("aether:cache_hits:rate5m", "Requests answered from the cache", rag.cacheHits.name, "5m", "aether:cache_requests:rate5m"),
    whole("aether:rag_answers:rate15m", "Answers", rag.answers, "15m"),
    part("aether:rag_reranked:rate15m", "Answers that were reranked", `${rag.answers.name}{rerank="true"}`, "15m", "aether:rag_answers:rate15m"),
    part("aether:rag_lowconfidence:rate15m", "Answers with low confidence", rag.lowConfidence.name, "15m", "aether:rag_answers:rate15m"),
  ];
}

/** Percent of `part` in `whole`, by tenant and as `<name>:all` over all; absent without any of the whole, so that no 0/0 comes to be. */
const sharePct = (name: string, help: string, part: string, whole: string): RecordingRule[] => [
  record(name, `${help}, percent, by tenant.`, promql`100 * ${part} / (${whole} > 0)`),
  record(`${name}:all`, `${help}, percent, over all tenants.`, promql`100 * sum(${part}) / (sum(${whole}) > 0)`),
];

/**
 * What answers cost in 30 d. These counters start again with their process, so this must be an increase; it runs over a
 * sparse copy, and less often than the rest. Not in the group `aether`, every 30 seconds: groups run in no order, and all
 * of it there would be the load of 30 days four times as often. The interval keeps instant queries on the results from
 * falling through Prometheus's 5-minute look-back.
 */
const billingGroup = (s: Settings): RuleGroup => ({
  name: "aether.billing",
  file: "aether",
  interval: scaled(s, "2m"),
  rules: [
    record("aether:rag_answers:copy", `${rag.answers.name} every 2 minutes, all labels kept so that resets are seen.`, promql`${rag.answers}`),
    record("aether:rag_answers:30d", "Answers of the last 30 d by tenant and reranking.", promql`sum by (tenant, rerank) (increase(aether:rag_answers:copy[30d]))`),
    record(
      "aether:billing_cost_usd:30d:by_tenant",
      "Cost of the answers of the last 30 d, USD, by tenant.",
      promql`
        sum by (tenant) (
          aether:rag_answers:30d{rerank="false"} * ${s.billing.plainUsd}
            or aether:rag_answers:30d{rerank="true"} * ${s.billing.rerankUsd}
        )`,
    ),
    record("aether:billing_cost_usd:30d", "Cost of the answers of the last 30 d, USD.", promql`sum(aether:billing_cost_usd:30d:by_tenant)`, { team: owners.rag.team }),
  ],
});

const health = (suffix: string): RecordingRule =>
  record(
    `aether:health_score:15m${suffix}`,
    `Mean of the cache hit ratio and of the share of confident answers, 0 to 100${suffix ? ", over all tenants" : ", by tenant"}.`,
    promql`(${`aether:cache_hit_ratio:5m${suffix}`} + 100 - ${`aether:lowconfidence_pct:15m${suffix}`}) / 2`,
  );

/** The groups of the RAG service; none when nothing exports its metrics. */
export function ragGroups(s: Settings): RuleGroup[] {
  if (s.ragTargets.length === 0) return [];
  return [
    billingGroup(s),
    {
      name: "aether",
      file: "aether",
      rules: [
        ...rates(),
        ...sharePct("aether:cache_hit_ratio:5m", "Requests answered from the cache", "aether:cache_hits:rate5m", "aether:cache_requests:rate5m"),
        ...sharePct("aether:rerank_utilization_pct:15m", "Answers that were reranked", "aether:rag_reranked:rate15m", "aether:rag_answers:rate15m"),
        ...sharePct("aether:lowconfidence_pct:15m", "Answers with low confidence", "aether:rag_lowconfidence:rate15m", "aether:rag_answers:rate15m"),
        health(""),
        health(":all"),
        ...ragAlerts(s),
      ],
    },
  ];
}

function ragAlerts(s: Settings): Alert[] {
  const t = s.thresholds;
  const vip = vipRegExp(s.vipPattern);
  const tenants = s.tenants.length > 0 ? s.tenants : ["tenant"];
  const vipTenants = tenants.filter((name) => vip.test(name));
  const perTenant = (name: string, args: Omit<AlertArgs, "owner" | "dashboard">) =>
    alert(s, name, { owner: owners.rag, dashboard: "aetherlink_rag_tenant_metrics_enhanced", derived: { tenant: tenants }, ...args });
  const cache = (name: string, key: "cacheHitPct" | "cacheHitVipPct", selector: string, rest: Pick<AlertArgs, "for" | "severity" | "labels" | "derived">) =>
    perTenant(name, {
      expr: promql`${compared(`aether:cache_hit_ratio:5m${selector}`)} < ${t[key]}`,
      reach: percentReach("<", t[key], `thresholds.${key}`),
      ...rest,
      summary: `Cache hit ratio low (under ${t[key]} %)`,
      description: `The cache answers {{ $value | printf "%.1f" }} % of the requests of tenant {{ $labels.tenant }} over the last 5 minutes; the limit is ${t[key]} %.`,
    });
  const confidence = (name: string, key: "lowConfidencePct" | "lowConfidenceVipPct", selector: string, rest: Pick<AlertArgs, "for" | "severity" | "labels" | "derived">) =>
    perTenant(name, {
      expr: promql`${compared(`aether:lowconfidence_pct:15m${selector}`)} > ${t[key]}`,
      reach: percentReach(">", t[key], `thresholds.${key}`),
      ...rest,
      summary: `Many answers with low confidence (over ${t[key]} %)`,
      description: `{{ $value | printf "%.1f" }} % of the answers to tenant {{ $labels.tenant }} over the last 15 minutes have low confidence; the limit is ${t[key]} %.`,
    });
  const vipOnly = `{tenant=~${quoted(s.vipPattern)}}`;
  const vips = { tenant: vipTenants.length > 0 ? vipTenants : ["vip"] };
  return [
    cache("CacheEffectivenessDrop", "cacheHitPct", "", { for: "15m", severity: "warning" }),
    confidence("LowConfidenceSpike", "lowConfidencePct", "", { for: "15m", severity: "warning" }),
    cache("CacheEffectivenessDropVIP", "cacheHitVipPct", vipOnly, { for: "5m", severity: "critical", labels: { sla: "at_risk" }, derived: vips }),
    confidence("LowConfidenceSpikeVIP", "lowConfidenceVipPct", vipOnly, { for: "5m", severity: "critical", labels: { sla: "breach" }, derived: vips }),
  ];
}
