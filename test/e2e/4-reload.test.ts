import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startedAt, at, command, emptyInbox, getJson, inbox, prefix, root, sleep, stackName, textOf, until, up, upAndKill } from "../support/stack.ts";
import { ensureCompose } from "../../airgap/compose.ts";
import { ensureEngine } from "../../airgap/engine.ts";

const out = join(root, ".state/render", stackName);
const programs = ["prometheus", "alertmanager", "blackbox"];
const starts = () => Promise.all(programs.map(startedAt));
const ruleOf = async (name: string) =>
  ((await getJson(at("prometheus", "/api/v1/rules"))).data.groups as { rules: { name: string; query: string }[] }[]).flatMap((g) => g.rules).find((r) => r.name === name)?.query;

/** Runs one loader again on the rendered folder as it is now. */
async function load(loader: string): Promise<{ code: number; output: string }> {
  const { command: [program, ...first] } = await ensureCompose(await ensureEngine());
  try {
    const output = await command(program, ...first, "--project-directory", out, "-f", join(out, "compose.yaml"), "-p", prefix, "run", "--rm", "--no-deps", loader);
    return { code: 0, output };
  } catch (error) {
    const failed = error as { code: number; stdout: string; stderr: string };
    return { code: failed.code, output: `${failed.stdout}${failed.stderr}` };
  }
}

describe("hot reload", () => {
  let before: string[];
  beforeAll(async () => {
    before = await starts();
  });
  afterAll(async () => {
    expect((await up("--compose")).code).toBe(0);
  });

  it("brings a changed threshold to Prometheus without a restart", async () => {
    const { code, output } = await up("--compose", "--set", 'thresholds={"outboxAgeSeconds":123}');
    expect(code, output).toBe(0);
    expect(await ruleOf("OutboxStuck")).toContain("> 123");
    expect(await starts()).toEqual(before);
  });

  it("brings a changed route to Alertmanager without a restart", async () => {
    const { code, output } = await up("--compose", "--set", 'slackChannels={"ops":"#ops-drill"}');
    expect(code, output).toBe(0);
    expect((await getJson(at("alertmanager", "/api/v2/status"))).config.original).toContain("#ops-drill");
    expect(await starts()).toEqual(before);
  });

  it("takes back what an update that was killed half way has changed", async () => {
    const rule = await ruleOf("OutboxStuck");
    await upAndKill(async () => (await ruleOf("OutboxStuck"))!.includes("> 124"), "--compose", "--set", 'thresholds={"outboxAgeSeconds":124}', "--set", 'slackChannels={"ops":"#ops-drill"}');
    const { code, output } = await up("--compose", "--set", 'slackChannels={"ops":"#ops-drill"}');
    expect(code, output).toBe(0);
    expect(rule).not.toContain("> 124");
    expect(await ruleOf("OutboxStuck")).toBe(rule);
    expect(await starts()).toEqual(before);
  });

  const broken: [part: string, file: string, addition: string, words: RegExp][] = [
    ["prometheus", "rules/broken.yml", "groups:\n- name: x\n  rules:\n  - alert: A\n    expr: sum(\n", /broken\.yml.*parse error/s],
    ["prometheus", "prometheus.yml", "\nno_such_field: 1\n", /no_such_field/],
    ["alertmanager", "alertmanager.yml", "\nno_such_field: 1\n", /no_such_field/],
    ["blackbox", "blackbox.yml", "\nno_such_field: 1\n", /no_such_field/],
  ];
  it.each(broken)("refuses a broken %s %s with the program's own words, at a second try too, and the old one runs on", async (part, file, addition, words) => {
    expect((await up("--compose")).code).toBe(0);
    const path = join(out, "config", part, file);
    const good = file === "rules/broken.yml" ? undefined : readFileSync(path, "utf8");
    const rule = await ruleOf("CrmApiDown");
    appendFileSync(path, addition);
    try {
      for (const attempt of [1, 2]) {
        const { code, output } = await load(`${part}-config-loader`);
        expect(code, `attempt ${attempt}`).toBe(3);
        expect(output).toMatch(words);
      }
    } finally {
      writeFileSync(path, good ?? "groups: []\n");
    }
    expect(await ruleOf("CrmApiDown")).toBe(rule);
    expect(await starts()).toEqual(before);
  });
});

describe("a swapped Slack webhook", () => {
  it("takes effect at the very next notification and restarts nothing", async () => {
    const before = await starts();
    await emptyInbox();
    const alert = (name: string, seconds = 30) => [{ labels: { alertname: name, team: "crm", service: "drill", severity: "warning" }, annotations: { summary: name }, endsAt: new Date(Date.now() + seconds * 1000).toISOString() }];
    const post = (name: string) => fetch(at("alertmanager", "/api/v2/alerts"), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(alert(name)) });
    await post("BeforeSwap");
    await until("the message before", 30, async () => (await inbox()).some((m) => textOf(m).includes("BeforeSwap") && m.channel === "#crm-alerts"));
    await sleep(1);
    // The stand-in knows a message's channel by the address that it was sent to.
    const secret = join(out, "secrets/alertmanager/slack-crm");
    const url = readFileSync(secret, "utf8");
    const swap = async (to: string) => {
      writeFileSync(secret, to);
      expect(await load("alertmanager-secrets-loader")).toMatchObject({ code: 0 });
    };
    await swap(url.replace(/crm$/, "ops"));
    try {
      await post("AfterSwap");
      const message = await until("the message after", 30, async () => (await inbox()).find((m) => textOf(m).includes("AfterSwap")));
      expect(message.channel).toBe("#ops-alerts");
      expect(await starts()).toEqual(before);
    } finally {
      // Not by `up`: the file is again what it has applied, so that it would leave the volume alone.
      await swap(url);
    }
  });
});
