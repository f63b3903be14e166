import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { plainKeys, secretKeys } from "../../../components/settings/keys.ts";
import { SettingsError } from "../../../components/settings/problem.ts";
import { readStack } from "../../../components/settings/read.ts";
import { thresholds } from "../../../components/settings/schema.ts";
import { mended } from "./cli.ts";
import { changed, problemsOf, productionSecrets, readChanged, root, type Changes } from "./support.ts";

describe("shipped stacks", () => {
  it("reads dev without any secret, with stand-ins", () => {
    const { settings, secrets } = readChanged("dev", {});
    expect(settings).toMatchObject({ stack: "dev", target: "docker", timing: "standard", slack: { standin: true }, qbo: { standin: true }, deadMan: { standin: true, configured: true } });
    expect(Object.keys(secrets)).toEqual([]);
  });

  it("refuses prod without its secrets and names each with its command", () => {
    const problems = problemsOf("prod", {});
    expect(problems.map((p) => p.key).sort()).toEqual(["grafanaAdminPassword", "postgresPassword", "qboClientSecret", "qboWebhookVerifier", "slackWebhook"]);
    for (const p of problems) expect(p.fix).toBe(`set it with: pulumi config set --secret ${p.key} --stack prod`);
  });

  it("reads prod with its secrets, without stand-ins", () => {
    const { settings } = readChanged("prod", productionSecrets);
    expect(settings).toMatchObject({ target: "kubernetes", slack: { standin: false }, qbo: { standin: false }, replicas: { crmApi: 2, crmEvents: 2, alertmanager: 3 } });
  });

  it("only warns of missing secrets when nothing is deployed", () => {
    const { warnings } = readChanged("prod", {}, true);
    expect(warnings).toHaveLength(8);
    expect(warnings[0]).toMatch(/^\[\w+\] .*pulumi config set --secret/);
  });

  it("takes an encrypted value for present without decrypting it", () => {
    const base = changed("prod", productionSecrets, true);
    const values = new Map(base.values);
    values.set("slackWebhook", { text: "[secret]", secret: true, opaque: true });
    expect(readStack({ ...base, values }).warnings).toEqual([expect.stringMatching(/^\[deadManUrl\] is not set/), expect.stringMatching(/^\[qboClientId\] is still the placeholder/), expect.stringMatching(/^\[ingress\] is not set/)]);
  });
});

describe("an encrypted value of a key that is no secret", () => {
  const encrypted = (key: string, text: string, opaque: boolean) => {
    const base = changed("dev", {}, opaque);
    return { ...base, values: new Map([...base.values, [key, { text, secret: true, opaque }]]) };
  };
  const refusalOf = (source: ReturnType<typeof encrypted>) => {
    try {
      readStack(source);
    } catch (error) {
      return (error as SettingsError).problems;
    }
    return [];
  };

  it.each([true, false])("is refused, decrypted or not, and set without --secret: %s", (opaque) => {
    const source = encrypted("qboClientId", "CANARY", opaque);
    const problems = refusalOf(source);
    expect(problems).toEqual([{ key: "qboClientId", message: expect.stringContaining("is no secret: it would be shown in clear"), fix: "set it with: pulumi config set qboClientId CLIENT_ID --stack dev" }]);
    expect(() => readStack(mended(source, problems[0]!.fix))).not.toThrow();
    expect(refusalOf(encrypted("tenants", '["CANARY"]', opaque))).toMatchObject([{ key: "tenants", fix: expect.stringContaining("write it in Pulumi.dev.yaml") }]);
  });
});

describe("the stack's name", () => {
  const problems = (stack: string, target: string) => {
    try {
      readStack({ ...changed("dev", { target, imageRegistry: "r.example.com" }), stack });
    } catch (error) {
      return (error as SettingsError).problems;
    }
    return [];
  };

  it.each([
    ["docker", "_dev", "dev"], ["docker", "Dev", "dev"], ["docker", "a.b", "a-b"], ["docker", "x".repeat(70), "x".repeat(59)], ["docker", "__", "NAME"],
    ["kubernetes", "a_b", "a-b"], ["kubernetes", "a-", "a"], ["kubernetes", "x".repeat(60), "x".repeat(59)],
  ])("on %s cannot be %s", (target, stack, instead) => {
    expect(problems(stack, target)).toEqual([{ key: "stack", message: expect.stringContaining(`${target} does not take`), fix: `rename it with: pulumi stack rename ${instead} --stack ${stack}` }]);
  });

  it.each([["docker", "my-dev_2"], ["kubernetes", "my-dev-2"], ["kubernetes", "x".repeat(59)]])("on %s can be %s", (target, stack) => expect(problems(stack, target)).toEqual([]));
});

describe("mistakes", () => {
  const cases: [what: string, stack: string, changes: Changes, key: string, message: RegExp, fix: RegExp][] = [
    ["unknown key", "dev", { slackWebHook: { secret: "x" } }, "slackWebHook", /did you mean slackWebhook/, /pulumi config rm slackWebHook/],
    ["unknown field", "dev", { thresholds: '{"skw": 3}' }, "thresholds.skw", /did you mean thresholds\.skew/, /pulumi config rm --path thresholds\.skw/],
    ["wrong type", "dev", { kafkaPartitions: "many" }, "kafkaPartitions", /number/, /pulumi config set kafkaPartitions/],
    ["wrong boolean", "dev", { simulator: "perhaps" }, "simulator", /boolean/, /pulumi config set simulator/],
    ["bad URL", "dev", { runbookBaseUrl: "runbooks.example.com" }, "runbookBaseUrl", /URL/, /pulumi config set runbookBaseUrl/],
    ["bad address in a list", "dev", { ragTargets: '["rag-api"]' }, "ragTargets[0]", /HOST:PORT/, /--path 'ragTargets/],
    ["broken JSON", "dev", { orgs: "[{" }, "orgs", /array/, /Pulumi\.dev\.yaml/],
    ["target", "dev", { target: "podman" }, "target", /docker/, /pulumi config set target/],
    ["skew that cannot be reached", "dev", { thresholds: '{"skew": 6}' }, "thresholds.skew", /never fire/, /pulumi config set --path thresholds.skew 4/],
    ["burn that cannot be reached", "dev", { thresholds: '{"paymentBurnFast": 14.4}' }, "thresholds.paymentBurnFast", /at most 6.67/, /pulumi config set --path/],
    ["retention under the windows", "dev", { retention: "30d" }, "retention", /30 d/, /33d/],
    ["negative retention", "dev", { retention: "-3d" }, "retention", /duration/, /pulumi config set retention/],
    ["org twice", "dev", { orgs: '[{"id":"a","name":"A"},{"id":"a","name":"B"}]' }, "orgs", /"a" twice/, /pulumi config rm/],
    ["replicas without PostgreSQL", "dev", { replicas: '{"crmApi": 2}' }, "replicas.crmApi", /PostgreSQL/, /postgres/],
    ["secret in plain text", "dev", { slackWebhook: "https://hooks.slack.com/services/T/B/x" }, "slackWebhook", /plain text/, /--secret slackWebhook/],
    ["webhook over http", "prod", { ...productionSecrets, slackWebhook: { secret: "http://hooks.slack.com/services/T/B/x" } }, "slackWebhook", /https/, /--secret slackWebhook/],
    ["webhook with a variable", "prod", { ...productionSecrets, slackWebhook: { secret: "${SLACK_WEBHOOK_URL}" } }, "slackWebhook", /placeholder/, /--secret slackWebhook/],
    ["empty webhook", "prod", { ...productionSecrets, slackWebhook: { secret: "" } }, "slackWebhook", /required/, /--secret slackWebhook/],
    ["two kinds of webhook", "prod", { ...productionSecrets, slackWebhooks: { secret: '{"crm":"https://a.example/1","ops":"https://a.example/2"}' } }, "slackWebhooks", /exclude/, /pulumi config rm/],
    ["simulator in production", "prod", { ...productionSecrets, simulator: "true" }, "simulator", /refused in production/, /pulumi config set simulator false/],
    ["external Grafana without token", "dev", { grafana: "external", grafanaUrl: "https://g.example.com" }, "grafanaToken", /external/, /--secret grafanaToken/],
    ["VIP pattern", "dev", { vipPattern: "vip-(" }, "vipPattern", /regular expression/, /pulumi config set vipPattern/],
  ];
  it.each(cases)("%s", (_what, stack, changes, key, message, fix) => {
    const problems = problemsOf(stack, changes);
    const own = problems.find((p) => p.key === key);
    expect(problems.map((p) => p.key)).toContain(key);
    expect(own!.message).toMatch(message);
    expect(own!.fix).toMatch(fix);
  });

  it("never repeats a secret's value", () => {
    const canary = "canary-7d1f";
    const changes = { ...productionSecrets, slackWebhook: { secret: canary }, pagerdutyRoutingKey: { secret: canary } };
    expect(() => readChanged("prod", changes)).toThrow(SettingsError);
    const texts = problemsOf("prod", changes).map((p) => `${p.message} ${p.fix}`);
    expect(texts.join()).not.toContain(canary);
  });

  it("accepts a webhook with a final newline and stores it without", async () => {
    const { secrets } = readChanged("prod", productionSecrets);
    const value = await new Promise((resolve) => secrets.slackWebhook!.apply(resolve));
    expect(value).toBe("https://hooks.slack.com/services/T1/B1/abc");
  });
});

describe("Pulumi.yaml", () => {
  const project = parse(readFileSync(`${root}Pulumi.yaml`, "utf8")) as { config: Record<string, { default?: unknown; type?: string; secret?: boolean; description?: string }> };

  it("documents exactly the keys that are read", () => {
    expect(Object.keys(project.config).sort()).toEqual([...Object.keys(plainKeys), ...Object.keys(secretKeys)].sort());
    for (const [key, spec] of Object.entries(project.config)) expect(spec.description, key).toBeTruthy();
  });

  it("documents every threshold with its default", () => {
    const told = Object.fromEntries([...project.config["thresholds"]!.description!.matchAll(/(\w+) ([\d.]+)(?=[,.]? |$)/g)].map(([, name, value]) => [name, Number(value)]).filter(([name]) => name! in thresholds.shape));
    expect(told).toEqual(thresholds.parse({}));
  });

  it("marks exactly the secrets as secret and gives them an empty default, which means not set", () => {
    const secret = Object.entries(project.config).filter(([, spec]) => spec.secret);
    expect(secret.map(([key]) => key).sort()).toEqual(Object.keys(secretKeys).sort());
    for (const [, spec] of secret) expect(spec.default).toBe("");
  });
});
