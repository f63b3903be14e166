/** A value of every key that works as it stands, for the commands in error messages. */
import type { z } from "zod";
import type { PlainKey, plainKeys } from "./keys.ts";
import { thresholds } from "./schema.ts";

/** Where PEM text goes, which no command line takes. */
const pem: readonly string[] = ["kafkaCa", "postgres.ca", "crmEventsTls.ca"];
export const isPem = (path: readonly PropertyKey[]): boolean => pem.includes(path.join("."));

type Examples = { readonly [K in Exclude<PlainKey, "kafkaCa">]: NonNullable<z.infer<(typeof plainKeys)[K]>> };

export const examples: Examples = {
  environment: "production",
  target: "docker",
  timing: "standard",
  orgs: [{ id: "acme", name: "Acme Roofing" }],
  tenants: ["acme-corp"],
  ragTargets: ["rag-api:8000"],
  vipPattern: "vip-.*|premium-.*",
  simulator: false,
  slackChannels: { crm: "#crm-alerts", ops: "#ops-alerts" },
  qboClientId: "CLIENT_ID",
  qboSandbox: true,
  qboRedirectUrl: "https://crm.example.com/qbo/callback",
  kafkaBrokers: ["broker.example.com:9093"],
  kafkaPartitions: 6,
  kafkaReplication: 1,
  kafkaTls: false,
  kafkaSasl: { mechanism: "SCRAM-SHA-512", username: "crm" },
  kafkaExternal: "localhost:19092",
  postgres: { host: "postgres.example.com", port: 5432, database: "crm", user: "crm", tls: true },
  crmEventsTls: { serverName: "events.example.com" },
  healthProbe: { windowMode: "sustained", windowMinutes: 5, promTimeoutMs: 1500, promRetries: 2 },
  grafana: "built-in",
  grafanaUrl: "https://grafana.example.com",
  mail: { to: "ops@example.com", from: "crm@example.com", smarthost: "smtp.example.com:587", username: "crm" },
  urls: { prometheus: "https://prometheus.example.com", alertmanager: "https://alertmanager.example.com", grafana: "https://grafana.example.com", commandCenter: "https://ops.example.com" },
  runbookBaseUrl: "https://git.example.com/crm-observability/runbooks",
  onCall: [{ role: "primary", name: "CRM on-call", reach: "#crm-alerts" }],
  httpsTargets: [{ url: "https://crm.example.com/healthz", insecure: false, part: "crm-api" }],
  replicas: { crmApi: 1, crmEvents: 2, alertmanager: 1 },
  retention: "33d",
  storageGiB: 20,
  thresholds: thresholds.parse({}),
  billing: { plainUsd: 0.001, rerankUsd: 0.006 },
  imageRegistry: "registry.example.com/crm",
  imagePullSecret: "registry-login",
  versions: { prometheus: "v3.15.0" },
  remoteWrite: [{ url: "https://mimir.example.com/api/v1/push", username: "crm" }],
  ingress: { host: "crm.example.com", className: "nginx", tlsSecret: "crm-tls" },
  portOffset: 0,
  trustedProxies: ["10.0.0.0/8"],
};

/** The example at a path; of a list its first item stands for every other. Undefined when there is none. */
export function exampleAt(path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[typeof step === "number" ? 0 : step], examples);
}
