/** The CRM services and the stand-ins: what each of them is given. */
import { seconds, scaled } from "./settings/timing.ts";
import { authorityFile } from "./authorities.ts";
import { CrmService } from "./crm-service.ts";
import { developmentSecret, type StackContext } from "./part.ts";
import type { Settings } from "./settings/schema.ts";
import { replicasOf, secretsDir, urlOf } from "./topology.ts";
import { consumerGroup } from "../rules/events-service.ts";

const file = (name: string) => `${secretsDir}/${name}`;

/** How the Kafka clients among the services reach the brokers. */
function kafkaEnv(s: Settings): Record<string, string> {
  const ca = authorityFile("kafka", s.kafka.ca);
  return {
    KAFKA_BROKERS: s.kafka.brokers.join(","),
    KAFKA_TOPIC: s.kafka.topic,
    KAFKA_TLS: `${s.kafka.tls}`,
    ...(ca && { KAFKA_TLS_CA_FILE: ca.path }),
    KAFKA_REPLICATION: `${s.kafka.replication}`,
    ...(s.kafka.sasl && {
      KAFKA_SASL_MECHANISM: s.kafka.sasl.mechanism,
      KAFKA_SASL_USERNAME: s.kafka.sasl.username,
      KAFKA_SASL_PASSWORD_FILE: file("kafka-sasl-password"),
    }),
  };
}

const kafkaFiles = ({ settings: s, secrets }: StackContext) => ({
  "kafka-sasl-password": s.kafka.sasl && secrets.kafkaSaslPassword,
  ...authorityFile("kafka", s.kafka.ca)?.files,
});

const qboSecrets = ({ settings: s, secrets }: StackContext) => ({
  "qbo-client-secret": secrets.qboClientSecret ?? (s.qbo.standin ? developmentSecret : "missing"),
  "qbo-webhook-verifier": secrets.qboWebhookVerifier ?? (s.qbo.standin ? developmentSecret : undefined),
});

/** The store of crm-api. */
function storeEnv({ postgres: pg }: Settings): Record<string, string> {
  if (pg === undefined) return { DATA_DIR: "/data" };
  const ca = authorityFile("postgres", pg.ca);
  return {
    PG_HOST: pg.host,
    PG_PORT: `${pg.port}`,
    PG_DATABASE: pg.database,
    PG_USER: pg.user,
    PG_TLS: `${pg.tls}`,
    ...(ca && { PG_TLS_CA_FILE: ca.path }),
    PG_PASSWORD_FILE: file("postgres-password"),
  };
}

/** The CRM: cash loop, QuickBooks sync, outbox. */
export function crmApi(stack: StackContext): CrmService {
  const { settings: s, secrets } = stack;
  return new CrmService("crm-api", {
    stack,
    env: {
      ...kafkaEnv(s),
      ...storeEnv(s),
      KAFKA_PARTITIONS: `${s.kafka.partitions}`,
      REPLICAS: `${replicasOf(s, "crm-api")}`,
      ORGS: JSON.stringify(s.orgs),
      QBO_SANDBOX: `${s.qbo.sandbox}`,
      QBO_CLIENT_ID: s.qbo.clientId,
      QBO_CLIENT_SECRET_FILE: file("qbo-client-secret"),
      QBO_WEBHOOK_VERIFIER_FILE: file("qbo-webhook-verifier"),
      QBO_REDIRECT_URL: s.qbo.redirectUrl,
      ...(s.qbo.standin && { QBO_BASE_URL: urlOf(s, "qbo-standin") }),
    },
    secrets: {
      ...kafkaFiles(stack),
      ...qboSecrets(stack),
      "postgres-password": s.postgres && (secrets.postgresPassword ?? "missing"),
      ...authorityFile("postgres", s.postgres?.ca)?.files,
    },
    // The books of a stack that goes over to PostgreSQL stay where they were.
    data: { sizeGiB: 5, unused: s.postgres !== undefined },
    limits: { cpu: 0.5, memoryMiB: 256, pids: 128 },
    health: { intervalSeconds: 20, timeoutSeconds: 5, retries: 10, startSeconds: 30 },
    egress: !s.qbo.standin || s.postgres !== undefined || !s.kafka.builtIn,
  });
}

/** Kafka to Server-Sent Events. */
export function crmEvents(stack: StackContext): CrmService {
  const { settings: s, secrets } = stack;
  const tls = s.crmEventsTls && {
    env: { TLS_CERT_FILE: file("tls-certificate"), TLS_KEY_FILE: file("tls-key") },
    files: { "tls-certificate": secrets.crmEventsCertificate ?? "missing", "tls-key": secrets.crmEventsKey ?? "missing" },
  };
  const proxies = s.trustedProxies.length > 0 && { TRUSTED_PROXIES: s.trustedProxies.join(",") };
  return new CrmService("crm-events", {
    stack,
    env: { ...kafkaEnv(s), KAFKA_GROUP: consumerGroup, CORS_ORIGINS: new URL(s.urls.commandCenter).origin, ...proxies, ...tls?.env },
    secrets: { ...kafkaFiles(stack), ...tls?.files },
    limits: { cpu: 0.5, memoryMiB: 256, pids: 128 },
    egress: !s.kafka.builtIn,
  });
}

/** The verdict on the consumer group; inside only. */
export function crmEventsHealth(stack: StackContext): CrmService {
  const { settings: s } = stack;
  return new CrmService("crm-events-health", {
    stack,
    env: {
      PROM_URL: urlOf(s, "prometheus"),
      PROM_TIMEOUT_MS: `${s.healthProbe.promTimeoutMs}`,
      PROM_RETRIES: `${s.healthProbe.promRetries}`,
      WINDOW_MINUTES: `${s.healthProbe.windowMinutes}`,
      WINDOW_MODE: s.healthProbe.windowMode,
      SKEW_THRESHOLD: `${s.thresholds.skew}`,
      MIN_CONSUMERS: `${s.thresholds.minConsumers}`,
    },
    limits: { cpu: 0.1, memoryMiB: 64, pids: 64 },
    health: { startSeconds: 30, timeoutSeconds: 5 },
  });
}

/** The operators' page. */
export function commandCenter(stack: StackContext): CrmService {
  const { settings: s } = stack;
  const ca = authorityFile("crm-events", s.crmEventsTls?.ca);
  return new CrmService("command-center", {
    stack,
    env: {
      CRM_API_URL: urlOf(s, "crm-api"),
      CRM_EVENTS_URL: urlOf(s, "crm-events"),
      ...(s.crmEventsTls && { CRM_EVENTS_SERVER_NAME: s.crmEventsTls.serverName }),
      ...(ca && { CRM_EVENTS_CA_FILE: ca.path }),
      PROMETHEUS_URL: urlOf(s, "prometheus"),
      ALERTMANAGER_URL: urlOf(s, "alertmanager"),
      ...(s.slack.standin && { SLACK_INBOX_URL: urlOf(s, "slack-standin") }),
      PAYMENT_SLO_PCT: `${s.thresholds.paymentSloPct}`,
      LINKS: JSON.stringify({ Prometheus: s.urls.prometheus, Alertmanager: s.urls.alertmanager, ...(s.grafana.mode !== "none" && { Grafana: s.urls.grafana }), Runbooks: s.urls.runbooks }),
    },
    secrets: ca?.files,
    limits: { cpu: 0.25, memoryMiB: 128, pids: 64 },
  });
}

/** Made-up business and RAG metrics; development only. */
export function simulator(stack: StackContext): CrmService {
  const { settings: s } = stack;
  return new CrmService("simulator", {
    stack,
    env: { CRM_API_URL: urlOf(s, "crm-api"), TENANTS: JSON.stringify(s.tenants), ORGS: JSON.stringify(s.orgs), CONNECT_QBO: `${s.qbo.standin}` },
    limits: { cpu: 0.25, memoryMiB: 128, pids: 64 },
  });
}

/** A Slack-compatible inbox and dead-man receiver; development only. */
export function slackStandin(stack: StackContext): CrmService {
  const { settings: s } = stack;
  return new CrmService("slack-standin", {
    stack,
    env: {
      WEBHOOK_PATHS: JSON.stringify({ "/services/T000/B000/crm": s.slack.crmChannel, "/services/T000/B000/ops": s.slack.opsChannel }),
      DEADMAN_SECONDS: `${seconds(scaled(s, "1m"))}`,
    },
    limits: { cpu: 0.25, memoryMiB: 64, pids: 64 },
  });
}

/** A QuickBooks-compatible sandbox; development only. */
export function qboStandin(stack: StackContext): CrmService {
  const { settings: s } = stack;
  return new CrmService("qbo-standin", {
    stack,
    env: {
      QBO_CLIENT_ID: s.qbo.clientId,
      QBO_CLIENT_SECRET_FILE: file("qbo-client-secret"),
      QBO_WEBHOOK_VERIFIER_FILE: file("qbo-webhook-verifier"),
      WEBHOOK_URL: `${urlOf(s, "crm-api")}/qbo/webhooks`,
    },
    secrets: qboSecrets(stack),
    limits: { cpu: 0.25, memoryMiB: 128, pids: 64 },
  });
}
