/**
 * The configuration keys of a stack: each one's shape, and which are secret. `Pulumi.yaml` documents them and holds the
 * defaults; a test compares the two.
 */
import { z } from "zod";
import { baseUrl, text, url } from "./formats.ts";
import { certificateChain, privateKey } from "./pem.ts";
import { healthProbe, settings, thresholds } from "./schema.ts";

const shape = settings.shape;

// A password may hold any of these characters, so only a whole value can be told to be a placeholder.
const isPlaceholder = (value: string) => /^\s*(\$\{[^}]*\}|\$\([^)]*\)|<[^<>]*>|CHANGE_?ME|YOUR[/_-].*)\s*$/is.test(value);
// In a host or a token `your-` and `changeme` may stand by chance, inside of longer words.
const holdsPlaceholder = (value: string) => /\$\{|\$\(|[<>]|(?<![a-z\d-])(?:change_?me(?![a-z])|your[/_-])/i.test(value);
const placeholder = "contains a placeholder; variables are not expanded";

/** A password or token, of whatever characters; only the newline that files and `echo` add is dropped. */
const secretText = z
  .string()
  .overwrite((value) => value.replace(/\r?\n$/, ""))
  .min(1, "must not be empty")
  .refine((value) => !isPlaceholder(value), "is a placeholder; variables are not expanded");

const secretUrl = (protocol: RegExp, message: string) =>
  z
    .string()
    .trim()
    .refine((value) => !holdsPlaceholder(value), { error: placeholder, abort: true })
    .pipe(z.url({ protocol, error: message }));
/** An incoming webhook as Slack gives it. */
const slackUrl = secretUrl(/^https$/, "must be an https:// URL");

/** Plain keys. */
export const plainKeys = {
  environment: z.enum(["development", "production"]),
  target: shape.target,
  timing: shape.timing,
  orgs: shape.orgs,
  tenants: shape.tenants,
  ragTargets: shape.ragTargets,
  vipPattern: shape.vipPattern,
  simulator: z.boolean(),
  slackChannels: z.strictObject({
    crm: z.string().regex(/^#[a-z0-9_-]{1,79}$/, "must be a channel such as #crm-alerts").default("#crm-alerts"),
    ops: z.string().regex(/^#[a-z0-9_-]{1,79}$/, "must be a channel such as #ops-alerts").default("#ops-alerts"),
  }),
  qboClientId: text.optional(),
  qboSandbox: z.boolean(),
  qboRedirectUrl: url.optional(),
  kafkaBrokers: z.array(shape.kafka.shape.brokers.element),
  kafkaPartitions: shape.kafka.shape.partitions,
  kafkaReplication: shape.kafka.shape.replication,
  kafkaTls: z.boolean(),
  kafkaCa: shape.kafka.shape.ca,
  kafkaSasl: shape.kafka.shape.sasl,
  kafkaExternal: shape.kafka.shape.external,
  postgres: shape.postgres,
  crmEventsTls: shape.crmEventsTls,
  healthProbe,
  grafana: shape.grafana.shape.mode,
  grafanaUrl: shape.grafana.shape.url,
  mail: shape.mail,
  urls: z.strictObject({ prometheus: baseUrl.optional(), alertmanager: baseUrl.optional(), grafana: baseUrl.optional(), commandCenter: baseUrl.optional() }),
  runbookBaseUrl: baseUrl,
  onCall: shape.onCall,
  httpsTargets: shape.httpsTargets,
  replicas: z.strictObject({
    crmApi: shape.replicas.shape.crmApi.default(1),
    crmEvents: shape.replicas.shape.crmEvents.default(2),
    alertmanager: shape.replicas.shape.alertmanager.default(1),
  }),
  retention: shape.retention,
  storageGiB: shape.storageGiB,
  thresholds,
  billing: shape.billing,
  imageRegistry: shape.imageRegistry,
  imagePullSecret: shape.imagePullSecret,
  versions: shape.versions,
  remoteWrite: shape.remoteWrite,
  ingress: shape.ingress,
  portOffset: shape.portOffset,
  trustedProxies: z.array(shape.trustedProxies.unwrap().element),
} as const;

/** Secret keys: what they must look like once decrypted. */
export const secretKeys = {
  slackWebhook: slackUrl,
  slackWebhooks: z.strictObject({ crm: slackUrl, ops: slackUrl }, { error: (issue) => (issue.code === "invalid_type" ? 'must be JSON: {"crm": URL, "ops": URL}' : undefined) }),
  qboClientSecret: secretText,
  qboWebhookVerifier: secretText,
  kafkaSaslPassword: secretText,
  postgresPassword: secretText,
  crmEventsCertificate: certificateChain,
  crmEventsKey: privateKey,
  grafanaAdminPassword: secretText,
  grafanaToken: secretText,
  deadManUrl: secretUrl(/^https?$/, "must be a URL"),
  pagerdutyRoutingKey: z.string().trim().regex(/^[A-Za-z0-9]{32}$/, "must be the 32 characters of an Events API v2 integration"),
  mailPassword: secretText,
  remoteWritePassword: secretText,
} as const;

export type PlainKey = keyof typeof plainKeys;
export type SecretKey = keyof typeof secretKeys;
/** Values of the plain keys as they were given, defaults of `Pulumi.yaml` included. */
export type Plain = { [K in PlainKey]: z.infer<(typeof plainKeys)[K]> };
