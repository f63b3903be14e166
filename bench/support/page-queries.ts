/** What a browser asks when it opens a dashboard: panels, alert annotations and drop-downs, and how long that takes. */
import type { Settings } from "../../components/settings/schema.ts";
import { requestsOf } from "../../test/dashboards/check-panels.ts";
import { healthyEmpty } from "../../test/dashboards/healthy-empty.ts";
import type { Values } from "../../test/dashboards/walk.ts";
import { median } from "./machine.ts";
import type { Reader } from "./page-history.ts";
import { rawQuery } from "./raw-queries.ts";

/** One request of a page. */
export interface PageQuery extends Reader {
  /** Such as `8` or `10 B` for a panel's query, `alerts`, `$org`. */
  readonly at: string;
  readonly kind: "instant" | "range" | "values";
  /** The label whose values a drop-down asks for. */
  readonly label?: string;
  /** Seconds between two points of a graph. */
  readonly step: number;
  /** The same over scraped metrics; absent when it reads no recorded series. */
  readonly raw?: string;
  /** Whether it may have nothing to show. */
  readonly mayBeEmpty: boolean;
}

/** Every request of a dashboard for these values of its variables, over the time that it shows at first. */
export function pageQueries(s: Settings, d: { uid: string; json: string }, values: Values): PageQuery[] {
  const { annotations, templating } = JSON.parse(d.json);
  const panels = requestsOf(s, d, values);
  const several = new Set(panels.filter((r) => r.refId !== "A").map((r) => r.panel));
  const found = panels.map((r): PageQuery => {
    const raw = rawQuery(s, r.expr);
    return {
      at: several.has(r.panel) ? `${r.panel} ${r.refId}` : `${r.panel}`,
      kind: r.graph ? "range" : "instant",
      expr: r.expr,
      range: r.graph?.range ?? 0,
      step: r.graph?.step ?? 0,
      mayBeEmpty: healthyEmpty.some((h) => h.uid === d.uid && h.panel === r.panel),
      ...(raw === undefined ? {} : { raw }),
    };
  });
  const range = Math.max(...panels.map((r) => r.graph?.range ?? 0));
  const alerts = annotations.list.map((a: { target: { expr: string } }): PageQuery => ({ at: "alerts", kind: "range", expr: a.target.expr, range, step: Math.max(60, Math.ceil(range / 600)), mayBeEmpty: true }));
  const variables = templating.list.slice(1).map((v: { name: string; query: { query: string } }): PageQuery => {
    const [, expr, label] = /^label_values\(([\w:]+), (\w+)\)$/.exec(v.query.query)!;
    return { at: `$${v.name}`, kind: "values", expr: expr!, label: label!, range, step: 0, mayBeEmpty: false };
  });
  return [...found, ...alerts, ...variables];
}

/** What one request took. */
export interface Cost {
  readonly ms: number;
  /** Samples that Prometheus counts as read; 0 for a drop-down. */
  readonly samples: number;
}

/**
 * Asks once.
 * @param end time of the newest sample, seconds
 * @throws Error with Prometheus's words, or when there is no answer where there must be one
 */
export async function ask(url: string, { kind, expr, label, range, step, mayBeEmpty }: Omit<PageQuery, "at">, end: number): Promise<Cost> {
  const started = performance.now();
  if (kind === "values") {
    const query = new URLSearchParams({ "match[]": expr, start: `${end - range}`, end: `${end}` });
    await answerOf(await fetch(`${url}/api/v1/label/${label}/values?${query}`), expr, false);
    return { ms: performance.now() - started, samples: 0 };
  }
  const when: Record<string, string> = kind === "range" ? { start: `${end - range}`, end: `${end}`, step: `${step}` } : { time: `${end}` };
  const response = await fetch(`${url}/api/v1/query${kind === "range" ? "_range" : ""}`, { method: "POST", body: new URLSearchParams({ query: expr, stats: "all", ...when }) });
  const data = (await answerOf(response, expr, mayBeEmpty)) as { stats: { samples: { totalQueryableSamples: number } } };
  return { ms: performance.now() - started, samples: data.stats.samples.totalQueryableSamples };
}

async function answerOf(response: Response, expr: string, mayBeEmpty: boolean): Promise<unknown> {
  const answer = (await response.json()) as { status: string; error?: string; data?: unknown };
  if (answer.status !== "success") throw new Error(`${answer.error ?? response.status}: ${expr}`);
  const data = answer.data as unknown[] | { result: unknown[] };
  const size = Array.isArray(data) ? data.length : data.result.length;
  if (size === 0 && !mayBeEmpty) throw new Error(`no data, so nothing was measured: ${expr}`);
  return data;
}

/** The median of some rounds, after one that fills caches. */
export async function cost(url: string, query: Omit<PageQuery, "at">, end: number, rounds: number): Promise<Cost> {
  await ask(url, query, end);
  const all: Cost[] = [];
  for (let i = 0; i < rounds; i++) all.push(await ask(url, query, end));
  return { ms: median(all.map((c) => c.ms)), samples: all[0]!.samples };
}

/** A page's requests all at once, as a browser makes them; the median of some rounds. */
export interface PageCost {
  /** Milliseconds until the last answer. */
  readonly ms: number;
  /** Milliseconds of processor time that Prometheus took for all of them: hardly more where others use the machine too. */
  readonly cpuMs: number;
}

/** Asks everything that a page asks, at once. */
export async function together(url: string, queries: readonly PageQuery[], end: number, rounds: number): Promise<PageCost> {
  const times: number[] = [];
  const before = await processorSeconds(url);
  for (let i = 0; i < rounds; i++) {
    const started = performance.now();
    await Promise.all(queries.map((q) => ask(url, q, end)));
    times.push(performance.now() - started);
  }
  return { ms: median(times), cpuMs: (1000 * ((await processorSeconds(url)) - before)) / rounds };
}

/** Processor time that a Prometheus has used, in steps of 10 ms. */
export async function processorSeconds(url: string): Promise<number> {
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1]);
}
