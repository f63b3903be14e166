/** Checks that look at more than one key: what is missing together, and what contradicts something else. */
import { pathText } from "./fixes.ts";
import { ownParts } from "./own-parts-checks.ts";
import type { SecretKey } from "./keys.ts";
import { ingressAddresses } from "./ingress-checks.ts";
import type { Check, Problem } from "./problem.ts";
import { reachable } from "./reachable.ts";
import { authorities, behindIngress } from "./tls-checks.ts";

/** In production the stand-ins are not used, so what they stand for must be there. */
const production: Check = (plain, present, fixes) => {
  if (plain.environment !== "production") return [];
  const problems: Problem[] = [];
  const need = (key: SecretKey, message: string) => problems.push({ key, message, fix: fixes.setSecret(key), missingSecret: true });
  if (!present.has("slackWebhook") && !present.has("slackWebhooks")) need("slackWebhook", "is required in production: alerts have nowhere to go");
  if (plain.grafana === "built-in" && !present.has("grafanaAdminPassword")) need("grafanaAdminPassword", "is required in production");
  if (plain.simulator) problems.push({ key: "simulator", message: "makes up business figures and is refused in production", fix: fixes.set("simulator", false) });
  if (!present.has("deadManUrl"))
    problems.push({ key: "deadManUrl", message: "is not set: nobody would notice that Prometheus or Alertmanager is dead", fix: fixes.setSecret("deadManUrl"), warning: true });
  if (plain.qboClientId?.startsWith("replace-with"))
    problems.push({ key: "qboClientId", message: "is still the placeholder: nobody can connect QuickBooks", fix: fixes.set("qboClientId"), warning: true });
  for (const link of ["alertmanager", "grafana"] as const) {
    if (plain.urls[link] !== undefined || plain.ingress || (link === "grafana" && plain.grafanaUrl !== undefined)) continue;
    problems.push({ key: `urls.${link}`, message: "is not set: links in messages lead to localhost", fix: fixes.set(["urls", link]), warning: true });
  }
  return problems;
};

/** QuickBooks itself needs all facts of its app; its stand-in needs none. */
const quickBooks: Check = (plain, present, fixes) => {
  const inProduction = plain.environment === "production";
  if (!inProduction && !present.has("qboClientSecret")) return [];
  const why = inProduction ? "is required in production" : "is required because qboClientSecret is set, which means QuickBooks itself";
  const problems: Problem[] = [];
  const need = (key: SecretKey, message: string) => {
    if (!present.has(key)) problems.push({ key, message, fix: fixes.setSecret(key), missingSecret: true });
  };
  need("qboClientSecret", why);
  need("qboWebhookVerifier", `${why}: webhooks could not be told from forgeries`);
  if (plain.qboClientId === undefined) problems.push({ key: "qboClientId", message: why, fix: fixes.set("qboClientId") });
  if (plain.qboRedirectUrl === undefined) problems.push({ key: "qboRedirectUrl", message: `${why}: Intuit sends the browser back to it`, fix: fixes.set("qboRedirectUrl") });
  else if (inProduction && !/^https:\/\/.+\/qbo\/callback$/i.test(plain.qboRedirectUrl))
    problems.push({ key: "qboRedirectUrl", message: "must start with https:// and end in /qbo/callback in production", fix: fixes.set("qboRedirectUrl") });
  if (plain.target === "kubernetes" && !plain.ingress)
    problems.push({ key: "ingress", message: "is not set: the network policies keep QuickBooks' callback and webhooks from crm-api", fix: fixes.write("ingress"), warning: true });
  return problems;
};

/** Secrets that go with another setting: required with it, and without it used by nothing. */
const partners: Check = (plain, present, fixes) => {
  const pairs: [key: SecretKey, wanted: boolean, because: string, becauseNot: string][] = [
    ["postgresPassword", plain.postgres !== undefined, "postgres is set", "postgres is not set"],
    ["crmEventsCertificate", plain.crmEventsTls !== undefined, "crmEventsTls is set", "crmEventsTls is not set"],
    ["crmEventsKey", plain.crmEventsTls !== undefined, "crmEventsTls is set", "crmEventsTls is not set"],
    ["kafkaSaslPassword", plain.kafkaSasl !== undefined, "kafkaSasl is set", "kafkaSasl is not set"],
    ["grafanaToken", plain.grafana === "external", "grafana is external", "grafana is not external"],
    ["mailPassword", plain.mail?.username !== undefined, "mail.username is set", "mail has no username"],
    ["remoteWritePassword", plain.remoteWrite.some((r) => r.username !== undefined), "remoteWrite has a username", "remoteWrite has no username"],
  ];
  return pairs.flatMap(([key, wanted, because, becauseNot]): Problem[] => {
    if (wanted === present.has(key)) return [];
    if (wanted) return [{ key, message: `is required because ${because}`, fix: fixes.setSecret(key), missingSecret: true }];
    return [{ key, message: `is used by nothing because ${becauseNot}`, fix: fixes.remove(key), warning: true }];
  });
};

/** Keys that only make sense together, or never do. */
const together: Check = (plain, present, fixes) => {
  const problems: Problem[] = [];
  const { minConsumers } = plain.thresholds;
  if (present.has("slackWebhook") && present.has("slackWebhooks"))
    problems.push({ key: "slackWebhooks", message: "and slackWebhook exclude each other", fix: fixes.remove("slackWebhooks") });
  if (plain.replicas.crmApi > 1 && !plain.postgres)
    problems.push({ key: "replicas.crmApi", message: "above 1 needs PostgreSQL: the embedded file has one writer, and its books are not moved", fix: fixes.write("postgres") });
  if (plain.replicas.crmEvents < minConsumers)
    problems.push({
      key: "replicas.crmEvents",
      message: `of ${plain.replicas.crmEvents} is below thresholds.minConsumers, ${minConsumers}: CrmEventsUnderReplicatedConsumers would always fire`,
      fix: minConsumers <= 9 ? fixes.set(["replicas", "crmEvents"], minConsumers) : fixes.set(["thresholds", "minConsumers"], plain.replicas.crmEvents),
    });
  if (plain.simulator && plain.orgs.length === 0)
    problems.push({ key: "orgs", message: "is empty, but the simulator needs an organisation to do business for", fix: fixes.write("orgs") });
  return problems;
};

/** An external Grafana is told where it finds Prometheus; a Grafana of the stack's own is at an address that is known. */
const grafana: Check = (plain, _present, fixes) => {
  if (plain.grafana !== "external") {
    if (plain.grafanaUrl === undefined) return [];
    return [{ key: "grafanaUrl", message: `is for grafana external, but grafana is ${plain.grafana}; urls.grafana is where people open it`, fix: fixes.remove("grafanaUrl") }];
  }
  const problems: Problem[] = [];
  if (plain.grafanaUrl === undefined) problems.push({ key: "grafanaUrl", message: "is required because grafana is external", fix: fixes.set("grafanaUrl") });
  if (plain.urls.prometheus === undefined && !plain.ingress)
    problems.push({ key: "urls.prometheus", message: "is required because grafana is external: its data source would be at localhost", fix: fixes.set(["urls", "prometheus"]) });
  return problems;
};

/** There is one password for all of it. */
const remoteWrite: Check = ({ remoteWrite: entries }, _present, fixes) => {
  const [first, ...others] = entries.flatMap((entry, i) => (entry.username === undefined ? [] : [i]));
  return others.map((i) => ({
    key: `remoteWrite[${i}].username`,
    message: `would get the password of remoteWrite[${first}].username: there is one remoteWritePassword, so one entry may have a username`,
    fix: fixes.remove(["remoteWrite", i, "username"]),
  }));
};

/** Kafka: given brokers, or one of the stack's own, which has neither accounts nor certificates. */
const kafka: Check = (plain, _present, fixes) => {
  const problems: Problem[] = [];
  const given = plain.kafkaBrokers.length > 0;
  if (plain.kafkaSasl && !given)
    problems.push({ key: "kafkaSasl", message: "is for given brokers; the built-in broker has no accounts", fix: fixes.set(["kafkaBrokers", 0]) });
  if (plain.kafkaTls && !given)
    problems.push({ key: "kafkaTls", message: "is for given brokers; the built-in broker has no certificate", fix: fixes.set("kafkaTls", false) });
  if (!given && plain.kafkaReplication > 1)
    problems.push({ key: "kafkaReplication", message: "cannot exceed the built-in broker count of 1", fix: fixes.set("kafkaReplication", 1) });
  if (plain.kafkaExternal && plain.target === "kubernetes")
    problems.push({ key: "kafkaExternal", message: "is published by a Docker engine, which Kubernetes does not have", fix: fixes.remove("kafkaExternal") });
  else if (plain.kafkaExternal && given)
    problems.push({ key: "kafkaExternal", message: "is for the built-in broker, but kafkaBrokers are given", fix: fixes.remove("kafkaExternal") });
  return problems;
};

/** Stores and brokers outside the stack that are looked for inside a container. */
const elsewhere: Check = (plain, _present, fixes) => {
  const addresses: [path: [string, string | number], address: string | undefined][] = [
    [["postgres", "host"], plain.postgres?.host],
    ...plain.kafkaBrokers.map((broker, i): [[string, number], string] => [["kafkaBrokers", i], broker]),
  ];
  return addresses
    .filter(([, address]) => /^(localhost|127\.[\d.]+|\[?::1\]?)(:\d+)?$/i.test(address ?? ""))
    .map(([path, address]) => ({ key: pathText(path), message: `is ${address}, which is each container itself: name the machine as the containers reach it`, fix: fixes.set(path), warning: true }));
};

/** What works on one target only. */
const targets: Check = (plain, _present, fixes) => {
  const problems: Problem[] = [];
  if (plain.target === "kubernetes" && plain.imageRegistry === undefined)
    problems.push({ key: "imageRegistry", message: "is not set: the cluster cannot pull the project's own images", fix: fixes.set("imageRegistry"), warning: true });
  if (plain.imagePullSecret !== undefined && plain.target === "docker")
    problems.push({ key: "imagePullSecret", message: "is for Kubernetes; on Docker the images are pulled with the login of docker login", fix: fixes.remove("imagePullSecret") });
  if (plain.ingress && plain.target === "docker")
    problems.push({ key: "ingress", message: "is for Kubernetes; on Docker ports are published on 127.0.0.1", fix: fixes.remove("ingress") });
  return problems;
};

/** Lists in which an entry stands twice, or which are too long to be handed to a program. */
const lists: Check = (plain, _present, fixes) => {
  const problems: Problem[] = [];
  const unique = (key: string, values: string[]) => {
    const twice = values.find((v, i) => values.indexOf(v) !== i);
    if (twice !== undefined) problems.push({ key, message: `has "${twice}" twice`, fix: fixes.remove([key, values.lastIndexOf(twice)]) });
  };
  // The kernel allows 128 KiB for one variable of a program's environment.
  const fits = (key: string, value: unknown, instead: string) => {
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes > 120_000) problems.push({ key, message: `has ${bytes} bytes as JSON; one variable of a program's environment holds 120000`, fix: `shorten the list in the stack file${instead}` });
  };
  unique("orgs", plain.orgs.map((o) => o.id));
  unique("tenants", plain.tenants);
  unique("ragTargets", plain.ragTargets);
  unique("kafkaBrokers", plain.kafkaBrokers);
  unique("httpsTargets", plain.httpsTargets.map((h) => h.url));
  unique("trustedProxies", plain.trustedProxies);
  unique("remoteWrite", plain.remoteWrite.map((r) => r.url));
  fits("orgs", plain.orgs, ": POST /orgs of crm-api creates organisations too");
  fits("tenants", plain.tenants, "");
  return problems;
};

/** All problems between keys; each key's own shape is checked before. */
export const crossChecks: Check = (plain, present, fixes) =>
  [production, quickBooks, partners, together, grafana, remoteWrite, kafka, elsewhere, authorities, behindIngress, ingressAddresses, ownParts, reachable, targets, lists].flatMap((check) => check(plain, present, fixes));
