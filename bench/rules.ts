/**
 * What recording pays: revenue of 24 h from raw counters beside the recorded series, at one time, over a range and as an
 * alert, and what all rules together cost, by number of organisations.
 *
 *   npm exec -- node bench/rules.ts [organisations ...]        default: 10, 100 and 1000
 *
 * A real Prometheus with the rendered rules scrapes an exporter of that many organisations every 15 s. Before, it is given
 * 30 hours of the raw counter every 15 s and of the recorded series every 30 s, and the recorded copies around the starts
 * of all windows up to 30 days.
 */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { prometheusFiles } from "../components/config/prometheus.ts";
import { crmApi, type MetricSpec } from "../rules/metrics.ts";
import { findPrometheus, freePort, startPrometheus } from "../test/support/prometheus.ts";
import { sampleSettings } from "../test/support/settings.ts";
import { root } from "../tools/service-sources.ts";
import { describeMachine, median, spawnOn } from "./support/machine.ts";
import { writeHistory, type History } from "./support/remote-write.ts";

const rounds = 5;
const hour = 3600;
const historySeconds = 30 * hour;
const rangeSeconds = 6 * hour;
/** Five evaluations of the finance group. */
const settleSeconds = 150;

/** The durable counters, the stems of their recorded copies, and by how many a minute one organisation's grow. */
const counters: readonly (readonly [metric: MetricSpec, stem: string, perMinute: number])[] = [
  [crmApi.invoicesGenerated, "crm:invoices_generated", 0.2],
  [crmApi.invoicesPaid, "crm:invoices_paid", 0.1],
  [crmApi.paymentsCents, "crm:payments_cents", 1234],
  [crmApi.invoicesDue, "crm:invoices_due", 0.1],
  [crmApi.invoicesOverdue, "crm:invoices_overdue", 0.01],
];
const value = (perMinute: number, i: number, time: number) => Math.floor((perMinute * (1 + (i % 7) / 10) * (time % (365 * 24 * hour))) / 60);
const cents = crmApi.paymentsCents.name;

/** The same question from raw counters and from what is recorded. */
const questions = [
  { what: "total at one time", raw: `sum(increase(${cents}{org_id=~".+"}[24h])) / 100`, recorded: 'sum(crm:revenue_usd:by_org{org_id=~".+"})', range: false },
  { what: "by organisation at one time", raw: `sum by (org_id) (increase(${cents}[24h])) / 100`, recorded: "crm:revenue_usd:by_org", range: false },
  { what: "total over 6 h", raw: `sum(increase(${cents}{org_id=~".+"}[24h])) / 100`, recorded: 'sum(crm:revenue_usd:by_org{org_id=~".+"})', range: true },
  { what: "alert on no revenue in 24 h", raw: `sum(increase(${cents}[24h])) == 0`, recorded: "crm:revenue_usd == 0", range: false },
] as const;

/** One query: its time in milliseconds, and the samples that it reads. */
interface Cost {
  readonly ms: number;
  readonly samples: number;
}

async function cost(url: string, expr: string, range: boolean): Promise<Cost | undefined> {
  const now = Math.floor(Date.now() / 1000);
  const when: Record<string, string> = range ? { start: `${now - rangeSeconds}`, end: `${now}`, step: "60" } : { time: `${now}` };
  const times: number[] = [];
  let samples = 0;
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now();
    const response = await fetch(`${url}/api/v1/query${range ? "_range" : ""}`, { method: "POST", body: new URLSearchParams({ query: expr, stats: "all", ...when }) });
    const answer = (await response.json()) as { status: string; error?: string; data: { stats: { samples: { totalQueryableSamples: number } } } };
    if (answer.status !== "success") return undefined;
    times.push(performance.now() - begin);
    samples = answer.data.stats.samples.totalQueryableSamples;
  }
  return { ms: median(times), samples };
}

const ago = (seconds: number) => Math.floor(Date.now() / 1000) - seconds;

/** Fills a storage through a Prometheus of its own, which must not know of the present yet. */
async function fill(program: string, storage: string, orgs: number): Promise<void> {
  const port = await freePort();
  const config = `${storage}.yml`;
  writeFileSync(config, "global: {}\n");
  const child = spawnOn(0, program, [`--config.file=${config}`, `--storage.tsdb.path=${storage}`, `--web.listen-address=127.0.0.1:${port}`, "--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=33d", "--log.level=error"]);
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await fetch(`${url}/-/ready`).then((r) => r.ok, () => false)); tries++) {
    if (tries > 150) throw new Error("Prometheus did not become ready");
    await sleep(200);
  }
  const each = (name: string, at: (i: number, time: number) => number, labels: Readonly<Record<string, string>> = {}) =>
    Array.from({ length: orgs }, (_, i): History => ({ labels: { __name__: name, org_id: `org-${i}`, ...labels }, at: (time) => at(i, time) }));
  const copies = counters.flatMap(([, stem, perMinute]) => each(`${stem}:by_org`, (i, time) => value(perMinute, i, time)));
  for (const edge of [720, 168, 72, 48]) await writeHistory(url, copies, ago(edge * hour + 900), ago(edge * hour - 900), 120);
  const raw = each(cents, (i, time) => value(1234, i, time), { job: "crm_api", instance: "bench" });
  const recorded = [...each("crm:revenue_usd:by_org", (i) => 17_770 * (1 + (i % 7) / 10))];
  for (let start = historySeconds; start > 0; start -= hour) {
    await writeHistory(url, raw, ago(start), ago(start - hour + 15), 15);
    await writeHistory(url, recorded, ago(start), ago(start - hour + 30), 30);
    if (start > 23 * hour && start <= 25 * hour) await writeHistory(url, copies, ago(start), ago(start - hour + 120), 120);
  }
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}

/** An exporter of the counters as they are now. */
async function exporter(orgs: number): Promise<{ target: string; close: () => void }> {
  const server = createServer((_request, response) => {
    const now = Date.now() / 1000;
    const lines = counters.flatMap(([metric, , perMinute]) => Array.from({ length: orgs }, (_, i) => `${metric.name}{org_id="org-${i}"} ${value(perMinute, i, now)}`));
    response.setHeader("content-type", "text/plain; version=0.0.4").end(`${lines.join("\n")}\n`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { target: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

/** Seconds of evaluation that each second of all rule groups takes: a share of one core, if it never waits. */
async function ruleShare(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (name: string) => new Map([...text.matchAll(new RegExp(`^${name}\\{rule_group="([^"]+)"\\} (\\S+)`, "gm"))].map(([, group, v]) => [group!, Number(v)]));
  const [last, interval] = [of("prometheus_rule_group_last_duration_seconds"), of("prometheus_rule_group_interval_seconds")];
  return [...last].reduce((sum, [group, seconds]) => sum + seconds / interval.get(group)!, 0);
}

interface Measured {
  readonly orgs: number;
  readonly share: number;
  readonly answers: readonly { readonly what: string; readonly raw: Cost | undefined; readonly recorded: Cost }[];
}

async function measure(program: string, orgs: number): Promise<Measured> {
  const { target, close } = await exporter(orgs);
  const files = prometheusFiles(sampleSettings());
  const { alerting: _, ...config } = parse(files["prometheus.yml"]!) as Record<string, unknown>;
  const scrape = [{ job_name: "crm_api", static_configs: [{ targets: [target], labels: { instance: "bench" } }] }];
  const prometheus = await startPrometheus(program, () => ({ ...files, "prometheus.yml": stringify({ ...config, scrape_configs: scrape }) }), ["--storage.tsdb.retention.time=33d"], (storage) => fill(program, storage, orgs));
  try {
    const shares: number[] = [];
    for (const end = Date.now() + settleSeconds * 1000; Date.now() < end; await sleep(30_000)) shares.push(await ruleShare(prometheus.url));
    const answers: Measured["answers"][number][] = [];
    for (const { what, raw, recorded, range } of questions) {
      answers.push({ what, raw: await cost(prometheus.url, raw, range), recorded: (await cost(prometheus.url, recorded, range))! });
    }
    // The first evaluations find caches and data as they are after a start.
    return { orgs, share: median(shares.slice(2)), answers };
  } finally {
    await prometheus.stop();
    close();
  }
}

const times = ({ raw, recorded }: Measured["answers"][number]) => (raw === undefined ? Number.NaN : raw.ms / recorded.ms);
const show = (c: Cost | undefined) => (c === undefined ? "refused or timed out | " : `${c.ms.toFixed(1)} | ${c.samples}`);

/** Open pages, with four such panels every 30 s, from which recording takes less work than raw queries, and a tenth of it. */
function viewers({ answers, orgs, share }: Measured): string {
  const [panel] = answers;
  const raw = panel!.raw?.ms ?? Number.NaN;
  const from = (part: number) => {
    const saved = 4 * (part * raw - panel!.recorded.ms);
    return saved > 0 ? `from ${Math.ceil((share * 30_000) / saved)} open pages on` : undefined;
  };
  const tenth = from(0.1);
  return `- 90 % less CPU at ${orgs} organisations, the rules' own work included: ${tenth ? `confirmed ${tenth}` : "not confirmed, however many pages are open"} (four panels each, every 30 s); less at all ${from(1) ?? "never"}`;
}

/** The claims of the documents, each with what was measured. */
function claims(all: readonly Measured[]): string[] {
  const at = (test: (ratio: number) => boolean, question: (what: string) => boolean) =>
    all.flatMap((m) => m.answers.filter((a) => question(a.what) && test(times(a))).map((a) => `${a.what} at ${m.orgs}`));
  const panels = (what: string) => !what.startsWith("alert");
  const verdict = (claim: string, met: readonly string[], of: number) => `- ${claim}: ${met.length === of ? "confirmed" : met.length === 0 ? "not confirmed" : `confirmed for ${met.join(", ")}`}`;
  const panelCount = all.length * 3;
  const slow = all.flatMap((m) => m.answers).filter((a) => a.recorded.ms >= 1000);
  return [
    verdict("queries 10 to 100 times as fast, or faster", at((r) => r >= 10, panels), panelCount),
    verdict("100 times as fast", at((r) => r >= 100, panels), panelCount),
    `- under a second: ${slow.length === 0 ? "confirmed" : `not confirmed for ${slow.map((a) => a.what).join(", ")}`}`,
    verdict("alerts evaluated 3 to 5 times as fast, or faster", at((r) => r >= 3, (what) => !panels(what)), all.length),
    ...all.map(viewers),
    ...all.filter((m) => m.orgs === 1000).map((m) => `- goal, all rules under 5 % of one core at 1 000 organisations: ${m.share < 0.05 ? "met" : "missed"} (${(100 * m.share).toFixed(1)} %)`),
  ];
}

async function main(): Promise<void> {
  const found = await findPrometheus();
  if ("missing" in found) throw new Error(`no Prometheus: ${found.missing}`);
  const sizes = process.argv.slice(2).map(Number);
  const all: Measured[] = [];
  for (const orgs of sizes.length > 0 ? sizes : [10, 100, 1000]) {
    all.push(await measure(found.program, orgs));
    console.log(JSON.stringify(all.at(-1)));
  }
  const rows = all.flatMap((m) => m.answers.map((a) => `| ${m.orgs} | ${a.what} | ${show(a.raw)} | ${show(a.recorded)} | ${times(a).toFixed(1)} |`));
  const text = [
    "# Recording rules",
    "",
    `\`npm exec -- node bench/rules.ts ${process.argv.slice(2).join(" ")}\` on ${new Date().toISOString().slice(0, 10)}. ${describeMachine()}. Milliseconds as a client waits for them, medians of ${rounds}; samples as Prometheus counts those that a query reads.`,
    "",
    "| organisations | revenue of 24 h | raw, ms | samples | recorded, ms | samples | raw / recorded |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    "",
    "| organisations | evaluation of all rules, share of one core |",
    "| --- | --- |",
    ...all.map((m) => `| ${m.orgs} | ${(100 * m.share).toFixed(2)} % |`),
    "",
    "## What the documents claim",
    "",
    ...claims(all),
    "",
  ].join("\n");
  mkdirSync(join(root, "bench/results"), { recursive: true });
  writeFileSync(join(root, "bench/results/rules.md"), text);
}

await main();
