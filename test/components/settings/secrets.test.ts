import { describe, expect, it } from "vitest";
import { secretKeys, type SecretKey } from "../../../components/settings/keys.ts";
import { SettingsError } from "../../../components/settings/problem.ts";
import { problemsOf, productionSecrets, readChanged } from "./support.ts";

const webhook = "https://hooks.slack.com/services/T1/B1/CANARY";
const production = (changes: Record<string, string>) => ({ ...productionSecrets, ...Object.fromEntries(Object.entries(changes).map(([key, secret]) => [key, { secret }])) });
const valueOf = (key: SecretKey, secret: string) => new Promise((resolve) => readChanged("prod", production({ [key]: secret })).secrets[key]!.apply(resolve));

describe("a wrong secret", () => {
  const { slackWebhook: _one, ...rest } = productionSecrets;
  it.each([
    [`{"${webhook}":"crm"}`, "crm is missing, ops is missing, has an unknown field"],
    [`{"crm":"${webhook}","ops":"${webhook}","${webhook}x":1}`, "has an unknown field"],
    [`{"crm":"${webhook}"}`, "ops is missing"],
    [`{"crm":"${webhook}","ops":"http://CANARY.example.com"}`, "ops must be an https:// URL"],
    [`{"crm":"${webhook}","ops":["CANARY"]}`, "ops Invalid input: expected string, received array"],
    [`{"crm":"${webhook}","ops":"https://\${CANARY}"}`, "ops contains a placeholder; variables are not expanded"],
    [webhook, 'must be JSON: {"crm": URL, "ops": URL}'],
    [`["${webhook}"]`, 'must be JSON: {"crm": URL, "ops": URL}'],
  ])("is told without its content: slackWebhooks %s", (secret, message) => {
    const problems = problemsOf("prod", { ...rest, slackWebhooks: { secret } });
    expect(problems).toEqual([{ key: "slackWebhooks", message, fix: `set it with: pulumi config set --secret slackWebhooks '{"crm": "URL", "ops": "URL"}' --stack prod` }]);
  });

  it("is told without its content whatever its key", () => {
    for (const key of Object.keys(secretKeys).filter((k) => k !== "slackWebhooks")) {
      for (const secret of ["<CANARY>", "${CANARY}", '{"CANARY":1}', "not a CANARY\n\n"]) {
        const problems = problemsOf("prod", production({ [key]: secret }));
        expect(JSON.stringify(problems), key).not.toContain("CANARY");
        expect(new SettingsError("prod", problems).message, key).not.toContain("CANARY");
      }
    }
  });

  it.each(Object.keys(productionSecrets))("is one mistake, not missing too: %s", (key) => {
    expect(problemsOf("prod", production({ [key]: "${CANARY}" })).map((p) => p.key)).toEqual([key]);
  });

  it("is one mistake where another setting asks for it", () => {
    const kafka = { kafkaBrokers: '["b:9093"]', kafkaSasl: '{"mechanism":"PLAIN","username":"crm"}' };
    expect(problemsOf("dev", { ...kafka, kafkaSaslPassword: { secret: "CHANGE_ME" } })).toMatchObject([{ key: "kafkaSaslPassword", message: "is a placeholder; variables are not expanded" }]);
  });
});

describe("a password", () => {
  it.each(["aB3<x>9", "p$(w", "a${b", "x>y", "changeme-not", "my YOUR_x", " blanks at both ends ", "<a>b", "<a>b<c>", "\ttab", "ünï©ode"])("may be %j, and stays as it is", async (password) => {
    expect(await valueOf("postgresPassword", password)).toBe(password);
  });

  it.each([["pw\n", "pw"], ["pw\r\n", "pw"], ["pw\n\n", "pw\n"], ["pw \n", "pw "]])("loses one final newline only: %j", async (given, kept) => expect(await valueOf("postgresPassword", given)).toBe(kept));

  it.each(["${PG_PASSWORD}", "$(cat pw)", "<password>", "CHANGE_ME", "changeme", "YOUR_PASSWORD", "your-password", " ${PG_PASSWORD}\n"])("is no placeholder such as %s", (password) => {
    expect(problemsOf("prod", production({ postgresPassword: password }))).toMatchObject([{ key: "postgresPassword", message: "is a placeholder; variables are not expanded" }]);
  });
});

describe("a URL that is a secret", () => {
  it("is trimmed, and holds no placeholder anywhere", async () => {
    expect(await valueOf("deadManUrl", " https://beat.example.com/CANARY\n")).toBe("https://beat.example.com/CANARY");
    for (const key of ["slackWebhook", "deadManUrl"]) expect(problemsOf("prod", production({ [key]: "https://example.com/services/YOUR/WEBHOOK" }))).toMatchObject([{ key, message: "contains a placeholder; variables are not expanded" }]);
  });

  const placeholders = ["https://your-domain.example.com/x", "https://beat.example.com/INSERT_YOUR_TOKEN", "https://beat.example.com/changeme", "https://beat.example.com/CHANGE_ME1", "https://beat.example.com/$(id)", "https://beat.example.com/<id>"];
  it.each(placeholders)("is no placeholder such as %s", (address) => {
    for (const key of ["slackWebhook", "deadManUrl"]) expect(problemsOf("prod", production({ [key]: address }))).toMatchObject([{ key, message: "contains a placeholder; variables are not expanded" }]);
  });

  it.each(["https://beat.insure-your-roof.com/ping/abc", "https://hooks.slack.com/services/T0/BYOUR/abc", "https://beat.exchangeme.com/ping/abc", "https://beat.example.com/changemeteor"])("may hold the same letters by chance: %s", async (address) => {
    for (const key of ["slackWebhook", "deadManUrl"] as const) expect(await valueOf(key, address)).toBe(address);
  });
});
