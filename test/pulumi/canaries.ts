/** A secret of its own for every secret key, with what makes the stack use it, and how to find a trace of one in a text. */
import { secretKeys, type SecretKey } from "../../components/settings/keys.ts";
import { makeCertificate } from "../components/settings/certificates.ts";
import type { Changes } from "../components/settings/support.ts";

/** Nothing listens there: whoever signs in with a secret fails, and logs that. */
const nowhere = "127.0.0.1:9";

/** Letters and digits only, so that no encoding of a URL, JSON or YAML changes it; PagerDuty's keys have 32. */
const mark = (name: string): string => `canary0${name}0`.padEnd(32, "0");

const events = makeCertificate("canary", { for: ["canary.example.com"] });

/** What each key is set to. */
export const canaries: Readonly<Record<SecretKey, string>> = {
  slackWebhook: `https://${nowhere}/services/${mark("slackWebhook")}`,
  slackWebhooks: JSON.stringify({ crm: `https://${nowhere}/services/${mark("slackWebhooksCrm")}`, ops: `https://${nowhere}/services/${mark("slackWebhooksOps")}` }),
  qboClientSecret: mark("qboClientSecret"),
  qboWebhookVerifier: mark("qboWebhookVerifier"),
  kafkaSaslPassword: mark("kafkaSaslPassword"),
  postgresPassword: mark("postgresPassword"),
  crmEventsCertificate: events.cert,
  crmEventsKey: events.key,
  grafanaAdminPassword: mark("grafanaAdminPassword"),
  grafanaToken: mark("grafanaToken"),
  deadManUrl: `http://${nowhere}/${mark("deadManUrl")}`,
  pagerdutyRoutingKey: mark("pagerdutyRoutingKey"),
  mailPassword: mark("mailPassword"),
  remoteWritePassword: mark("remoteWritePassword"),
};

/** What gives a value away: its marks, or of a PEM text the second line, because the first is alike in many. */
function tellTales(value: string): string[] {
  const marks = value.match(/canary0\w+/g);
  return marks ?? [value.split("\n")[2]!];
}

/** The same text as it looks inside a longer one in base64, by its place in there. */
function inBase64(text: string): string[] {
  return [0, 1, 2].map((before) => {
    const whole = Buffer.from("-".repeat(before) + text).toString("base64");
    return whole.slice(before === 0 ? 0 : before + 1, Math.floor((before + text.length) / 3) * 4);
  });
}

const tracesOf = Object.fromEntries(Object.entries(canaries).map(([key, value]) => [key, tellTales(value).flatMap((t) => [t, ...inBase64(t)])])) as Record<SecretKey, string[]>;

/** Everything that gives some key's secret away, for tools that search. */
export const traces: readonly string[] = Object.values(tracesOf).flat();

/** Keys whose secret, or a part of it, stands in a text as it is or in base64. */
export const keysIn = (text: string): SecretKey[] => (Object.keys(tracesOf) as SecretKey[]).filter((key) => tracesOf[key].some((trace) => text.includes(trace)));

/** A configuration that uses its secrets. */
export interface CanaryCase {
  readonly plain: Readonly<Record<string, unknown>>;
  readonly keys: readonly SecretKey[];
}

/** Settings with which a stack uses every secret but those that its store, its brokers and its certificate need. */
export const outgoing = {
  qboClientId: "canary-app",
  qboRedirectUrl: "https://canary.example.com/qbo/callback",
  mail: { to: "ops@example.com", from: "crm@example.com", smarthost: nowhere, username: "crm" },
  remoteWrite: [{ url: `http://${nowhere}/api/v1/write`, username: "crm" }],
} as const;

/** Settings with which it uses those too; its programs then wait for a store and brokers that are not there. */
export const incoming = {
  postgres: { host: "127.0.0.1", port: 9, database: "crm", user: "crm", tls: false },
  kafkaBrokers: [nowhere],
  kafkaSasl: { mechanism: "SCRAM-SHA-256", username: "crm" },
  crmEventsTls: { serverName: "canary.example.com" },
} as const;

const all = Object.keys(secretKeys) as SecretKey[];
const without = (...left: SecretKey[]) => all.filter((key) => !left.includes(key));

/** Two, because a key excludes another one; together they use every secret. */
export const cases: Readonly<Record<string, CanaryCase>> = {
  "one webhook and a Grafana of its own": { plain: { ...outgoing, ...incoming }, keys: without("slackWebhooks", "grafanaToken") },
  "two webhooks and a Grafana that was there": { plain: { ...outgoing, ...incoming, grafana: "external", grafanaUrl: "https://grafana.example.com", urls: { prometheus: "https://prometheus.example.com" } }, keys: without("slackWebhook", "grafanaAdminPassword") },
};

/** A case as changes of a stack's configuration. */
export const changesOf = ({ plain, keys }: CanaryCase): Changes => ({
  ...Object.fromEntries(Object.entries(plain).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)])),
  ...Object.fromEntries(keys.map((key) => [key, { secret: canaries[key] }])),
});
