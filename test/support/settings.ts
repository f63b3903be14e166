/** Settings of the shipped development stack, for tests of pure functions. */
import { settings, thresholds, type Settings } from "../../components/settings/schema.ts";

/** A complete, valid `Settings`; `overrides` replace top-level fields. */
export function sampleSettings(overrides: Partial<Settings> = {}): Settings {
  return settings.parse({
    stack: "dev",
    target: "docker",
    timing: "standard",
    orgs: [
      { id: "acme", name: "Acme Roofing" },
      { id: "globex", name: "Globex Plumbing" },
    ],
    tenants: ["acme-corp", "vip-initech", "premium-umbrella"],
    ragTargets: ["simulator:8000"],
    vipPattern: "vip-.*|premium-.*",
    simulator: true,
    slack: { standin: true, crmChannel: "#crm-alerts", opsChannel: "#ops-alerts" },
    qbo: { standin: true, clientId: "dev", sandbox: true, redirectUrl: "http://crm-api:8080/qbo/callback" },
    kafka: { builtIn: true, brokers: ["kafka:9092"], topic: "aetherlink.events", partitions: 6, replication: 1, tls: false },
    grafana: { mode: "built-in" },
    deadMan: { standin: true, configured: true },
    pagerduty: false,
    urls: {
      prometheus: "http://localhost:9090",
      alertmanager: "http://localhost:9093",
      grafana: "http://localhost:3000",
      commandCenter: "http://localhost:3001",
      runbooks: "https://runbooks.example.com/runbooks",
    },
    onCall: [{ role: "primary", name: "CRM on-call", reach: "#crm-alerts" }],
    httpsTargets: [],
    replicas: { crmApi: 1, crmEvents: 2, alertmanager: 1 },
    retention: "33d",
    storageGiB: 20,
    thresholds: thresholds.parse({}),
    billing: {},
    versions: {},
    remoteWrite: [],
    portOffset: 0,
    trustedProxies: [],
    ...overrides,
  });
}
