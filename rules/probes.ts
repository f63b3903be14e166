/** What is probed from outside, as a caller would reach it. */
import type { Settings } from "../components/settings/schema.ts";
import { parts, type PartName } from "../components/topology.ts";
import { ownerOf, type Owner } from "./owners.ts";

export interface Probe {
  /** URL, or HOST:PORT for TCP. */
  readonly target: string;
  readonly owner: Owner;
  /** Module of the blackbox exporter, when it is not the job's own. */
  readonly module?: string;
}

/** Probes by scrape job. */
export interface Probes {
  readonly blackbox_http: readonly Probe[];
  readonly blackbox_tcp: readonly Probe[];
  readonly blackbox_https: readonly Probe[];
}

const httpPaths: [PartName, string][] = [
  ["crm-api", "/metrics"],
  ["crm-api", "/qbo/status"],
  ["prometheus", "/-/ready"],
  ["alertmanager", "/api/v2/status"],
];
const tcpParts: PartName[] = ["crm-api", "prometheus", "alertmanager"];

/** Every probe of a stack; Grafana's only when there is one. */
export function probes(s: Settings): Probes {
  const http = httpPaths.map(([part, path]): Probe => ({ target: `http://${address(part)}${path}`, owner: ownerOf(part) }));
  const tcp = tcpParts.map((part): Probe => ({ target: address(part), owner: ownerOf(part) }));
  const grafana = grafanaUrl(s);
  if (grafana) {
    http.push({ target: `${grafana.href.replace(/\/+$/, "")}/api/health`, owner: ownerOf("grafana") });
    tcp.push({ target: `${grafana.hostname}:${grafana.port || (grafana.protocol === "https:" ? 443 : 80)}`, owner: ownerOf("grafana") });
  }
  const https = s.httpsTargets.map((t): Probe => ({
    target: t.url,
    owner: t.part ? ownerOf(t.part) : { service: new URL(t.url).hostname, team: "ops", product: "observability" },
    ...(t.insecure ? { module: "https_2xx_insecure" } : {}),
  }));
  return { blackbox_http: http, blackbox_tcp: tcp, blackbox_https: https };
}

const address = (part: PartName) => `${part}:${parts[part].port}`;

function grafanaUrl(s: Settings): URL | undefined {
  if (s.grafana.mode === "built-in") return new URL(`http://${address("grafana")}`);
  return s.grafana.mode === "external" && s.grafana.url ? new URL(s.grafana.url) : undefined;
}
