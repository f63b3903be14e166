/**
 * What the dashboards cost by number of organisations: every query of every page, for All and for one organisation, and
 * the same from scraped metrics instead of recorded series.
 *
 *   npm exec -- node bench/dashboards.ts [--rounds 5] [--pages uid,…] [--no-raw] [organisations …]        default: all pages at 10, 1000 and 10000
 *
 * A real Prometheus is given the history that the pages read, under the labels that a running stack has. All three sizes
 * take about half an hour; `--rounds 3 --pages peakpro_crm_slo --no-raw 1000` a minute or two.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import { allDashboards } from "../dashboards/index.ts";
import { allOf, usualChoice } from "../test/dashboards/check-panels.ts";
import { selectorsOf } from "../test/dashboards/walk.ts";
import { findPrometheus, startPrometheus } from "../test/support/prometheus.ts";
import { sampleSettings } from "../test/support/settings.ts";
import { root } from "../tools/service-sources.ts";
import { describeMachine } from "./support/machine.ts";
import { fill, reachOf, seriesCount, settled, templatesOf, type Reader, type Template } from "./support/page-history.ts";
import { cost, pageQueries, together, type Cost, type PageCost, type PageQuery } from "./support/page-queries.ts";

/** Goal at 1 000 organisations on two cores, milliseconds. */
const goal = { organisations: 1000, slowest: 100, page: 500 };
/** More samples of one metric than this are not written for the raw queries, and those that need them not measured. */
const rawSamples = 6e6;

const settings = sampleSettings({ httpsTargets: [{ url: "https://crm.example.com", insecure: false }] });

interface Page {
  readonly uid: string;
  readonly all: readonly PageQuery[];
  readonly one: readonly PageQuery[];
}

interface Measured {
  readonly query: PageQuery;
  readonly cost: Cost;
  /** Absent when there is none, or it was not measured. */
  readonly raw?: Cost | "refused";
}

interface Result {
  readonly orgs: number;
  readonly uid: string;
  readonly all: readonly Measured[];
  readonly together: PageCost;
  readonly one: readonly Cost[];
}

function pagesOf(chosen: readonly string[]): Page[] {
  const found = allDashboards(settings).filter((d) => chosen.length === 0 || chosen.includes(d.uid));
  if (found.length === 0) throw new Error(`no page is called ${chosen.join(", ")}`);
  const { tenant } = usualChoice(settings);
  return found.map((d) => ({ uid: d.uid, all: pageQueries(settings, d, allOf(d)), one: pageQueries(settings, d, { org: "org-0", tenant }) }));
}

/** Whether a raw query's history is small enough to be written. */
function affordable(templates: readonly Template[], orgs: number, reader: Reader): boolean {
  return [...reachOf([reader])].every(([name, seconds]) => (seconds / 15) * seriesCount(templates, name, orgs) <= rawSamples);
}

async function measure(program: string, templates: readonly Template[], pages: readonly Page[], orgs: number, rounds: number, raw: boolean): Promise<Result[]> {
  const flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=40d", "--log.level=error"];
  const prometheus = await startPrometheus(program, () => ({ "prometheus.yml": stringify({ global: {} }) }), flags);
  try {
    const end = Math.floor(Date.now() / 120_000) * 120;
    const rawReader = (q: PageQuery): Reader[] => (raw && q.raw !== undefined && affordable(templates, orgs, { ...q, expr: q.raw }) ? [{ expr: q.raw, range: q.range }] : []);
    const readers = pages.flatMap((p) => [...p.all, ...p.all.flatMap(rawReader)]);
    const written = await fill(prometheus.url, templates, reachOf(readers), orgs, end);
    console.error(`${orgs} organisations: ${written} samples written`);
    await settled(prometheus.url);
    const results: Result[] = [];
    for (const { uid, all, one } of pages) {
      const measured: Measured[] = [];
      for (const query of all) {
        const recorded = await cost(prometheus.url, query, end, rounds);
        const [reader] = rawReader(query);
        const slow = reader && (await cost(prometheus.url, { ...query, expr: reader.expr, mayBeEmpty: true }, end, 1).catch(() => "refused" as const));
        measured.push({ query, cost: recorded, ...(slow === undefined ? {} : { raw: slow }) });
      }
      const single: Cost[] = [];
      for (const query of one.filter((q) => q.kind !== "values")) single.push(await cost(prometheus.url, { ...query, mayBeEmpty: true }, end, rounds));
      results.push({ orgs, uid, all: measured, together: await together(prometheus.url, all, end, rounds), one: single });
    }
    return results;
  } finally {
    await prometheus.stop();
  }
}

const ms = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const sum = (costs: readonly Cost[]) => costs.reduce((total, c) => total + c.ms, 0);
const slowest = (measured: readonly Measured[]) => measured.reduce((a, b) => (b.cost.ms > a.cost.ms ? b : a));
const row = (...cells: (string | number)[]) => `| ${cells.join(" | ")} |`;
const table = (columns: readonly string[], rows: readonly string[]) => [row(...columns), row(...columns.map(() => "---")), ...rows, ""];

function pageRow({ orgs, uid, all, together: atOnce, one }: Result): string {
  const of = (...kinds: PageQuery["kind"][]) => all.filter((m) => kinds.includes(m.query.kind));
  const part = (some: readonly Measured[]) => (some.length === 0 ? ["0", "", ""] : [`${some.length}`, `${ms(slowest(some).cost.ms)} (${slowest(some).query.at})`, ms(sum(some.map((m) => m.cost)))]);
  return row(orgs, uid, ...part(of("instant", "values")), ...part(of("range")), ms(sum(all.map((m) => m.cost))), ms(atOnce.ms), ms(atOnce.cpuMs), ms(Math.max(...one.map((c) => c.ms))), ms(sum(one)));
}

/** Per page: the queries that read recorded series, and as many of them from scraped metrics as could be had. */
function rawRow({ orgs, uid, all }: Result): string[] {
  const recorded = all.filter((m) => m.query.raw !== undefined);
  const both = recorded.filter((m) => typeof m.raw === "object");
  if (both.length === 0) return [];
  const [ours, theirs] = [both.map((m) => m.cost), both.map((m) => m.raw as Cost)];
  const samples = (costs: readonly Cost[]) => costs.reduce((total, c) => total + c.samples, 0);
  return [row(orgs, uid, `${both.length} of ${recorded.length}`, ms(sum(ours)), ms(sum(theirs)), (sum(theirs) / sum(ours)).toFixed(1), samples(ours), samples(theirs))];
}

function queryRows({ orgs, uid, all }: Result): string[] {
  const shown = all.filter((m) => m.raw !== undefined && uid.startsWith("peakpro"));
  return shown.map(({ query, cost: c, raw }) => {
    const theirs = raw === "refused" ? ["refused or timed out", "", ""] : [ms(raw!.ms), raw!.samples, (raw!.ms / c.ms).toFixed(1)];
    return row(orgs, `${uid} ${query.at}`, query.kind, ms(c.ms), c.samples, ...theirs);
  });
}

/** One line per page on the goal; none when it was not measured. */
function verdicts(results: readonly Result[]): string[] {
  return results
    .filter((r) => r.orgs === goal.organisations)
    .map((r) => {
      const [worst, total] = [slowest(r.all).cost.ms, sum(r.all.map((m) => m.cost))];
      return `- ${r.uid}: ${worst < goal.slowest && total < goal.page ? "met" : "missed"} (slowest ${ms(worst)} ms, sum ${ms(total)} ms)`;
    });
}

/** What the queries cost from scraped metrics, where that was asked for. */
function rawSection(results: readonly Result[]): string[] {
  const [pages, queries] = [results.flatMap(rawRow), results.flatMap(queryRows)];
  if (queries.length === 0) return [];
  return [
    "## From scraped metrics instead",
    "",
    `Queries that read recorded series, beside the same from scraped metrics, asked once. Not measured where one metric would need over ${rawSamples / 1e6} million samples, such as 30 d of 1 000 organisations.`,
    "",
    ...table(["organisations", "page", "queries", "recorded, ms", "raw, ms", "raw / recorded", "samples", "raw samples"], pages),
    ...table(["organisations", "panel", "kind", "recorded, ms", "samples", "raw, ms", "samples", "raw / recorded"], queries),
  ];
}

function report(results: readonly Result[], rounds: number): string {
  const columns = ["organisations", "page", "instant", "slowest", "sum", "range", "slowest", "sum", "page, sum", "page, at once", "processor", "one chosen, slowest", "one chosen, sum"];
  return [
    "# Dashboards",
    "",
    `\`npm exec -- node bench/dashboards.ts ${process.argv.slice(2).join(" ")}\` on ${new Date().toISOString().slice(0, 10)}. ${describeMachine()}. Milliseconds as a client waits for them, medians of ${rounds}.`,
    "",
    `Goal at ${goal.organisations} organisations on two cores: every query of a page under ${goal.slowest} ms, all of a page under ${goal.page} ms.`,
    "",
    ...verdicts(results),
    "",
    "## Every query of a page",
    "",
    "All chosen, over the time that a page shows at first; in brackets the panel. Drop-downs count as instant, the alerts drawn in graphs as range. At once: until the last answer, when all are asked together, and the processor time of that.",
    "",
    ...table(columns, results.map(pageRow)),
    ...rawSection(results),
  ].join("\n");
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { rounds: { type: "string", default: "5" }, pages: { type: "string", default: "" }, "no-raw": { type: "boolean", default: false } }, allowPositionals: true });
  const found = await findPrometheus();
  if ("missing" in found) throw new Error(`no Prometheus: ${found.missing}`);
  const pages = pagesOf(values.pages.split(",").filter((uid) => uid !== ""));
  const templates = await templatesOf(found.program, { ...settings, timing: "fast", replicas: { crmApi: 2, crmEvents: 2, alertmanager: 1 } });
  const known = new Set(templates.map((t) => t.labels["__name__"]));
  for (const query of pages.flatMap((p) => p.all)) for (const { metric } of selectorsOf(query.expr)) if (!known.has(metric)) console.error(`no series of ${metric}, which ${query.at} asks for`);
  const results: Result[] = [];
  for (const orgs of positionals.length > 0 ? positionals.map(Number) : [10, 1000, 10_000]) {
    results.push(...(await measure(found.program, templates, pages, orgs, Number(values.rounds), !values["no-raw"])));
    console.log(results.filter((r) => r.orgs === orgs).map(pageRow).join("\n"));
  }
  const text = report(results, Number(values.rounds));
  mkdirSync(join(root, "bench/results"), { recursive: true });
  writeFileSync(join(root, "bench/results/dashboards.md"), text);
}

await main();
