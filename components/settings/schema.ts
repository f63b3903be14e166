/**
 * The typed settings of one stack: what the program reads from Pulumi's configuration, with every default.
 *
 * Secrets are not here: they are Pulumi outputs and live in `Secrets` (read.ts), so that no rule, dashboard or
 * configuration file can contain one.
 */
import { z } from "zod";
import {
  addressRange, amount, amountOrNone, baseUrl, count, grafanaUrl, host, hostPort, httpsUrl, identifier, integer, mailFrom, mailTo, namePort, objectName, orgName, parentDomain,
  percent, percentOver, percentUnder, port, registry, remoteWriteUrl, serverName, tag, tagOrDigest, tenantPattern, text, url,
} from "./formats.ts";
import { authority } from "./pem.ts";
import { ownImages, ownPorts, thirdPartyImages, type OwnPart } from "./own-parts.ts";

/** Alert thresholds and windows; the numbers that an operator may tune. */
export const thresholds = z.strictObject({
  /** LowInvoicePaymentRate fires below this payment rate over 30 d, percent. */
  paymentRatePct: percentUnder.default(50),
  /** Payment SLO: share of invoices paid by their due date, percent. */
  paymentSloPct: z.number().gt(0).lt(100).default(85),
  /** Burn-rate factors of the two pairs of windows (1 d with 2 h; 3 d with 6 h). */
  paymentBurnFast: amount.default(3),
  paymentBurnSlow: amount.default(1),
  /** The level that the SLO dashboard projects to, percent. */
  paymentFloorPct: percent.default(75),
  /** Revenue of 2 h / 24 h under this share of its own 7-day mean, percent. */
  revenueFlatlineFastPct: percentUnder.default(20),
  revenueFlatlineSlowPct: percentUnder.default(50),
  /** RAG: cache hit ratio under, low-confidence share over, percent; and for VIP tenants. */
  cacheHitPct: percentUnder.default(30),
  cacheHitVipPct: percentUnder.default(20),
  lowConfidencePct: percentOver.default(20),
  lowConfidenceVipPct: percentOver.default(15),
  /** CRM events: availability and errors in percent; events and requests per second; clients; restarts in 15 min. */
  availabilityPct: percentUnder.default(99),
  throughputPerSecond: amount.default(0.1),
  maxClients: count.default(50),
  errorRatioPct: percentOver.default(5),
  errorMinRequestsPerSecond: amountOrNone.default(10),
  restarts: count.default(3),
  /**
   * Kafka: lag skew (max over average, which counts as no less than so many messages; below the partition count); members;
   * lag of the group and of a replica's fan-out, in messages; produced messages per second.
   */
  skew: z.number().gt(1).default(4),
  skewMinAverageLag: amount.default(20),
  minConsumers: count.default(2),
  lag: amount.default(10_000),
  producedPerSecond: amount.default(1000),
  fanoutLag: amount.default(1000),
  /** Recorded 24 h sums may differ from the store's own by this, percent. */
  driftPct: amount.default(1),
  /** QuickBooks refresh token: warn this many days before it expires. */
  qboTokenDays: amount.default(7),
  /** Oldest unsent outbox event, seconds. */
  outboxAgeSeconds: amount.default(300),
  /** Certificates of HTTPS targets: days before expiry. */
  certWarningDays: amount.default(20),
  certCriticalDays: amount.default(3),
});

/** Cost model of RAG answers, USD per answer (source of `aether:billing_cost_usd:30d`). */
const billing = z.strictObject({ plainUsd: amountOrNone.default(0.001), rerankUsd: amountOrNone.default(0.006) });

/** How the health probe judges the consumer group. Its bounds are those of services/crm-events-health/env.ts. */
export const healthProbe = z.strictObject({
  /** `sustained`: not ready after a whole window of bad samples; `strict`: after one in the window. */
  windowMode: z.enum(["sustained", "strict"]).default("sustained"),
  windowMinutes: integer(1, 1440).default(5),
  /** Of one attempt to ask Prometheus, and further attempts after a failed one. */
  promTimeoutMs: integer(10, 60_000).default(1500),
  promRetries: integer(0, 10).default(2),
});

const contact = z.strictObject({ role: text, name: text, reach: text });

/** The same type for each of several optional fields. */
const each = <K extends string, T extends z.ZodType>(names: readonly K[], type: T) => Object.fromEntries(names.map((name) => [name, type.optional()])) as Record<K, z.ZodOptional<T>>;

/** The settings as rules, dashboards, configuration files and components see them: plain data, defaults filled in. */
export const settings = z.strictObject({
  stack: identifier,
  target: z.enum(["docker", "kubernetes"]),
  /** `standard`, or `fast`, which scales intervals, `for` and group times, never windows. */
  timing: z.enum(["standard", "fast"]),
  orgs: z.array(z.strictObject({ id: identifier, name: orgName })),
  tenants: z.array(identifier),
  /** HOST:PORT of what exports the RAG metrics; empty: no RAG rules, routes or dashboard. */
  ragTargets: z.array(hostPort),
  /** Regular expression of the VIP tenants' names, anchored by Prometheus. */
  vipPattern: tenantPattern,
  simulator: z.boolean(),
  slack: z.strictObject({ standin: z.boolean(), crmChannel: z.string(), opsChannel: z.string() }),
  qbo: z.strictObject({ standin: z.boolean(), clientId: z.string(), sandbox: z.boolean(), redirectUrl: url }),
  kafka: z.strictObject({
    builtIn: z.boolean(),
    /** Given brokers; `kafka:9092` when built in. */
    brokers: z.array(hostPort).min(1),
    topic: identifier,
    partitions: integer(1, 10_000),
    replication: integer(1, 99),
    tls: z.boolean(),
    /** Who signs the brokers' certificates, as PEM; absent: a public authority. */
    ca: authority.optional(),
    sasl: z.strictObject({ mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]), username: text }).optional(),
    /** HOST:PORT of a second, advertised listener for clients outside; only when asked for. */
    external: namePort.optional(),
  }),
  /** `ca`: who signs the server's certificate, as PEM; absent: a public authority. */
  postgres: z
    .strictObject({ host, port, database: identifier, user: identifier, tls: z.boolean(), ca: authority.optional() })
    .optional(),
  /** crm-events over TLS: the name that its certificate is for, and who signed it, as PEM; absent: a public authority. */
  crmEventsTls: z.strictObject({ serverName, ca: authority.optional() }).optional(),
  healthProbe: healthProbe.prefault({}),
  grafana: z.strictObject({ mode: z.enum(["built-in", "external", "none"]), url: grafanaUrl.optional() }),
  deadMan: z.strictObject({ standin: z.boolean(), configured: z.boolean() }),
  /** Extra receivers of critical alerts. */
  pagerduty: z.boolean(),
  mail: z.strictObject({ to: mailTo, from: mailFrom, smarthost: hostPort, username: text.optional() }).optional(),
  /** What people open in a browser; links in messages are made of these. */
  urls: z.strictObject({ prometheus: baseUrl, alertmanager: baseUrl, grafana: baseUrl, commandCenter: baseUrl, runbooks: baseUrl }),
  onCall: z.array(contact),
  /** `part`: the stack's own part behind the address, whose outage is then told once, and by its own alert. */
  httpsTargets: z.array(z.strictObject({ url: httpsUrl, insecure: z.boolean().default(false), part: z.enum(Object.keys(ownPorts) as OwnPart[]).optional() })),
  replicas: z.strictObject({
    crmApi: integer(1, 9),
    crmEvents: integer(1, 9),
    alertmanager: integer(1, 9),
  }),
  /** Prometheus duration; longer than the longest window (30 d and some minutes). */
  retention: z.string().regex(/^(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?$/, "must be a Prometheus duration, such as 33d or 31d12h"),
  /** Nine tenths are Prometheus's own limit, and no volume is larger than 64 TiB. */
  storageGiB: integer(2, 65_536),
  thresholds,
  billing,
  /** Prefix of every image, as a company mirror has it; the project's own images are then taken from it, not built. */
  imageRegistry: registry.optional(),
  /** Secret of the stack's namespace with which the cluster pulls images; not made by the stack. */
  imagePullSecret: objectName.optional(),
  /** Versions that differ from components/images.ts, by image. */
  versions: z.strictObject({ ...each(thirdPartyImages, tagOrDigest), ...each(ownImages, tag) }),
  remoteWrite: z.array(z.strictObject({ url: remoteWriteUrl, username: text.optional() })),
  ingress: z.strictObject({ host: parentDomain, className: objectName.optional(), tlsSecret: objectName.optional() }).optional(),
  /** Added to every published port, so that two stacks can live side by side. */
  portOffset: integer(0, 50_000),
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` crm-events believes. */
  trustedProxies: z.array(addressRange).default([]),
});
export type Settings = z.infer<typeof settings>;
