/** Asks a real Prometheus what every panel of every dashboard would ask, and says what came back empty or wrong. */
import { allDashboards } from "../../dashboards/index.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { seconds, timingOf } from "../../components/settings/timing.ts";
import { healthyEmpty } from "./healthy-empty.ts";
import { expand, panelsOf, type Values } from "./walk.ts";

/** What one query of one panel gave. */
export interface QueryOutcome {
  readonly uid: string;
  readonly panel: number;
  readonly title: string;
  readonly refId: string;
  /** `All`, or the chosen organisation and tenant. */
  readonly selection: string;
  readonly expr: string;
  readonly outcome: "data" | "empty" | "error";
  /** Prometheus's words for an error. */
  readonly message?: string;
  readonly series: number;
  /** Wall time of the request, seconds. */
  readonly seconds: number;
  /** Organisations and tenants among the results. */
  readonly orgs: readonly string[];
  readonly tenants: readonly string[];
  /** Labels that the legend names and no series has. */
  readonly missingLabels: readonly string[];
}

/** What a drop-down offers. */
export interface VariableOutcome {
  readonly uid: string;
  readonly name: string;
  readonly values: readonly string[];
}

export interface PanelReport {
  readonly queries: readonly QueryOutcome[];
  readonly variables: readonly VariableOutcome[];
  /** One line per panel or variable that is not as it should be; none when all is well. */
  readonly faults: readonly string[];
  /** Declared panels that were empty, as `uid panel`. */
  readonly emptyAsDeclared: readonly string[];
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: [number, string];
  readonly values?: [number, string][];
}

/** What is asked for when one organisation and one tenant are chosen; the tenant is a VIP, so that every row has something. */
export interface Choice {
  readonly org: string;
  readonly tenant: string;
}

/** Points that a graph of usual width has. */
const graphPoints = 600;

/** The first organisation, and the first tenant that is a VIP. */
export function usualChoice(s: Settings): Choice {
  const vip = new RegExp(`^(?:${s.vipPattern})$`);
  return { org: s.orgs[0]?.id ?? "none", tenant: s.tenants.find((t) => vip.test(t)) ?? s.tenants[0] ?? "none" };
}

/**
 * Runs every query of every panel, with All and with one organisation and tenant chosen, and every variable's query.
 * @param promUrl base URL of a Prometheus
 * @param choice the organisation and tenant that must have data
 */
export async function checkPanels(promUrl: string, s: Settings, choice: Choice = usualChoice(s)): Promise<PanelReport> {
  const queries: QueryOutcome[] = [];
  const variables: VariableOutcome[] = [];
  for (const d of allDashboards(s)) {
    for (const v of JSON.parse(d.json).templating.list.slice(1)) variables.push({ uid: d.uid, name: v.name, values: await labelValues(promUrl, v.query.query) });
    const one = requestsOf(s, d, { ...choice }).map((r) => ({ ...r, selection: `${choice.org}, ${choice.tenant}` }));
    for (const r of [...requestsOf(s, d, allOf(d)), ...one.filter((r) => r.selected)]) {
      const { uid, panel, title, refId, expr, legend, selection } = { selection: "All", ...r };
      queries.push({ uid, panel, title, refId, selection, expr, ...judged(await ask(promUrl, r), legend) });
    }
  }
  return { queries, variables, ...faultsOf(s, queries, variables, choice) };
}

/** What Grafana puts in for each of a dashboard's variables when All is chosen. */
export const allOf = (d: { json: string }): Values =>
  Object.fromEntries(JSON.parse(d.json).templating.list.flatMap((v: { name: string; allValue?: string }) => (v.allValue === undefined ? [] : [[v.name, v.allValue]])));

/** One request as Grafana makes it. */
export interface PanelRequest {
  readonly uid: string;
  readonly panel: number;
  readonly title: string;
  readonly refId: string;
  readonly legend: string;
  readonly expr: string;
  /** Whether the dashboard's own variables are in it. */
  readonly selected: boolean;
  /** Length and step of a graph, seconds; a single value at present when absent. */
  readonly graph?: { readonly range: number; readonly step: number };
}

/** The requests that a dashboard makes when it is opened with these values of its variables. */
export function requestsOf(s: Settings, d: { uid: string; json: string }, values: Values): PanelRequest[] {
  const range = seconds(JSON.parse(d.json).time.from.replace(/^now-/, ""));
  const { scrapeSeconds } = timingOf(s);
  return panelsOf(d).flatMap(({ panel, targets }) =>
    targets.map((t): PanelRequest => {
      const expr = expand(t.expr, { ...values, __range: `${range}s`, __rate_interval: `${Math.max(60, 4 * scrapeSeconds)}s` });
      const step = Math.max(scrapeSeconds, Math.ceil(range / (panel.maxDataPoints ?? graphPoints)));
      const graph = t.instant ? {} : { graph: { range, step } };
      return { uid: d.uid, panel: panel.id!, title: panel.title!, refId: t.refId!, legend: t.legendFormat ?? "", expr, selected: /\$(org|tenant)\b/.test(t.expr), ...graph };
    }),
  );
}

/** Prometheus's answer, and the wall time that it took. */
export interface Answer {
  readonly result: readonly Series[];
  readonly error?: string;
  readonly seconds: number;
}

export async function ask(promUrl: string, { expr, graph }: Pick<PanelRequest, "expr" | "graph">): Promise<Answer> {
  const now = Date.now() / 1000;
  const body = new URLSearchParams(
    graph === undefined ? { query: expr, time: String(now) } : { query: expr, start: String(now - graph.range), end: String(now), step: String(graph.step) },
  );
  const started = performance.now();
  const response = await fetch(`${promUrl}/api/v1/${graph === undefined ? "query" : "query_range"}`, { method: "POST", body });
  const answer = (await response.json()) as { status: string; error?: string; data?: { result: Series[] } };
  const took = (performance.now() - started) / 1000;
  return answer.status === "success" ? { result: answer.data!.result, seconds: took } : { result: [], error: answer.error ?? `status ${response.status}`, seconds: took };
}

function judged({ result, error, seconds: took }: Answer, legend: string) {
  const filled = result.filter((r) => (r.value ? [r.value] : (r.values ?? [])).some(([, v]) => v !== "NaN"));
  const of = (label: string) => [...new Set(filled.flatMap((r) => r.metric[label] ?? []))].sort();
  const named = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map((m) => m[1]!);
  const outcome: QueryOutcome["outcome"] = error !== undefined ? "error" : filled.length > 0 ? "data" : "empty";
  return {
    outcome,
    ...(error === undefined ? {} : { message: error }),
    series: filled.length,
    seconds: took,
    orgs: of("org_id"),
    tenants: of("tenant"),
    missingLabels: filled.length === 0 ? [] : named.filter((label) => !filled.some((r) => label in r.metric)),
  };
}

async function labelValues(promUrl: string, query: string): Promise<string[]> {
  const [, metric, label] = /^label_values\(([\w:]+), (\w+)\)$/.exec(query) ?? [];
  const response = await fetch(`${promUrl}/api/v1/label/${label}/values?match[]=${metric}`);
  return ((await response.json()) as { data?: string[] }).data ?? [];
}

function faultsOf(s: Settings, queries: readonly QueryOutcome[], variables: readonly VariableOutcome[], choice: Choice): Pick<PanelReport, "faults" | "emptyAsDeclared"> {
  const faults: string[] = [];
  const emptyAsDeclared = new Set<string>();
  for (const q of queries) {
    const at = `${q.uid} ${q.panel} "${q.title}" ${q.refId} (${q.selection})`;
    if (q.outcome === "error") faults.push(`${at}: ${q.message}`);
    if (q.outcome === "empty") {
      if (healthyEmpty.some((h) => h.uid === q.uid && h.panel === q.panel)) emptyAsDeclared.add(`${q.uid} ${q.panel}`);
      else faults.push(`${at}: no data for ${q.expr}`);
    }
    if (q.missingLabels.length > 0) faults.push(`${at}: no series has the label ${q.missingLabels.join(", ")} of its legend`);
    if (q.selection !== "All" && q.orgs.some((o) => o !== choice.org)) faults.push(`${at}: shows ${q.orgs.join(", ")} when ${choice.org} is chosen`);
    if (q.selection !== "All" && q.tenants.some((t) => t !== choice.tenant)) faults.push(`${at}: shows ${q.tenants.join(", ")} when ${choice.tenant} is chosen`);
  }
  const wanted: Record<string, readonly string[]> = { org: s.orgs.map((o) => o.id), tenant: s.tenants };
  for (const v of variables) {
    const missing = (wanted[v.name] ?? []).filter((name) => !v.values.includes(name));
    if (v.values.length === 0 || missing.length > 0) faults.push(`${v.uid} $${v.name}: offers ${v.values.join(", ") || "nothing"}, lacks ${missing.join(", ")}`);
  }
  return { faults, emptyAsDeclared: [...emptyAsDeclared] };
}
