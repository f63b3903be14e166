/** AetherLink RAG, per tenant: cache, reranking, low confidence; VIP tenants, their SLA, and what the answers cost. */
import type { Settings } from "../components/settings/schema.ts";
import { rag } from "../rules/metrics.ts";
import { promql, quoted } from "../rules/promql.ts";
import { dashboard, labelVariable, type Dashboard, type Line } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { recorded, rateBy, tenant } from "./queries.ts";
import { atLeast, atMost, colours, states, type Steps } from "./style.ts";

const cacheAlerts = ["CacheEffectivenessDrop", "CacheEffectivenessDropVIP"];
const confidenceAlerts = ["LowConfidenceSpike", "LowConfidenceSpikeVIP"];

export function ragTenants(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "aetherlink_rag_tenant_metrics_enhanced",
    title: "AetherLink RAG — Tenant Metrics",
    folder: "AetherLink",
    description: "Cache, reranking and confidence of RAG answers for the chosen tenants; VIP tenants against their SLA; cost.",
    from: "now-6h",
    variables: [labelVariable("tenant", "Tenant", rag.answers.name, "tenant")],
    alerts: 'team="aetherlink"',
    sections: [
      { heading: [101, "All tenants"], lines: [all(s, panels)] },
      { heading: [102, "By tenant"], lines: [byTenant(s, panels), traffic(panels)] },
      { heading: [103, "VIP tenants"], lines: [vip(s, panels)] },
      { heading: [104, "SLA"], lines: [sla(s, panels)] },
      { heading: [105, "Billing"], lines: [billing(s, panels)] },
    ],
  });
}

function all(s: Settings, { stat }: Panels): Line {
  const t = s.thresholds;
  const share = (id: number, title: string, description: string, series: string, steps: Steps, alerts: string[]) =>
    stat({ id, title, description, unit: "percent", decimals: 1, width: 6, steps, noValue: "No answers", queries: [{ expr: `${series}:all`, legend: title }], alerts });
  return {
    height: 5,
    panels: [
      share(1, "Cache hit ratio", "Share of requests to the cache that it answered, over 5 minutes, all tenants together.", recorded.cacheHit, atLeast(t.cacheHitPct), cacheAlerts),
      share(2, "Rerank utilisation", "Share of answers that were reranked, over 15 minutes, all tenants together.", recorded.rerank, [{ value: null, color: colours.neutral }], []),
      share(3, "Low confidence", "Share of answers given with low confidence, over 15 minutes, all tenants together.", recorded.lowConfidence, atMost(t.lowConfidencePct, t.lowConfidencePct / 2), confidenceAlerts),
      stat({
        id: 4,
        title: "Health score",
        description: "Mean of the cache hit ratio and of the share of answers without low confidence, 0 to 100.",
        unit: "none",
        decimals: 0,
        width: 6,
        min: 0,
        max: 100,
        steps: atLeast((t.cacheHitPct + 100 - t.lowConfidencePct) / 2),
        noValue: "No answers",
        queries: [{ expr: recorded.health, legend: "Health score" }],
        alerts: [...cacheAlerts, ...confidenceAlerts],
      }),
    ],
  };
}

function byTenant(s: Settings, { timeseries }: Panels): Line {
  const t = s.thresholds;
  const lines = (id: number, title: string, description: string, series: string, steps: Steps | undefined, alerts: string[]) =>
    timeseries({
      id,
      title,
      description,
      unit: "percent",
      min: 0,
      max: 100,
      width: 8,
      ...(steps ? { steps, limits: true } : {}),
      queries: [{ expr: promql`${series}{${tenant}}`, legend: "{{tenant}}" }],
      alerts,
    });
  return {
    height: 9,
    panels: [
      lines(5, "Cache hit ratio by tenant", `Share of requests to the cache that it answered, over 5 minutes. Dashed: alert below ${t.cacheHitPct} %.`, recorded.cacheHit, atLeast(t.cacheHitPct), cacheAlerts),
      lines(6, "Rerank utilisation by tenant", "Share of answers that were reranked, over 15 minutes.", recorded.rerank, undefined, []),
      lines(7, "Low confidence by tenant", `Share of answers given with low confidence, over 15 minutes. Dashed: alert above ${t.lowConfidencePct} %.`, recorded.lowConfidence, atMost(t.lowConfidencePct), confidenceAlerts),
    ],
  };
}

const traffic = ({ timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 8,
      title: "Answers by tenant",
      description: "Answers given per second to each chosen tenant, reranked or not.",
      unit: "cps",
      min: 0,
      width: 12,
      queries: [{ expr: rateBy(rag.answers, "tenant", tenant), legend: "{{tenant}}" }],
    }),
    timeseries({
      id: 9,
      title: "Cache requests by tenant",
      description: "Requests per second of each chosen tenant that asked the cache.",
      unit: "reqps",
      min: 0,
      width: 12,
      queries: [{ expr: rateBy(rag.cacheRequests, "tenant", tenant), legend: "{{tenant}}" }],
    }),
  ],
});

/** The chosen tenants that are VIP. */
const vipOf = (s: Settings) => `${tenant}, tenant=~${quoted(s.vipPattern)}`;

function vip(s: Settings, { timeseries }: Panels): Line {
  const t = s.thresholds;
  return {
    height: 9,
    panels: [
      timeseries({
        id: 10,
        title: "VIP: cache hit ratio",
        description: `Cache hit ratio of VIP tenants over 5 minutes. Dashed: below ${t.cacheHitVipPct} % their SLA is at risk.`,
        unit: "percent",
        min: 0,
        max: 100,
        width: 12,
        steps: atLeast(t.cacheHitVipPct),
        limits: true,
        queries: [{ expr: promql`${recorded.cacheHit}{${vipOf(s)}}`, legend: "{{tenant}}" }],
        alerts: ["CacheEffectivenessDropVIP"],
      }),
      timeseries({
        id: 11,
        title: "VIP: low confidence",
        description: `Share of low-confidence answers to VIP tenants over 15 minutes. Dashed: above ${t.lowConfidenceVipPct} % their SLA is broken.`,
        unit: "percent",
        min: 0,
        max: 100,
        width: 12,
        steps: atMost(t.lowConfidenceVipPct),
        limits: true,
        queries: [{ expr: promql`${recorded.lowConfidence}{${vipOf(s)}}`, legend: "{{tenant}}" }],
        alerts: ["LowConfidenceSpikeVIP"],
      }),
    ],
  };
}

/**
 * 0 met, 1 at risk (cache), 2 broken (confidence), 3 both, by VIP tenant. A tenant that asks no cache, or gets no answers,
 * is judged by the other half alone, as the alerts do.
 */
function slaState(s: Settings): string {
  const t = s.thresholds;
  const broken = promql`(${recorded.lowConfidence}{${vipOf(s)}} > bool ${t.lowConfidenceVipPct})`;
  const atRisk = promql`(${recorded.cacheHit}{${vipOf(s)}} < bool ${t.cacheHitVipPct})`;
  return promql`
    (2 * ${broken} or 0 * ${atRisk})
      + on (tenant) (${atRisk} or 0 * ${broken})`;
}

function sla(s: Settings, { timeline, bars }: Panels): Line {
  const t = s.thresholds;
  const alerts = ["CacheEffectivenessDropVIP", "LowConfidenceSpikeVIP"];
  return {
    height: 8,
    panels: [
      timeline({
        id: 12,
        title: "SLA state of VIP tenants",
        description: `At risk: cache hit ratio under ${t.cacheHitVipPct} %. Broken: low confidence over ${t.lowConfidenceVipPct} %.`,
        unit: "none",
        width: 16,
        mappings: [states({ "0": ["met", colours.good], "1": ["at risk", colours.degraded], "2": ["broken", colours.bad], "3": ["broken, cache too", colours.bad] })],
        queries: [{ expr: slaState(s), legend: "{{tenant}}" }],
        alerts,
      }),
      bars({
        id: 13,
        title: "SLA met, share of the shown time",
        description: "For which part of the time shown on this page each VIP tenant's SLA was met, looked at every minute.",
        unit: "percent",
        decimals: 1,
        min: 0,
        max: 100,
        width: 8,
        steps: [
          { value: null, color: colours.bad },
          { value: 95, color: colours.degraded },
          { value: 99, color: colours.good },
        ],
        queries: [{ expr: promql`100 * avg_over_time(((${slaState(s)}) == bool 0)[$__range:1m])`, legend: "{{tenant}}" }],
        alerts,
      }),
    ],
  };
}

function billing(s: Settings, { stat, bars, timeseries }: Panels): Line {
  const perHour = (rerank: "true" | "false", usd: number) => promql`sum by (tenant) (rate(${rag.answers}{${tenant}, rerank="${rerank}"}[15m])) * ${3600 * usd}`;
  const plain = perHour("false", s.billing.plainUsd);
  const reranked = perHour("true", s.billing.rerankUsd);
  const prices = `${s.billing.plainUsd} USD per answer, ${s.billing.rerankUsd} USD with reranking`;
  return {
    height: 8,
    panels: [
      stat({
        id: 14,
        title: "Cost of answers (30 d)",
        description: `Cost of the answers of the last 30 days to all tenants: ${prices}.`,
        unit: "currencyUSD",
        decimals: 2,
        width: 6,
        queries: [{ expr: recorded.billing, legend: "Cost" }],
      }),
      bars({
        id: 15,
        title: "Cost by tenant (30 d)",
        description: `Cost of the answers of the last 30 days to each chosen tenant: ${prices}.`,
        unit: "currencyUSD",
        decimals: 2,
        min: 0,
        width: 9,
        queries: [{ expr: promql`sort_desc(${recorded.billingByTenant}{${tenant}})`, legend: "{{tenant}}" }],
      }),
      timeseries({
        id: 16,
        title: "Cost per hour by tenant",
        description: "What the answers to each chosen tenant cost per hour at the rate of the last 15 minutes.",
        unit: "currencyUSD",
        // An answer costs tenths of a cent.
        decimals: 3,
        min: 0,
        width: 9,
        queries: [{ expr: promql`(${plain} or 0 * (${reranked})) + (${reranked} or 0 * (${plain}))`, legend: "{{tenant}}" }],
      }),
    ],
  };
}
