/**
 * A second Prometheus with the stack's own rendered rules, on weeks of made-up history. It tells the running stack's
 * Alertmanager, under the same labels, what the stack's Prometheus would tell after those weeks.
 */
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { ensureTool } from "../../airgap/tools.ts";
import { prometheusFiles } from "../../components/config/prometheus.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { seconds } from "../../components/settings/timing.ts";
import { crmApi, crmEvents, stack, type MetricSpec } from "../../rules/metrics.ts";
import { alerts } from "../../rules/index.ts";
import { startPrometheus } from "./prometheus.ts";
import { at, command } from "./stack.ts";

/** Business of one organisation: revenue until 49 h ago, invoices until 25 h ago, of which 3 in 10 are paid. */
const hour = 3600;
const begin = 31 * 24 * hour;
const orgs = ["acme", "globex"];

/** Value of each durable counter so many seconds ago. */
const counters: readonly { readonly metric: MetricSpec; readonly stem: string; readonly value: (ago: number) => number }[] = [
  { metric: crmApi.invoicesGenerated, stem: "crm:invoices_generated", value: (ago) => Math.floor((2 * (begin - Math.max(ago, 25 * hour))) / hour) },
  { metric: crmApi.invoicesPaid, stem: "crm:invoices_paid", value: (ago) => Math.floor((0.6 * (begin - Math.max(ago, 25 * hour))) / hour) },
  { metric: crmApi.paymentsCents, stem: "crm:payments_cents", value: (ago) => Math.floor((12_345 * (begin - Math.max(ago, 49 * hour))) / hour) },
  { metric: crmApi.invoicesDue, stem: "crm:invoices_due", value: () => 1000 },
  { metric: crmApi.invoicesOverdue, stem: "crm:invoices_overdue", value: () => 50 },
];

/** Starts of the windows that rules look back to; the recorded copies have samples around them, and Prometheus was away in between. */
const edges = [2, 6, 24, 48, 72, 7 * 24, 30 * 24].map((hours) => hours * hour);
const stepSeconds = 60;

type Sample = readonly [series: string, value: number, ago: number];

const around = (ago: number): number[] => Array.from({ length: 35 }, (_, i) => ago + 10 * 60 - i * stepSeconds);
const lastMinutes = Array.from({ length: 9 }, (_, i) => (9 - i) * stepSeconds);

function samples(s: Settings, now: number): Sample[] {
  const copies = [...edges.flatMap(around), ...lastMinutes].flatMap((ago) => orgs.flatMap((org) => counters.map((c): Sample => [`${c.stem}:by_org{org_id="${org}"}`, c.value(ago), ago])));
  const scraped = around(24 * hour).map((ago): Sample => [`${crmApi.invoicesGenerated.name}{org_id="acme",job="crm_api",instance="crm-api:8080"}`, counters[0]!.value(ago), ago]);
  const recorded = [25, 49, 7 * 24 + 1].flatMap((hours): Sample[] => [["crm:revenue_usd", 1, hours * hour], ["crm:invoices_created_24h", 1, hours * hour]]);
  // Alerts that must hold for long have held all that time; Prometheus takes this up again when it starts.
  const held = alerts(s)
    .filter((a) => ["LowInvoicePaymentRate", "RevenueFlatlineSlow"].includes(a.alert))
    .map((a): Sample => [`${stack.alertsForState.name}{${labels({ alertname: a.alert, ...a.labels })}}`, Math.round(now - seconds(a.for) - 120), 5]);
  // Targets answered before the second Prometheus scrapes for the first time.
  const up = ["crm_api", "crm-events"].map((job): Sample => [`up{job="${job}",instance="${job}"}`, 1, 5]);
  return [...copies, ...scraped, ...recorded, ...held, ...up];
}

const labels = (all: Readonly<Record<string, string>>): string => Object.entries(all).map(([name, value]) => `${name}="${value}"`).join(",");

/** Writes blocks as Prometheus itself does. @param storage folder of the blocks */
async function backfill(s: Settings, storage: string): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const lines = samples(s, now).map(([series, value, ago]) => `${series} ${value} ${now - ago}`);
  const folder = mkdtempSync(join(tmpdir(), "history-"));
  const file = join(folder, "samples.om");
  writeFileSync(file, `${[...lines, "# EOF"].join("\n")}\n`);
  try {
    await command(await ensureTool("promtool"), "tsdb", "create-blocks-from", "openmetrics", file, storage);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Troubles of the present that the history's exporter can show. */
export interface Present {
  /** The store's own sums differ from the recorded ones. */
  drift: boolean;
  /** The last synchronisation with QuickBooks is two hours ago. */
  syncStale: boolean;
}

function exposition(job: string, present: Present, startedAt: number): string {
  if (job === "crm_api") {
    const totals = counters.flatMap((c) => orgs.map((org) => `${c.metric.name}{org_id="${org}"} ${c.value(0)}`));
    const store = [crmApi.storeInvoicesCreated24h, crmApi.storeInvoicesPaid24h, crmApi.storeRevenueCents24h].map((m) => `${m.name}{org_id="acme"} ${present.drift ? 7 : 0}`);
    return [...totals, ...store, `${crmApi.qboLastSync.name} ${present.syncStale ? startedAt - 2 * hour : startedAt}`, `${crmApi.qboWritesFailed.name} 2`, ""].join("\n");
  }
  if (job === "crm-events") return `${crmEvents.fanoutSilent.name}{partition="0"} 90\n`;
  if (job === "prometheus") {
    const group = 'rule_group="/etc/prometheus/current/rules/crm-finance.yml;crm_finance.recording"';
    return [`${stack.promRuleLastEvaluation.name}{${group}} ${startedAt - 400}`, `${stack.promAlertmanagers.name} 0`, `${stack.promStorageBytes.name} ${17.5 * 2 ** 30}`, `${stack.promWalBytes.name} ${2 ** 30}`, ""].join("\n");
  }
  return "drill_target 1\n";
}

export interface History {
  readonly present: Present;
  stop(): Promise<void>;
}

const jobs = ["crm_api", "crm-events", "prometheus"];

/**
 * Starts it.
 * @param s settings of the running stack
 * @throws Error when there is no Prometheus and none can be built
 */
export async function startHistory(s: Settings): Promise<History> {
  const program = await ensureTool("prometheus");
  const present: Present = { drift: false, syncStale: false };
  const startedAt = Math.floor(Date.now() / 1000);
  const exporter = createServer((request, response) => response.end(exposition(request.url!.slice(1), present, startedAt)));
  exporter.listen(0, "127.0.0.1");
  await once(exporter, "listening");
  const target = `127.0.0.1:${(exporter.address() as AddressInfo).port}`;
  const rendered = prometheusFiles(s);
  const config = {
    ...(parse(rendered["prometheus.yml"]!) as object),
    alerting: { alertmanagers: [{ static_configs: [{ targets: [new URL(at("alertmanager")).host] }] }] },
    scrape_configs: jobs.map((job) => ({ job_name: job, metrics_path: `/${job}`, fallback_scrape_protocol: "PrometheusText0.0.4", static_configs: [{ targets: [target], labels: { instance: job } }] })),
  };
  const flags = ["--storage.tsdb.retention.time=33d", "--rules.alert.resend-delay=4s", "--rules.alert.for-grace-period=1s"];
  try {
    const prometheus = await startPrometheus(program, () => ({ ...rendered, "prometheus.yml": stringify(config) }), flags, (storage) => backfill(s, storage));
    return { present, stop: async () => void (await prometheus.stop(), exporter.close()) };
  } catch (error) {
    exporter.close();
    throw error;
  }
}
