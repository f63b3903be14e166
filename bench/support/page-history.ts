/** Fills a Prometheus with the history that given queries read, under the labels that a running stack's series have. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Settings } from "../../components/settings/schema.ts";
import { lookBackSeconds } from "../../rules/expressions.ts";
import { alerts } from "../../rules/index.ts";
import { allMetrics, stack } from "../../rules/metrics.ts";
import { checkPanels } from "../../test/dashboards/check-panels.ts";
import { startSyntheticStack } from "../../test/dashboards/synthetic-stack.ts";
import { selectorsOf } from "../../test/dashboards/walk.ts";
import { startPrometheus } from "../../test/support/prometheus.ts";
import { processorSeconds } from "./page-queries.ts";
import { writeHistory, type History } from "./remote-write.ts";

/** A query, and the length of the graph that it is for; 0: one point in time. */
export interface Reader {
  readonly expr: string;
  readonly range: number;
}

/** A series as a running stack has it. */
export interface Template {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Names of the metrics that queries read, and how many seconds of history each needs. */
export function reachOf(readers: readonly Reader[]): Map<string, number> {
  const reach = new Map<string, number>();
  for (const { expr, range } of readers) {
    const seconds = range + lookBackSeconds(expr) + lookBack;
    for (const { metric } of selectorsOf(expr)) reach.set(metric, Math.max(reach.get(metric) ?? 0, seconds));
  }
  return reach;
}
/** Prometheus's own look-back of an instant query. */
const lookBack = 300;

/**
 * Runs the exporters of a whole stack with two organisations under the rendered rules until every panel has data, and
 * lists the series.
 */
export async function templatesOf(program: string, s: Settings): Promise<Template[]> {
  const exporters = await startSyntheticStack(s);
  const prometheus = await startPrometheus(program, (port) => exporters.files(port));
  try {
    await sleep(10_000);
    exporters.begin();
    for (let tries = 0; tries < 24 && (await checkPanels(prometheus.url, s)).faults.length > 0; tries++) await sleep(5000);
    const found = await prometheus.query('{__name__=~".+"}');
    const shown = found.filter(({ metric }) => !metric["__name__"]!.startsWith("ALERTS"));
    return [...shown.map(({ metric, value }): Template => ({ labels: metric, value: Number(value[1]) })), ...firingAlerts(s)];
  } finally {
    await prometheus.stop();
    await exporters.stop();
  }
}

/** Every alert fires: the longest tables that there can be without one alert firing several times. */
function firingAlerts(s: Settings): Template[] {
  return alerts(s).flatMap(({ alert, labels }): Template[] => [
    { labels: { ...labels, __name__: stack.alerts.name, alertname: alert, alertstate: "firing" }, value: 1 },
    { labels: { ...labels, __name__: stack.alertsForState.name, alertname: alert }, value: Date.now() / 1000 - 600 },
  ]);
}

const month = 30 * 86_400;
const counters = new Set(allMetrics.flatMap((m) => (m.type === "counter" ? [m.name] : m.type === "histogram" ? ["_bucket", "_sum", "_count"].map((x) => m.name + x) : [])));
const scraped = new Set([...counters, ...allMetrics.map((m) => m.name)]);

/** Seconds between two samples of a metric. */
function stepOf(name: string): number {
  if (name.endsWith(":sparse") || name.endsWith(":copy")) return 120;
  return scraped.has(name) && !name.startsWith("ALERTS") ? 15 : 30;
}

/** Values move as those of a busy stack do, so that they compress no better; `i` is the organisation's number. */
function valueAt({ labels, value }: Template, i: number | undefined, end: number): (time: number) => number {
  const name = labels["__name__"]!;
  const start = end - 2 * month;
  if (counters.has(name)) return (time) => Math.floor(((value + 1 + ((i ?? 0) % 30)) * (time - start)) / 600);
  if (i !== undefined) return name.includes("_pct") ? (time) => 60 + ((i * 7) % 40) + ((i + Math.floor(time / 300)) % 10) / 50 : (time) => 100 + (i % 50) + (Math.floor(time / 300) % 20);
  if (value === 0 || value === 1 || value > 1e9) return () => value;
  return (time) => value * (1 + (Math.floor(time / 300) % 10) / 100);
}

/** The templates' series of the given metrics, with as many organisations as asked for. */
function seriesOf(templates: readonly Template[], name: string, orgs: number, end: number): History[] {
  const own = templates.filter((t) => t.labels["__name__"] === name);
  const [first] = own.filter((t) => "org_id" in t.labels).map((t) => t.labels["org_id"]);
  return own.flatMap((t): History[] => {
    if (!("org_id" in t.labels)) return [{ labels: t.labels, at: valueAt(t, undefined, end) }];
    if (t.labels["org_id"] !== first) return [];
    return Array.from({ length: orgs }, (_, i) => ({ labels: { ...t.labels, org_id: `org-${i}` }, at: valueAt(t, i, end) }));
  });
}

/** How many series a metric has. */
export const seriesCount = (templates: readonly Template[], name: string, orgs: number): number => seriesOf(templates, name, orgs, 0).length;

/**
 * Writes what is needed of each metric, an hour at a time over all of them: the head takes nothing much older than its
 * newest sample.
 * @param reach seconds of history by metric
 * @param end time of the newest sample, seconds
 * @returns how many samples were written
 */
export async function fill(promUrl: string, templates: readonly Template[], reach: ReadonlyMap<string, number>, orgs: number, end: number): Promise<number> {
  const all = [...reach].map(([name, seconds]) => ({ series: seriesOf(templates, name, orgs, end), step: stepOf(name), seconds }));
  let written = 0;
  for (let back = Math.max(...reach.values()); back > 0; back -= 3600) {
    for (const { series, step, seconds } of all) {
      const from = Math.max(end - back, end - seconds);
      const to = Math.min(end - back + 3600 - 1, end);
      // Samples lie on multiples of the step, so that those of two hours follow each other like any others.
      if (from <= to) written += await writeHistory(promUrl, series, Math.ceil(from / step) * step, to, step);
    }
  }
  return written;
}

/** How long Prometheus must be idle; it looks every minute whether there is something to compact. */
const idleSeconds = 70;
const settleLimitSeconds = 900;

/** Waits until Prometheus has compacted what it was given, so that queries have the machine for themselves. */
export async function settled(promUrl: string): Promise<void> {
  let idle = 0;
  for (let waited = 0; idle < idleSeconds && waited < settleLimitSeconds; waited += 5) {
    const before = await processorSeconds(promUrl);
    await sleep(5000);
    idle = (await processorSeconds(promUrl)) - before < 0.5 ? idle + 5 : 0;
  }
}
