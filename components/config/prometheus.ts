/** Prometheus's configuration: scrape jobs, probes, Alertmanagers, and the rule files. */
import { stringify } from "yaml";
import { ruleFiles } from "../../rules/render.ts";
import { probes, type Probe } from "../../rules/probes.ts";
import type { Files } from "../platform/platform.ts";
import type { Settings } from "../settings/schema.ts";
import { duration, timingOf } from "../settings/timing.ts";
import { addressesOf, parts, partsOf, secretsDir, speaksTls, type PartName } from "../topology.ts";

/**
 * `prometheus.yml` and `rules/*.yml`.
 * @throws Error when the rules or routes do not pass their checks (rules/checks.ts)
 */
export function prometheusFiles(s: Settings): Files {
  const { scrapeSeconds, evaluationSeconds } = timingOf(s);
  const config = {
    global: {
      scrape_interval: duration(scrapeSeconds),
      scrape_timeout: duration(Math.min(10, scrapeSeconds)),
      evaluation_interval: duration(evaluationSeconds),
      external_labels: { stack: s.stack },
    },
    rule_files: ["rules/*.yml"],
    alerting: { alertmanagers: [{ static_configs: [{ targets: addressesOf(s, "alertmanager") }] }] },
    scrape_configs: [...partJobs(s), ...ragJob(s), ...probeJobs(s)],
    ...(s.remoteWrite.length > 0 ? { remote_write: s.remoteWrite.map(remoteWrite) } : {}),
  };
  const rules = Object.entries(ruleFiles(s)).map(([name, text]) => [`rules/${name}`, text]);
  return { "prometheus.yml": stringify(config, { lineWidth: 0 }), ...Object.fromEntries(rules) };
}

/** Every replica of a part is a target of its own, so that one that hangs is seen. */
function partJobs(s: Settings): object[] {
  return partsOf(s)
    .filter((name): name is PartName => "job" in parts[name])
    .map((name) => ({ name, job: (parts[name] as { job: string }).job, targets: addressesOf(s, name).filter((a) => !s.ragTargets.includes(a)) }))
    .filter(({ targets }) => targets.length > 0)
    .map(({ name, job, targets }) => ({ job_name: job, ...(speaksTls(s, name) && overTls(s.crmEventsTls!)), static_configs: [{ targets }] }));
}

/** Replicas are scraped by names that their certificate does not have, so the one that it has is said. */
const overTls = ({ serverName, ca }: NonNullable<Settings["crmEventsTls"]>): object => ({ scheme: "https", tls_config: { server_name: serverName, ...(ca !== undefined && { ca }) } });

/** One job for the RAG metrics, whoever exports them: scraped by two jobs they would count twice. */
const ragJob = (s: Settings): object[] => (s.ragTargets.length > 0 ? [{ job_name: "rag-api", static_configs: [{ targets: s.ragTargets }] }] : []);

function probeJobs(s: Settings): object[] {
  const modules = { blackbox_http: "http_2xx", blackbox_tcp: "tcp_connect", blackbox_https: "https_2xx" } as const;
  const all = probes(s);
  return Object.entries(modules)
    .map(([job, module]) => ({ job, module, targets: all[job as keyof typeof all] }))
    .filter(({ targets }) => targets.length > 0)
    .map(({ job, module, targets }) => ({
      job_name: job,
      metrics_path: "/probe",
      params: { module: [module] },
      static_configs: targets.map(probeTarget),
      relabel_configs: [
        { source_labels: ["__address__"], target_label: "__param_target" },
        { source_labels: ["__param_target"], target_label: "instance" },
        { target_label: "__address__", replacement: addressesOf(s, "blackbox")[0] },
      ],
    }));
}

/** The probed part's `service` goes along, so that its alert meets the part's other alerts. */
const probeTarget = (p: Probe): object => ({ targets: [p.target], labels: { service: p.owner.service, ...(p.module ? { __param_module: p.module } : {}) } });

const remoteWrite = (r: Settings["remoteWrite"][number]): object => ({
  url: r.url,
  ...(r.username ? { basic_auth: { username: r.username, password_file: `${secretsDir}/remote-write-password` } } : {}),
});
