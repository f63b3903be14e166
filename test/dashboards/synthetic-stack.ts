/**
 * Exporters that stand in for a whole running stack: every metric of `rules/metrics.ts`, with plausible labels and
 * values that move, served by one HTTP server, one path per target. Prometheus's own metrics are its own.
 */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { stringify } from "yaml";
import type { Settings } from "../../components/settings/schema.ts";
import { duration, timingOf } from "../../components/settings/timing.ts";
import { addressesOf, parts, type PartName } from "../../components/topology.ts";
import { crmApi, crmEvents, healthProbe, kafka, rag, stack, type MetricSpec } from "../../rules/metrics.ts";
import { probes } from "../../rules/probes.ts";
import { ruleFiles } from "../../rules/render.ts";
import { consumerGroup } from "../../rules/events-service.ts";

type Labels = Readonly<Record<string, string>>;

export interface SyntheticStack {
  /** What `/metrics` of the CRM says now, per organisation. */
  readonly cents: Readonly<Record<string, number>>;
  /** Counters grow from now on; until then they are 0, as a new CRM's are. */
  begin(): void;
  /** Counters stand still from now on. */
  freeze(): void;
  /** The consumer group loses its members. */
  loseConsumers(): void;
  /** The target of a part does not answer any more. */
  silence(part: PartName): void;
  /** Prometheus's configuration folder for these exporters. @param own Prometheus's own port */
  files(own: number): Record<string, string>;
  stop(): Promise<void>;
}

/** Values of each label that is not the organisation's or tenant's. */
const labelValues: Readonly<Record<string, readonly string[]>> = {
  method: ["GET", "POST"],
  route: ["/invoices", "/payments"],
  path: ["/crm-events", "/healthz"],
  status: ["200", "201"],
  operation: ["query", "cdc"],
  entity: ["Invoice", "Payment"],
  result: ["ok"],
  reason: ["slow"],
  verdict: ["ready", "not_ready", "unknown", "warming_up"],
  rerank: ["true", "false"],
  consumergroup: [consumerGroup],
  state: ["active", "suppressed"],
  integration: ["slack", "webhook"],
};

/** Starts the exporters on a free port of 127.0.0.1. */
export async function startSyntheticStack(s: Settings): Promise<SyntheticStack> {
  const started = Date.now();
  let begunAt: number | undefined;
  let frozenAt: number | undefined;
  let members = 2;
  const silent = new Set<string>();
  const ticks = () => (begunAt === undefined ? 0 : Math.floor(((frozenAt ?? Date.now()) - begunAt) / 1000));
  const cents: Record<string, number> = Object.fromEntries(s.orgs.map((o) => [o.id, 0]));

  /** One value; counters grow by the second, by another step for each organisation, tenant and partition. */
  const value = (spec: MetricSpec, labels: Labels): number => {
    const t = ticks();
    const step = 1 + Math.max(0, s.orgs.findIndex((o) => o.id === labels["org_id"]), s.tenants.indexOf(labels["tenant"] ?? ""));
    if (spec === crmApi.paymentsCents) return (cents[labels["org_id"]!] = t * (12_345 * step + 1));
    if (spec === crmApi.invoicesPaid) return Math.floor(t * step * 0.9);
    if (spec === crmApi.invoicesOverdue) return Math.floor(t * step * 0.1);
    if (spec === rag.cacheHits || spec === rag.lowConfidence) return Math.floor(t * step * (spec === rag.cacheHits ? 0.6 : 0.05));
    if (spec === crmApi.qboRefreshExpiry || spec === crmApi.qboAccessExpiry) return started / 1000 + 50 * 86_400;
    if (spec === crmApi.qboLastSync || spec === stack.processStart) return started / 1000;
    if (spec === kafka.topicOffset || spec === kafka.groupOffset) return t * 10;
    if (spec === kafka.groupLag) return 5 * Number(labels["partition"]);
    if (spec === kafka.groupMembers) return members;
    if (spec === healthProbe.status) return labels["verdict"] === "ready" ? 1 : 0;
    if (spec === crmEvents.sseClients) return 3;
    if (spec.name.includes("successful") || spec === stack.probeSuccess || spec === kafka.brokers) return 1;
    return spec.type === "gauge" ? (/open|failed|failures|under_replicated|age|lag|depth/.test(spec.name) ? 0 : 1) : t * step;
  };

  const labelSets = (spec: MetricSpec): Labels[] =>
    spec.labels.reduce<Labels[]>(
      (sets, label) => {
        const values = valuesOf(s, label);
        return sets.flatMap((set) => values.map((v) => ({ ...set, [label]: v })));
      },
      [{}],
    );

  const server = createServer((request, response) => {
    const [, job = "", instance = ""] = decodeURIComponent(request.url ?? "").split("|");
    if (silent.has(job)) return void response.writeHead(503).end();
    const text = metricsOf(job).flatMap((spec) => lines(spec, labelSets(spec), value));
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(`${text.join("\n")}\n# ${instance}\n`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    cents,
    begin: () => void (begunAt ??= Date.now()),
    freeze: () => void (frozenAt ??= Date.now()),
    loseConsumers: () => void (members = 0),
    silence: (part) => void silent.add((parts[part] as { job: string }).job),
    files: (own) => ({ "prometheus.yml": configuration(s, (server.address() as { port: number }).port, own), ...rules(s) }),
    stop: () => closed(server),
  };
}

function valuesOf(s: Settings, label: string): readonly string[] {
  if (label === "org_id") return s.orgs.map((o) => o.id);
  if (label === "tenant") return s.tenants;
  if (label === "topic") return [s.kafka.topic];
  if (label === "partition") return Array.from({ length: s.kafka.partitions }, (_, i) => String(i));
  const values = labelValues[label];
  if (values === undefined) throw new Error(`no values for the label ${label}`);
  return values;
}

/** The rendered rules; sparse groups are evaluated as often as the others, so that a test need not wait for them. */
const rules = (s: Settings) =>
  Object.fromEntries(Object.entries(ruleFiles(s)).map(([name, text]) => [`rules/${name}`, text.replaceAll(/interval: \d+[mh]$/gm, `interval: ${duration(timingOf(s).evaluationSeconds)}`)]));

const processMetrics = [stack.processStart, stack.residentMemory, stack.processCpu];

/** What the target of a job exports. */
function metricsOf(job: string): readonly MetricSpec[] {
  const byJob: Readonly<Record<string, readonly MetricSpec[]>> = {
    [parts["crm-api"].job]: [...Object.values(crmApi), ...processMetrics],
    [parts["crm-events"].job]: [...Object.values(crmEvents), ...processMetrics],
    [parts["crm-events-health"].job]: [...Object.values(healthProbe), ...processMetrics],
    [parts["kafka-exporter"].job]: [...Object.values(kafka), ...processMetrics],
    [parts.alertmanager.job]: [stack.amReloadOk, stack.amNotifications, stack.amNotificationsFailed, stack.amAlerts, stack.amClusterMembers, ...processMetrics],
    "rag-api": Object.values(rag),
  };
  return job.startsWith("blackbox_") ? [stack.probeSuccess, stack.probeDuration, stack.probeCertExpiry] : (byJob[job] ?? processMetrics);
}

function lines(spec: MetricSpec, sets: readonly Labels[], value: (spec: MetricSpec, labels: Labels) => number): string[] {
  const text = (name: string, labels: Labels, v: number) => `${name}{${Object.entries(labels).map(([k, x]) => `${k}="${x}"`).join(",")}} ${v}`;
  const samples = sets.flatMap((labels) => {
    const v = value(spec, labels);
    if (spec.type !== "histogram") return [text(spec.name, labels, v)];
    const buckets = ["0.01", "0.1", "1", "+Inf"].map((le, i) => text(`${spec.name}_bucket`, { ...labels, le }, Math.floor((v * (i + 1)) / 4)));
    return [...buckets, text(`${spec.name}_sum`, labels, v * 0.05), text(`${spec.name}_count`, labels, v)];
  });
  return [`# TYPE ${spec.name} ${spec.type}`, ...samples];
}

/** The jobs and instances of the real stack, at the exporters' one address. */
function configuration(s: Settings, port: number, own: number): string {
  const { scrapeSeconds, evaluationSeconds } = timingOf(s);
  const job = (name: string, targets: readonly { instance: string; labels?: Labels }[]) => ({
    job_name: name,
    static_configs: targets.map(({ instance, labels }) => ({ targets: [`127.0.0.1:${port}`], labels: { instance, ...labels, __metrics_path__: `/|${name}|${instance}` } })),
  });
  const scraped: PartName[] = ["crm-api", "crm-events", "crm-events-health", "kafka-exporter", "alertmanager"];
  return stringify({
    global: { scrape_interval: duration(scrapeSeconds), scrape_timeout: duration(scrapeSeconds), evaluation_interval: duration(evaluationSeconds) },
    rule_files: ["rules/*.yml"],
    scrape_configs: [
      ...scraped.map((part) => job((parts[part] as { job: string }).job, addressesOf(s, part).map((instance) => ({ instance })))),
      ...(s.ragTargets.length > 0 ? [job("rag-api", s.ragTargets.map((instance) => ({ instance })))] : []),
      ...Object.entries(probes(s))
        .filter(([, targets]) => targets.length > 0)
        .map(([name, targets]) => job(name, targets.map((p: { target: string; owner: { service: string } }) => ({ instance: p.target, labels: { service: p.owner.service } })))),
      { job_name: parts.prometheus.job, static_configs: [{ targets: [`127.0.0.1:${own}`], labels: { instance: "prometheus:9090" } }] },
    ],
  });
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}
