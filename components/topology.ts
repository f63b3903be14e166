/**
 * The parts of the stack: names, ports, scrape jobs and who talks to whom.
 *
 * Names are fixed and equal on both targets, so that every rendered configuration file is too.
 */
import { partAt } from "./settings/own-parts.ts";
import type { Settings } from "./settings/schema.ts";

/** A part's fixed facts. */
export interface Part {
  /** The name it has on the stack's network. */
  readonly port: number;
  /** Scrape job, when Prometheus scrapes it. */
  readonly job?: string;
  /** Published on the host's loopback address (port plus the stack's `portOffset`). */
  readonly published: boolean;
}

export const parts = {
  prometheus: { port: 9090, job: "prometheus", published: true },
  alertmanager: { port: 9093, job: "alertmanager", published: true },
  blackbox: { port: 9115, job: "blackbox", published: false },
  kafka: { port: 9092, published: false },
  "kafka-exporter": { port: 9308, job: "kafka-exporter", published: false },
  grafana: { port: 3000, job: "grafana", published: true },
  "crm-api": { port: 8080, job: "crm_api", published: true },
  "crm-events": { port: 9010, job: "crm-events", published: true },
  "crm-events-health": { port: 9011, job: "crm-events-health", published: false },
  "command-center": { port: 3001, job: "command-center", published: true },
  simulator: { port: 8000, job: "simulator", published: true },
  "slack-standin": { port: 8090, job: "slack-standin", published: true },
  "qbo-standin": { port: 8091, job: "qbo-standin", published: false },
} as const satisfies Record<string, Part>;

export type PartName = keyof typeof parts;

/** Parts that this stack runs. */
export function partsOf(s: Settings): PartName[] {
  const names: PartName[] = [];
  if (s.slack.standin) names.push("slack-standin");
  if (s.qbo.standin) names.push("qbo-standin");
  if (s.kafka.builtIn) names.push("kafka");
  names.push("kafka-exporter", "alertmanager", "blackbox", "crm-api", "crm-events", "prometheus", "crm-events-health");
  if (s.grafana.mode === "built-in") names.push("grafana");
  names.push("command-center");
  if (s.simulator) names.push("simulator");
  return names;
}

/** How many replicas of a part this stack runs. */
export function replicasOf(s: Settings, part: PartName): number {
  if (part === "crm-api") return s.replicas.crmApi;
  if (part === "crm-events") return s.replicas.crmEvents;
  if (part === "alertmanager") return s.replicas.alertmanager;
  return 1;
}

/** `NAME` for a single replica, `NAME-1` to `NAME-n` for several; on both targets. */
export function replicaNames(part: string, replicas: number): string[] {
  return replicas === 1 ? [part] : Array.from({ length: replicas }, (_, i) => `${part}-${i + 1}`);
}

/** `host:port` of each replica of a part, as its peers and Prometheus reach it. */
export function addressesOf(s: Settings, part: PartName): string[] {
  return replicaNames(part, replicasOf(s, part)).map((name) => `${name}:${parts[part].port}`);
}

/** Whether a part speaks HTTPS, and nothing else, on its port. */
export const speaksTls = (s: Settings, part: PartName): boolean => part === "crm-events" && s.crmEventsTls !== undefined;

/** Where a part, any of its replicas, is asked by the other parts. */
export const urlOf = (s: Settings, part: PartName): string => `${speaksTls(s, part) ? "https" : "http"}://${part}:${parts[part].port}`;

/** Where each part's secret files are, inside its container. */
export const secretsDir = "/run/secrets/crm";

/**
 * Which part opens connections to which (port: the target's own). The network policies on Kubernetes are made of this
 * table; a new connection that is not here is refused there.
 */
export function connectionsOf(s: Settings): [from: PartName, to: PartName][] {
  const running = new Set(partsOf(s));
  // Itself too, by its name: through the Service, so a policy applies.
  const scraped = [...running].filter((p) => "job" in parts[p]);
  const all: [PartName, PartName][] = [
    ...scraped.map((p): [PartName, PartName] => ["prometheus", p]),
    ["alertmanager", "alertmanager"],
    ["alertmanager", "slack-standin"],
    ["blackbox", "crm-api"],
    ["blackbox", "prometheus"],
    ["blackbox", "alertmanager"],
    ["blackbox", "grafana"],
    ...s.httpsTargets.flatMap(({ url }) => probedPart(url)).map((p): [PartName, PartName] => ["blackbox", p]),
    ["crm-api", "kafka"],
    ["crm-api", "qbo-standin"],
    ["qbo-standin", "crm-api"],
    ["crm-events", "kafka"],
    ["kafka-exporter", "kafka"],
    ["crm-events-health", "prometheus"],
    ["grafana", "prometheus"],
    ["grafana", "alertmanager"],
    ["command-center", "crm-events"],
    ["command-center", "crm-api"],
    ["command-center", "prometheus"],
    ["command-center", "alertmanager"],
    ["command-center", "slack-standin"],
    ["simulator", "crm-api"],
    ["simulator", "qbo-standin"],
  ];
  const known = new Map(all.map((pair) => [pair.join(" "), pair]));
  return [...known.values()].filter(([from, to]) => running.has(from) && running.has(to));
}

/** The part that an HTTPS target names by its name inside the stack, at the port that its policy opens. */
function probedPart(url: string): PartName[] {
  const { hostname, port } = new URL(url);
  const part = partAt(hostname);
  return part !== undefined && parts[part].port === Number(port || 443) ? [part] : [];
}
