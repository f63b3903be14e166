/** What the page asks Prometheus for. Everything heavy is a recorded series already. */
import { z } from "zod";
import { crmEvents, stack } from "../../../rules/metrics.ts";
import type { Budget, Freshness, Pipeline, Trend, Trends } from "../state.ts";
import { getJson } from "./get-json.ts";

/** A sample of an instant query. */
interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const point = z.tuple([z.number(), z.string()]);
const labels = z.record(z.string(), z.string());
const vectorAnswer = z.object({ data: z.object({ resultType: z.literal("vector"), result: z.array(z.object({ metric: labels, value: point })) }) });
const matrixAnswer = z.object({ data: z.object({ resultType: z.literal("matrix"), result: z.array(z.object({ metric: labels, values: z.array(point) })) }) });

/** Rules count as stale after this many seconds without evaluation; the alert on it says the same. */
const staleAfterSeconds = 300;
const trendSeconds = 3600;
const trendStep = 30;
const listLimit = 24;

/** Answers the page's questions from one Prometheus. */
export interface PrometheusSource {
  pipeline(): Promise<Pipeline>;
  trends(): Promise<Trends>;
  budget(): Promise<Budget>;
  freshness(): Promise<Freshness>;
}

/**
 * @param options.group consumer group whose lag is shown
 * @param options.targetPct payment SLO, percent
 */
export function prometheusSource(options: { readonly url: string; readonly group: string; readonly targetPct: number; readonly timeoutMs: number }): PrometheusSource {
  const { url, targetPct, timeoutMs } = options;
  const ofGroup = `{consumergroup=${JSON.stringify(options.group)}}`;
  const query = async (expr: string): Promise<Sample[]> => {
    const answer = await getJson(`${url}/api/v1/query?query=${encodeURIComponent(expr)}`, vectorAnswer, timeoutMs);
    return answer.data.result.map((r) => ({ labels: r.metric, value: Number(r.value[1]) })).filter((s) => Number.isFinite(s.value));
  };
  const single = async (expr: string): Promise<number | null> => (await query(expr))[0]?.value ?? null;
  const range = async (expr: string): Promise<Trend> => {
    const end = Math.floor(Date.now() / 1000 / trendStep) * trendStep;
    const start = end - trendSeconds;
    const answer = await getJson(`${url}/api/v1/query_range?query=${encodeURIComponent(expr)}&start=${start}&end=${end}&step=${trendStep}`, matrixAnswer, timeoutMs);
    return toTrend(start, end, answer.data.result[0]?.values ?? []);
  };
  const eventsPerSecond = "sum(crm_events:messages:rate5m)";
  const lag = `sum(kafka:group_lag_sum${ofGroup})`;

  return {
    async pipeline() {
      const [clients, rate, total, skew, consumers, partitions] = await Promise.all([
        single(`sum(${crmEvents.sseClients.name})`),
        single(eventsPerSecond),
        single(lag),
        single(`max(kafka:group_skew_ratio${ofGroup})`),
        single(`max(kafka:group_consumer_count${ofGroup})`),
        query(`max by (partition) (kafka:group_partition_lag${ofGroup})`),
      ]);
      return { clients, eventsPerSecond: rate, lag: total, skew, consumers, partitions: toPartitions(partitions) };
    },
    async trends() {
      const [events, lags] = await Promise.all([range(eventsPerSecond), range(lag)]);
      return { eventsPerSecond: events, lag: lags };
    },
    async budget() {
      const [rate, revenue24hUsd, byOrg] = await Promise.all([single("crm:payment_rate_30d_pct"), single("crm:revenue_usd"), query("crm:payment_rate_30d_pct:by_org")]);
      const orgs = byOrg.map((s) => ({ org: s.labels["org_id"] ?? "?", rate: s.value })).sort((a, b) => a.rate - b.rate || a.org.localeCompare(b.org));
      return { target: targetPct, rate, revenue24hUsd, orgs: orgs.slice(0, listLimit) };
    },
    async freshness() {
      const [sinceEvaluated, uptime, up] = await Promise.all([
        query(`time() - max by (rule_group) (${stack.promRuleLastEvaluation.name})`),
        single(`time() - max(${stack.processStart.name}{job="prometheus"})`),
        query(stack.up.name),
      ]);
      // Prometheus says 0 until a group's first evaluation: it cannot be older than Prometheus itself.
      const ages = sinceEvaluated.map((s) => ({ group: groupName(s.labels["rule_group"]), age: Math.min(s.value, uptime ?? s.value) }));
      const groups = ages.map(({ group, age }) => ({ group, ageSeconds: Math.max(0, Math.round(age)), stale: age > staleAfterSeconds }));
      const down = up.filter((s) => s.value === 0).map((s) => `${s.labels["job"]} ${s.labels["instance"]}`);
      return { groups: groups.sort((a, b) => b.ageSeconds - a.ageSeconds).slice(0, listLimit), down: down.sort().slice(0, listLimit), targets: up.length };
    },
  };
}

/** `rule_group` is the file's path, a semicolon and the group's name. */
const groupName = (label: string | undefined): string => label?.split(";").at(-1) ?? "?";

function toPartitions(samples: readonly Sample[]): Pipeline["partitions"] {
  return samples
    .map((s) => ({ partition: Number(s.labels["partition"]), lag: Math.max(0, s.value) }))
    .filter((p) => Number.isInteger(p.partition))
    .sort((a, b) => a.partition - b.partition)
    .slice(0, 128);
}

/** Puts samples onto the full grid, so that a hole in the data is a hole in the line. */
function toTrend(start: number, end: number, samples: readonly (readonly [number, string])[]): Trend {
  const byTime = new Map(samples.map(([time, value]) => [Math.round(time), Number(value)]));
  const times = Array.from({ length: (end - start) / trendStep + 1 }, (_, i) => start + i * trendStep);
  const values = times.map((time) => {
    const value = byTime.get(time);
    return value !== undefined && Number.isFinite(value) ? value : null;
  });
  return { times, values };
}
