/**
 * What the panels ask, in PromQL. Recorded series wherever a rule records one; raw metrics only where a query is cheap.
 *
 * `$org` and `$tenant` are the dashboards' variables; All is the pattern `.+`.
 */
import type { Settings } from "../components/settings/schema.ts";
import { parts } from "../components/topology.ts";
import { consumerGroup } from "../rules/events-service.ts";
import { crmApi, crmEvents, stack, type MetricSpec } from "../rules/metrics.ts";
import { probes } from "../rules/probes.ts";
import { promql, quoted } from "../rules/promql.ts";

/** Series recorded by `rules/`, by the names that they have there. */
export const recorded = {
  leads24h: "crm:leads_24h:by_org",
  proposals24h: "crm:proposals_24h:by_org",
  payments24h: "crm:payments_24h:by_org",
  created24h: "crm:invoices_created_24h:by_org",
  paid24h: "crm:invoices_paid_24h:by_org",
  revenue: "crm:revenue_usd:by_org",
  created30d: "crm:invoices_created_30d:by_org",
  paid30d: "crm:invoices_paid_30d:by_org",
  rate30d: "crm:payment_rate_30d_pct:by_org",
  rate30dHistory: "crm:payment_rate_30d_pct:by_org:sparse",
  rate30dOfAll: "crm:payment_rate_30d_pct",
  cacheHit: "aether:cache_hit_ratio:5m",
  rerank: "aether:rerank_utilization_pct:15m",
  lowConfidence: "aether:lowconfidence_pct:15m",
  billing: "aether:billing_cost_usd:30d",
  billingByTenant: "aether:billing_cost_usd:30d:by_tenant",
  health: "aether:health_score:15m:all",
  messages: "crm_events:messages:rate5m",
  httpRequests: "crm_events:http_requests:rate5m",
  clients: "crm_events:sse_clients:current",
  availability: "crm_events:slo:availability:5m",
  throughput: "crm_events:slo:throughput:5m",
  consumers: "kafka:group_consumer_count",
  skew: "kafka:group_skew_ratio",
  partitionLag: "kafka:group_partition_lag",
  lagSum: "kafka:group_lag_sum",
  drainEta: "kafka:group_drain_eta_seconds",
  lagP95: "kafka:group_lag_p95",
  topicMessages: "kafka:topic_message_rate",
  topicBytes: "kafka:topic_byte_rate",
} as const;

/** The chosen organisations. */
const org = 'org_id=~"$org"';
/** The chosen tenants. */
export const tenant = 'tenant=~"$tenant"';

/** Sum of a by-organisation series over the chosen organisations. */
export const sumOfOrgs = (series: string): string => promql`sum(${series}{${org}})`;

/** A by-organisation series of each chosen organisation. */
export const perOrg = (series: string): string => promql`${series}{${org}}`;

/**
 * Payment rate of the chosen organisations together: each weighs as many invoices as it has. Absent without invoices.
 * From their own series alone: a pattern that took the recorded total as well would count everything twice.
 */
export const paymentRate = promql`100 * ${sumOfOrgs(recorded.paid30d)} / (${sumOfOrgs(recorded.created30d)} > 0)`;

/**
 * The same for graphs and trends, at a cost that does not grow with the organisations when all are chosen: then it is the
 * recorded total, else the chosen organisations' own series.
 *
 * A query cannot choose, but a selector can find nothing: All is a pattern that matches every text, so also the name of a
 * series, which no organisation's id matches, as it has no colon.
 */
export const paymentRateOverTime = promql`
  (sum({__name__=${quoted(recorded.rate30dOfAll)}, __name__=~"$org"})
    or 100 * ${sumUnlessAll(recorded.paid30d)} / (${sumUnlessAll(recorded.created30d)} > 0))`;

/** Sum over the chosen organisations, unless all are chosen. */
function sumUnlessAll(series: string): string {
  return promql`sum({__name__=${quoted(series)}, __name__!~"$org", ${org}})`;
}

/** The same per organisation. */
export const paymentRateOf = perOrg(recorded.rate30d);

/** What is left of the payment SLO's budget, in percentage points; negative when it is spent. */
export const budgetLeft = (s: Settings, rate: string): string => promql`${rate} - ${s.thresholds.paymentSloPct}`;

/**
 * Hours until the payment rate reaches the floor if it goes on as in the last 6 h; 0 when it is there, infinite while it
 * does not fall. The slope of a line through the window, because single steps of a rate over 30 d say nothing.
 */
export function hoursToFloor(s: Settings): string {
  const slope = promql`deriv(${paymentRateOverTime}[6h:10m])`;
  const above = promql`clamp_min(${paymentRateOverTime} - ${s.thresholds.paymentFloorPct}, 0)`;
  return promql`${above} / -(${slope} < 0) / 3600 or (${above} > 0) * Inf or ${above}`;
}

/** Whether an alert fires, 1 or 0, at any time. */
export const firing = (alertname: string): string => promql`max(${stack.alerts}{alertname=${quoted(alertname)}, alertstate="firing"}) or vector(0)`;

/** How many alerts fire that match. @param matchers such as `severity="critical"` */
export const firingCount = (matchers: string): string => promql`count(${stack.alerts}{alertstate="firing", ${matchers}}) or vector(0)`;

/** Seconds since a rule group was last evaluated. Unlike the age of a sample it grows without end when rules stand still. */
export const groupAge = (group: string): string =>
  promql`time() - min(${stack.promRuleLastEvaluation}{rule_group=~${quoted(`.*;${group}`)}})`;

/** A metric with matchers, or by its name alone. */
export const select = (metric: MetricSpec, matchers = ""): string => (matchers === "" ? metric.name : promql`${metric}{${matchers}}`);

/** Increments per second of a counter, by labels. */
export const rateBy = (metric: MetricSpec, labels: string, matchers = ""): string => promql`sum by (${labels}) (rate(${select(metric, matchers)}[$__rate_interval]))`;

/** Requests to the CRM's API per second, scrapes and probes apart. */
const apiRequests = (matchers: string) => promql`sum(rate(${crmApi.httpRequests}{${matchers}}[$__rate_interval]))`;
export const apiRate = apiRequests('route!="/metrics"');

/** Share of 5xx answers, percent; 0 without requests. */
export const apiErrors = promql`
  100 * (${apiRequests('route!="/metrics", status=~"5.."')} or vector(0))
    / clamp_min(${apiRequests('route!="/metrics"')}, 1e-9)`;

/** Seconds since QuickBooks was last read without a fault. */
export const qboSyncAge = promql`time() - max(${crmApi.qboLastSync})`;

/** Whether anything is probed over TLS, so that there are certificates to watch. */
export const probesTls = (s: Settings): boolean =>
  Object.values(probes(s))
    .flat()
    .some((p) => p.target.startsWith("https://"));

/** The scrape job of a part, as a matcher. */
export const jobOf = (part: "crm-events" | "crm-api" | "crm-events-health" | "prometheus" | "alertmanager"): string => `job=${quoted(parts[part].job)}`;

/**
 * 0 where no series exists because nothing of its kind has happened; nothing while the exporter does not answer. The 0
 * has no labels, so beside series that have some it would be one more line, of nothing.
 */
export const orZero = (expr: string, part: Parameters<typeof jobOf>[0]): string => promql`${expr} or 0 * max(${stack.up}{${jobOf(part)}} == 1) unless on () (${expr})`;

/** The consumer group of crm-events. */
export const group = `consumergroup=${quoted(consumerGroup)}`;

/** Share of replicas of crm-events whose scrape answers, 0 to 1; 0 as well when there is no target at all. */
export const eventsUp = promql`avg(${stack.up}{${jobOf("crm-events")}}) or vector(0)`;

/**
 * A quantile of a histogram over 5 minutes, in the histogram's unit. Not over Grafana's own interval, which is so short
 * near the present that rare requests would leave gaps.
 * @param quantile 0 to 1
 * @param labels kept apart; all together when absent
 */
export const quantileOf = (quantile: number, histogram: MetricSpec, labels?: string): string =>
  promql`histogram_quantile(${quantile}, sum by (${labels === undefined ? "le" : `le, ${labels}`}) (rate(${`${histogram.name}_bucket`}[5m])))`;

/** Delivery latency in seconds, from the event's own time to the write. */
export const deliveryLatency = (quantile: number): string => quantileOf(quantile, crmEvents.deliveryLatency);

/** Seconds to drain the backlog: 0 when there is none, infinite when it does not shrink. */
export const drainEta = promql`
  ${recorded.drainEta}{${group}}
    or (${recorded.lagSum}{${group}} == 0)
    or ${recorded.lagSum}{${group}} * Inf`;

/** Messages per second by which the backlog shrinks; negative while it grows. */
export const drainRate = promql`-deriv(${recorded.lagSum}{${group}}[5m])`;
