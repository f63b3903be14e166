import { describe, expect, it } from "vitest";
import { urlAt } from "../../../components/settings/ingress-address.ts";
import { readStack } from "../../../components/settings/read.ts";
import { parts, partsOf } from "../../../components/topology.ts";
import { mended } from "./cli.ts";
import { changed, problemsOf, productionSecrets, readChanged, type Changes } from "./support.ts";

const brokers = { kafkaBrokers: '["b:9093"]' };

describe("settings that contradict each other", () => {
  const cases: [stack: string, changes: Changes, key: string, message: string][] = [
    ["dev", { kafkaTls: "true" }, "kafkaTls", "the built-in broker has no certificate"],
    ["dev", { orgs: "[]" }, "orgs", "the simulator needs an organisation"],
    ["dev", { simulator: "false" }, "ragTargets[0]", "names the simulator, which this stack does not run"],
    ["prod", { ragTargets: '["rag-api:8000","simulator:8000"]' }, "ragTargets[1]", "names the simulator, which this stack does not run"],
    ["dev", { ragTargets: '["simulator:9999"]' }, "ragTargets[0]", "at an address that it does not have"],
    ["dev", { ragTargets: '["rag-api:8000","crm-api:8080"]' }, "ragTargets[1]", "names crm-api of this stack"],
    ["dev", { ragTargets: '["crm-events-2:9010"]' }, "ragTargets[0]", "names crm-events of this stack"],
    ["dev", { replicas: '{"crmEvents":1}' }, "replicas.crmEvents", "below thresholds.minConsumers, 2"],
    ["dev", { thresholds: '{"minConsumers":12}' }, "replicas.crmEvents", "below thresholds.minConsumers, 12"],
    ["dev", { httpsTargets: '[{"url":"http://crm.example.com"}]' }, "httpsTargets[0].url", "starts with https://"],
    ["dev", { remoteWrite: '[{"url":"https://a.example.com/w"},{"url":"https://a.example.com/w"}]' }, "remoteWrite", "twice"],
    ["dev", { remoteWrite: '[{"url":"https://a.example.com/w","username":"a"},{"url":"https://b.example.com/w"},{"url":"https://c.example.com/w","username":"c"}]', remoteWritePassword: { secret: "x" } }, "remoteWrite[2].username", "would get the password of remoteWrite[0].username"],
    ["dev", { grafana: "external", grafanaUrl: "https://g.example.com", grafanaToken: { secret: "x" } }, "urls.prometheus", "its data source would be at localhost"],
    ["dev", { grafanaUrl: "https://g.example.com" }, "grafanaUrl", "grafana is built-in; urls.grafana is where people open it"],
    ["dev", { grafana: "none", grafanaUrl: "https://g.example.com" }, "grafanaUrl", "grafana is none"],
    ["prod", { qboRedirectUrl: "http://crm.example.com/qbo/callback" }, "qboRedirectUrl", "must start with https:// and end in /qbo/callback"],
    ["prod", { qboRedirectUrl: "https://crm.example.com/" }, "qboRedirectUrl", "must start with https:// and end in /qbo/callback"],
    ["dev", { trustedProxies: '["10.0.0.1","10.0.0.1"]' }, "trustedProxies", "twice"],
    ["dev", { kafkaBrokers: '["a:9092","b:9092","a:9092"]', kafkaReplication: "2" }, "kafkaBrokers", "twice"],
    ["dev", { kafkaExternal: "localhost:8080" }, "kafkaExternal", "port at which crm-api is published"],
    ["fast", { kafkaExternal: "localhost:28080" }, "kafkaExternal", "port at which crm-api is published"],
    ["dev", { ...brokers, kafkaExternal: "localhost:19092" }, "kafkaExternal", "kafkaBrokers are given"],
    ["dev", { thresholds: '{"certCriticalDays":30}' }, "thresholds.certCriticalDays", "must be below thresholds.certWarningDays, 20"],
    ["dev", { thresholds: '{"certWarningDays":2.5,"certCriticalDays":2.5}' }, "thresholds.certCriticalDays", "must be below thresholds.certWarningDays, 2.5"],
    ["dev", { imagePullSecret: "registry-login" }, "imagePullSecret", "is for Kubernetes"],
  ];
  it.each(cases)("%s %j", (stack, changes, key, message) => {
    const source = changed(stack, { ...(stack === "prod" && productionSecrets), ...changes });
    const problems = problemsOf(stack, { ...(stack === "prod" && productionSecrets), ...changes });
    expect(problems.map((p) => p.key)).toEqual([key]);
    expect(problems[0]!.message).toContain(message);
    expect(() => readStack(mended(source, problems[0]!.fix))).not.toThrow();
  });

  it("leave what only looks alike", () => {
    for (const target of ["crm-api-gateway:8080", "simulator.example.com:8000", "rag-api:8080"]) expect(problemsOf("dev", { ragTargets: `["${target}"]` }), target).toEqual([]);
    expect(problemsOf("dev", { replicas: '{"crmEvents":1}', thresholds: '{"minConsumers":1}' })).toEqual([]);
    expect(problemsOf("dev", { ...brokers, kafkaTls: "true" })).toEqual([]);
  });

  it("are ports of parts that run, and only of those", () => {
    for (const changes of [{}, { grafana: "none", simulator: "false", ragTargets: "[]" }, { slackWebhook: productionSecrets.slackWebhook }]) {
      const running = partsOf(readChanged("dev", changes).settings);
      for (const [name, part] of Object.entries(parts)) {
        const collides = part.published && running.some((p) => p === name);
        expect(problemsOf("dev", { ...changes, kafkaExternal: `localhost:${part.port}` }).map((p) => p.key), name).toEqual(collides ? ["kafkaExternal"] : []);
      }
    }
  });

  it("are a QuickBooks secret without the rest of its app, in development too", () => {
    expect(problemsOf("dev", { qboClientSecret: { secret: "s" } }).map((p) => p.key)).toEqual(["qboWebhookVerifier", "qboClientId", "qboRedirectUrl"]);
    const all = { qboClientSecret: { secret: "s" }, qboWebhookVerifier: { secret: "v" }, qboClientId: "id", qboRedirectUrl: "https://crm.example.com/qbo/callback" };
    expect(readChanged("dev", all).settings.qbo).toMatchObject({ standin: false, clientId: "id" });
  });
});

describe("a secret without its partner", () => {
  it.each([
    ["kafkaSaslPassword", "kafkaSasl is not set", { ...brokers, kafkaSasl: '{"mechanism":"PLAIN","username":"crm"}' }],
    ["mailPassword", "mail has no username", { mail: '{"to":"a@example.com","from":"b@example.com","smarthost":"m.example.com:587","username":"u"}' }],
    ["grafanaToken", "grafana is not external", { grafana: "external", grafanaUrl: "https://g.example.com", urls: '{"prometheus":"https://p.example.com"}' }],
    ["postgresPassword", "postgres is not set", { postgres: '{"host":"db","port":5432,"database":"crm","user":"crm","tls":false}' }],
    ["remoteWritePassword", "remoteWrite has no username", { remoteWrite: '[{"url":"https://m.example.com/push","username":"u"}]' }],
  ] as [string, string, Changes][])("is a warning: %s", (key, because, partner) => {
    const secret = { [key]: { secret: "CANARY" } };
    expect(readChanged("dev", secret).warnings).toEqual([`[${key}] is used by nothing because ${because}; remove it with: pulumi config rm ${key} --stack dev`]);
    expect(readChanged("dev", { ...secret, ...partner }).warnings).toEqual([]);
    expect(problemsOf("dev", partner).map((p) => p.key)).toEqual([key]);
  });
});

describe("long lists", () => {
  const orgs = (n: number) => JSON.stringify(Array.from({ length: n }, (_, i) => ({ id: `org-${i}`, name: `Ørganisation ${"x".repeat(60)} ${i}` })));

  it("are refused before a program's environment refuses them", () => {
    expect(problemsOf("dev", { orgs: orgs(1000) })).toEqual([]);
    expect(problemsOf("dev", { orgs: orgs(1200) })).toMatchObject([{ key: "orgs", message: expect.stringMatching(/^has 1[23]\d{4} bytes as JSON/), fix: expect.stringContaining("POST /orgs") }]);
    expect(problemsOf("dev", { tenants: JSON.stringify(Array.from({ length: 3000 }, (_, i) => `tenant-${"x".repeat(40)}-${i}`)) }).map((p) => p.key)).toEqual(["tenants"]);
  });
});

describe("addresses behind an Ingress", () => {
  const prod = (changes: Changes) => readChanged("prod", { ...productionSecrets, ...changes }).settings.urls;

  it.each([{ host: "crm.example.com" }, { host: "crm.example.com", tlsSecret: "crm-tls" }])("are its own where none are given: %j", (ingress) => {
    expect(prod({ urls: "{}", ingress: JSON.stringify(ingress) })).toMatchObject({
      prometheus: urlAt(ingress, "prometheus"), alertmanager: urlAt(ingress, "alertmanager"), grafana: urlAt(ingress, "grafana"), commandCenter: urlAt(ingress, "command-center"),
    });
  });

  it("give way to those that are given", () => {
    const ingress = JSON.stringify({ host: "crm.example.com" });
    expect(prod({ urls: '{"grafana":"https://g.example.com"}', ingress })).toMatchObject({ grafana: "https://g.example.com", prometheus: "http://prometheus.crm.example.com" });
    expect(prod({ urls: "{}", ingress: "{}" })).toMatchObject({ prometheus: "http://localhost:9090" });
  });
});

it("stores and brokers are warned of that would be looked for in the containers themselves", () => {
  const postgres = '{"host":"127.0.0.1","port":5432,"database":"crm","user":"crm","tls":false}';
  const { warnings } = readChanged("dev", { postgres, postgresPassword: { secret: "x" }, kafkaBrokers: '["localhost.example.com:9092","localhost:9092","[::1]:9092","[2001:db8::1]:9092"]' });
  expect(warnings.map((w) => w.replace(/;.*/, ""))).toEqual([
    "[postgres.host] is 127.0.0.1, which is each container itself: name the machine as the containers reach it",
    "[kafkaBrokers[1]] is localhost:9092, which is each container itself: name the machine as the containers reach it",
    "[kafkaBrokers[2]] is [::1]:9092, which is each container itself: name the machine as the containers reach it",
  ]);
});

describe("production", () => {
  it("is warned of a missing dead man's switch and of links that lead nowhere", () => {
    const { warnings } = readChanged("prod", { ...productionSecrets, urls: "{}" });
    expect(warnings.map((w) => /^\[([\w.]+)\]/.exec(w)?.[1])).toEqual(["deadManUrl", "qboClientId", "urls.alertmanager", "urls.grafana", "ingress"]);
  });

  it("on Kubernetes is warned of callbacks that the policies keep out, unless there is an Ingress", () => {
    const warned = (changes: Changes) => readChanged("prod", { ...productionSecrets, ...changes }).warnings.filter((w) => w.startsWith("[ingress]"));
    expect(warned({})).toEqual([expect.stringContaining("keep QuickBooks' callback and webhooks from crm-api; write it in Pulumi.prod.yaml")]);
    expect(warned({ target: "docker" })).toEqual([]);
    expect(warned({ ingress: '{"host":"crm.example.com"}' })).toEqual([]);
    expect(readChanged("dev", { target: "kubernetes", imageRegistry: "r.example.com" }).warnings).toEqual([]);
  });
});
