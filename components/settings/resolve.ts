/** Turns the keys as given into the settings that everything else reads: stand-ins, addresses and links filled in. */
import { urlAt } from "./ingress-address.ts";
import type { Plain, SecretKey } from "./keys.ts";
import { ownPorts, type OwnPart } from "./own-parts.ts";
import { settings, type Settings } from "./schema.ts";

/** Paths are added to it: without slashes at its end. */
const base = (url: string) => url.replace(/\/+$/, "");

/**
 * Addresses that are not given are those of the Ingress, or without one this machine's.
 * @param plain values of the plain keys
 * @param present secrets that the stack has; in development a missing one means the stand-in
 */
export function resolve(stack: string, plain: Plain, present: ReadonlySet<SecretKey>): Settings {
  const development = plain.environment === "development";
  const address = (part: OwnPart) => (plain.ingress ? urlAt(plain.ingress, part) : `http://localhost:${ownPorts[part] + plain.portOffset}`);
  const external = plain.grafana === "external" ? plain.grafanaUrl : undefined;
  const slackGiven = present.has("slackWebhook") || present.has("slackWebhooks");
  const slackStandin = development && !slackGiven;
  const qboStandin = development && !present.has("qboClientSecret");
  const deadManGiven = present.has("deadManUrl");
  return settings.parse({
    stack,
    target: plain.target,
    timing: plain.timing,
    orgs: plain.orgs,
    tenants: plain.tenants,
    ragTargets: plain.ragTargets,
    vipPattern: plain.vipPattern,
    simulator: plain.simulator,
    slack: { standin: slackStandin, crmChannel: plain.slackChannels.crm, opsChannel: plain.slackChannels.ops },
    qbo: {
      standin: qboStandin,
      clientId: plain.qboClientId ?? "development",
      sandbox: plain.qboSandbox,
      redirectUrl: plain.qboRedirectUrl ?? "http://crm-api:8080/qbo/callback",
    },
    kafka: {
      builtIn: plain.kafkaBrokers.length === 0,
      brokers: plain.kafkaBrokers.length === 0 ? ["kafka:9092"] : plain.kafkaBrokers,
      topic: "aetherlink.events",
      partitions: plain.kafkaPartitions,
      replication: plain.kafkaReplication,
      tls: plain.kafkaTls,
      ca: plain.kafkaCa,
      sasl: plain.kafkaSasl,
      external: plain.kafkaExternal,
    },
    postgres: plain.postgres,
    crmEventsTls: plain.crmEventsTls,
    healthProbe: plain.healthProbe,
    grafana: { mode: plain.grafana, url: external },
    deadMan: { standin: slackStandin && !deadManGiven, configured: deadManGiven || slackStandin },
    pagerduty: present.has("pagerdutyRoutingKey"),
    mail: plain.mail,
    urls: {
      prometheus: base(plain.urls.prometheus ?? address("prometheus")),
      alertmanager: base(plain.urls.alertmanager ?? address("alertmanager")),
      grafana: base(plain.urls.grafana ?? external ?? address("grafana")),
      commandCenter: base(plain.urls.commandCenter ?? address("command-center")),
      runbooks: base(plain.runbookBaseUrl),
    },
    onCall: plain.onCall,
    httpsTargets: plain.httpsTargets,
    replicas: plain.replicas,
    retention: plain.retention,
    storageGiB: plain.storageGiB,
    thresholds: plain.thresholds,
    billing: plain.billing,
    imageRegistry: plain.imageRegistry,
    imagePullSecret: plain.imagePullSecret,
    versions: plain.versions,
    remoteWrite: plain.remoteWrite,
    ingress: plain.ingress,
    portOffset: plain.portOffset,
    trustedProxies: plain.trustedProxies,
  });
}
