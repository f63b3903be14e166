import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { offlineRegistry } from "../../airgap/base.ts";
import type { SecretKey } from "../../components/settings/keys.ts";
import { hasImage } from "../../tools/images.ts";
import { CliStack, noCli, summary } from "../support/pulumi.ts";
import { command, docker, getJson, root, until } from "../support/stack.ts";
import { canaries, incoming, keysIn, outgoing, traces } from "./canaries.ts";
import { differences, inputsOfState, renderedInputs, shippedConfig } from "./inputs.ts";
import { containersOf, leaksOf, notifyInVain, secretFilesFound } from "./leaks.ts";

const why = noCli();
if (why) console.warn(`skipped: ${why}`);

const name = "clitest";
const prefix = `crm-${name}`;
const portOffset = 10_000;
const at = (port: number, path: string) => `http://127.0.0.1:${port + portOffset}${path}`;
/** All that can stand in one stack file. A certificate makes other addresses, and comes with what leaves programs waiting. */
const keys = (Object.keys(canaries) as SecretKey[]).filter((key) => !["slackWebhooks", "crmEventsCertificate", "crmEventsKey"].includes(key));
const pages = [...[9090, 9093, 8080, 9010, 3001].map((port) => at(port, "/metrics")), at(9093, "/api/v2/status"), at(9090, "/api/v1/status/config"), at(8080, "/qbo/status")];
const containers = async () => (await containersOf(prefix)).sort();
const started = async () => (await docker("inspect", "--format", "{{.Name}} {{.State.StartedAt}}", ...(await containers()).filter((c) => !c.endsWith("-loader")))).split("\n").sort();

describe.skipIf(why)("pulumi on a Docker engine", { timeout: 600_000 }, () => {
  let stack: CliStack;
  /** Everything that the CLI has printed of a preview or an update. */
  const printed: string[] = [];
  const run = async (...args: string[]) => {
    const result = await stack.run(...args);
    printed.push(result.output);
    return result;
  };
  const up = (...args: string[]) => run("up", "--yes", "--skip-preview", ...args);

  beforeAll(async () => {
    const offline = (await hasImage(`${offlineRegistry}/node:24-alpine`)) ? { imageRegistry: offlineRegistry, grafana: "none" } : {};
    stack = new CliStack(name, { ...shippedConfig("dev"), ...outgoing, ...offline, timing: "fast", portOffset });
    expect((await stack.init()).code).toBe(0);
    expect((await stack.run("config", "set-all", ...keys.flatMap((key) => ["--secret", `${key}=${canaries[key]}`]))).code).toBe(0);
  }, 120_000);
  afterAll(async () => {
    await stack.run("destroy", "--yes", "--skip-preview");
    // What a killed update has left is known to nobody.
    spawnSync(process.execPath, ["tools/down.ts", name, "--data"], { cwd: root });
    stack.remove();
  }, 300_000);

  it("previews every resource, without a secret in clear, in its log neither", async () => {
    // From 5 on the Docker provider logs every input that it gets, as README warns.
    for (const args of [["--json"], ["--diff"], ["--logtostderr", "--logflow", "-v=4"]]) {
      const { code, output } = await stack.run("preview", ...args);
      expect(code, output.slice(-3000)).toBe(0);
      expect(keysIn(output), args.join(" ")).toEqual([]);
    }
  });

  it("names the key and the command of a mistake before anything is created", async () => {
    expect((await stack.run("config", "set", "--path", "thresholds.skew", "9")).code).toBe(0);
    const { code, output } = await run("preview");
    expect(code).not.toBe(0);
    expect(output).toContain("[thresholds.skew]");
    expect(output).toContain("pulumi config set --path thresholds.skew");
    expect((await stack.run("config", "rm", "thresholds")).code).toBe(0);
    expect(await containers()).toEqual([]);
  });

  it("converges after having been killed half way", async () => {
    await stack.runAndKill(25, "up", "--yes", "--skip-preview");
    await stack.run("cancel", "--yes");
    const again = await up("--refresh");
    const { code, output } = again.code === 0 ? again : await up("--refresh");
    expect(code, output).toBe(0);
  });

  it("changes nothing at a second up", async () => {
    const { code, output } = await up();
    expect(code, output).toBe(0);
    expect(Object.keys(summary(output))).toEqual(["unchanged"]);
  });

  it("has recorded the inputs that are rendered", async () => {
    const { code, output } = await stack.run("stack", "export", "--show-secrets");
    expect(code).toBe(0);
    expect(differences(renderedInputs(stack), inputsOfState(output))).toEqual([]);
  });

  it("starts a program at the next up whose port was taken at the last", async () => {
    await docker("rm", "--force", `${prefix}-alertmanager`);
    const taken = createServer().listen(portOffset + 9093, "127.0.0.1");
    await once(taken, "listening");
    try {
      const { code, output } = await up("--refresh");
      expect(code, output).not.toBe(0);
    } finally {
      taken.close();
    }
    const { code, output } = await up();
    expect(code, output).toBe(0);
    expect((await getJson<{ cluster: object }>(at(9093, "/api/v2/status"))).cluster).toBeDefined();
  });

  it("has all programs healthy", async () => {
    const states = (await docker("inspect", "--format", "{{.Name}} {{.State.Health.Status}}", ...(await containers()).filter((c) => !c.endsWith("-loader")))).trim().split("\n");
    expect(states.filter((s) => !s.endsWith(" healthy"))).toEqual([]);
  });

  it("goes from one replica to several and back, though each first one publishes the same port", async () => {
    const before = await containers();
    const sets = (values: Record<string, number>) => stack.run("config", "set-all", "--path", ...Object.entries(values).flatMap(([key, value]) => ["--plaintext", `${key}=${value}`]));
    const names = async () => (await containers()).map((c) => c.slice(prefix.length + 1)).filter((c) => /^(alertmanager|crm-events)(-\d)?$/.test(c));
    const cluster = async () => (await getJson<{ cluster: { status: string; peers: object[] } }>(at(9093, "/api/v2/status"))).cluster;

    expect((await sets({ "replicas.alertmanager": 3, "replicas.crmEvents": 1, "thresholds.minConsumers": 1 })).code).toBe(0);
    const more = await up();
    expect(more.code, more.output).toBe(0);
    expect(await names()).toEqual(["alertmanager-1", "alertmanager-2", "alertmanager-3", "crm-events"]);
    await until("three peers", 60, async () => (await cluster()).peers.length === 3);
    expect((await fetch(at(9010, "/metrics"))).status).toBe(200);

    for (const key of ["replicas", "thresholds"]) expect((await stack.run("config", "rm", key)).code).toBe(0);
    const less = await up();
    expect(less.code, less.output).toBe(0);
    expect(await containers()).toEqual(before);
    expect((await cluster()).status).toBe("disabled");
    expect((await fetch(at(9010, "/metrics"))).status).toBe(200);
  });

  it("starts again what was stopped, when the engine is asked first", async () => {
    await docker("stop", `${prefix}-alertmanager`);
    const { code, output } = await up("--refresh");
    expect(code, output).toBe(0);
    expect((await docker("inspect", "--format", "{{.State.Running}}", `${prefix}-alertmanager`)).trim()).toBe("true");
  });

  it("changes one resource and no program for one edited rule", async () => {
    const before = await started();
    await stack.run("config", "set", "--path", "thresholds.outboxAgeSeconds", "123");
    const { code, output } = await up();
    expect(code, output).toBe(0);
    expect(summary(output)).toEqual({ replaced: 1, unchanged: expect.any(Number) });
    expect(output).toContain(`${prefix}-prometheus-config-loader`);
    expect(await started()).toEqual(before);
  });

  it("changes one resource and no program for swapped Slack secrets", async () => {
    const before = await started();
    expect((await stack.run("config", "rm", "slackWebhook")).code).toBe(0);
    expect((await stack.run("config", "set", "--secret", "slackWebhooks", canaries.slackWebhooks)).code).toBe(0);
    const { code, output } = await up();
    expect(code, output).toBe(0);
    expect(summary(output)).toEqual({ replaced: 1, unchanged: expect.any(Number) });
    expect(await started()).toEqual(before);
    expect((await docker("exec", `${prefix}-alertmanager`, "cat", "/run/secrets/crm/slack-crm")).trim()).toBe((JSON.parse(canaries.slackWebhooks) as { crm: string }).crm);
  });

  const broken: [part: string, from: string, to: string, words: RegExp][] = [
    ["prometheus", "files: prometheusFiles(s)", 'files: { ...prometheusFiles(s), "rules/broken.yml": "groups:\\n- name: x\\n  rules:\\n  - alert: A\\n    expr: sum(\\n" }', /broken\.yml.*parse error/s],
    ["alertmanager", "files: alertmanagerFiles(s)", 'files: { ...alertmanagerFiles(s), "alertmanager.yml": "no_such_field: 1\\n" }', /no_such_field/],
  ];
  it.each(broken)("fails for a configuration that %s refuses, in its checker's words, at a second up too, and the old one runs on until it is mended", async (part, from, to, words) => {
    const before = await started();
    const loaded = () => docker("exec", `${prefix}-${part}`, "readlink", `/etc/${part}/current`);
    const live = () => getJson<object>(part === "prometheus" ? at(9090, "/api/v1/rules?type=alert&rule_name[]=CrmApiDown&rule_name[]=A&exclude_alerts=true") : at(9093, "/api/v2/status"));
    const shown = async () => JSON.stringify(await live()).replace(/"(lastEvaluation|evaluationTime|uptime)":[^,}]+/g, "");
    const [folder, config] = [await loaded(), await shown()];
    const mend = breakComponent(stack.folder, part, from, to);
    try {
      for (const attempt of [1, 2]) {
        const { code, output } = await up();
        expect(code, `attempt ${attempt}`).not.toBe(0);
        expect(output).toMatch(words);
        expect(output).toContain(`${prefix}-${part}-config-loader ended with code 3`);
        expect([await loaded(), await shown(), await started()]).toEqual([folder, config, before]);
      }
      expect((await run("preview")).output).toMatch(words);
    } finally {
      mend();
    }
    const { code, output } = await up();
    expect(code, output).toBe(0);
    expect([await loaded(), await shown(), await started()]).toEqual([folder, config, before]);
  });

  const nowhere = async (open: readonly string[]) => {
    expect(await leaksOf(prefix, open)).toEqual([]);
    expect(keysIn((await stack.run("stack", "export")).output)).toEqual([]);
    expect(keysIn(printed.join("\n"))).toEqual([]);
    // On this machine: state, stack file and whatever else the CLI has written.
    const control = join(stack.folder, "control");
    writeFileSync(control, canaries.mailPassword);
    expect(spawnSync("grep", ["-rlFf", "-", stack.folder], { input: traces.join("\n"), encoding: "utf8" }).stdout.trim()).toBe(control);
    rmSync(control);
  };

  it("shows no secret but in its file, when each is used in vain", async () => {
    await notifyInVain(at(9093, ""));
    expect(await secretFilesFound(`${prefix}-alertmanager`)).toEqual(["deadman-url", "mail-password", "pagerduty-key", "slack-crm", "slack-ops"]);
    const used = ["slackWebhooks", "qboClientSecret", "qboWebhookVerifier", "deadManUrl", "pagerdutyRoutingKey", "mailPassword", "remoteWritePassword"];
    expect(keysIn((await stack.run("stack", "export", "--show-secrets")).output)).toEqual(expect.arrayContaining(used));
    await nowhere(pages);
  });

  it("leaves nothing after destroy", async () => {
    const { code, output } = await stack.run("destroy", "--yes", "--skip-preview");
    expect(code, output).toBe(0);
    expect(await containers()).toEqual([]);
    expect((await docker("volume", "ls", "--quiet", "--filter", `label=crm.stack=${prefix}`)).trim()).toBe("");
    expect((await docker("network", "ls", "--format", "{{.Name}}")).split("\n").filter((n) => n.startsWith(`${prefix}-`))).toEqual([]);
  });

  it("shows none of programs that wait for a store and brokers, nor of an update that waits for them", async () => {
    const file = join(stack.folder, `Pulumi.${name}.yaml`);
    const document = parseDocument(readFileSync(file, "utf8"));
    for (const [key, value] of Object.entries(incoming)) document.setIn(["config", `crm-observability:${key}`], document.createNode(value));
    writeFileSync(file, document.toString());
    const pair = ["crmEventsCertificate", "crmEventsKey"] as const;
    expect((await stack.run("config", "set-all", ...pair.flatMap((key) => ["--secret", `${key}=${canaries[key]}`]))).code).toBe(0);
    printed.push((await stack.runAndKill(90, "up", "--yes", "--skip-preview")).output);
    await stack.run("cancel", "--yes");
    for (const part of ["crm-api", "kafka-exporter", "crm-events-1"]) {
      await until(`what ${part} says`, 60, () => command("sh", "-c", 'docker logs "$1" 2>&1', "sh", `${prefix}-${part}`));
    }
    expect(await secretFilesFound(`${prefix}-crm-events-1`)).toEqual(["kafka-sasl-password", "tls-certificate", "tls-key"]);
    await nowhere([]);
  });
});

/** Puts a component that writes a broken file in place of one of the program's. @returns what takes it back */
function breakComponent(folder: string, part: string, from: string, to: string): () => void {
  const entries = ["index.ts", "components"];
  for (const entry of entries) {
    rmSync(join(folder, entry));
    cpSync(join(root, entry), join(folder, entry), { recursive: true });
  }
  const file = join(folder, "components", `${part}.ts`);
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
  return () => {
    for (const entry of entries) {
      rmSync(join(folder, entry), { recursive: true });
      symlinkSync(join(root, entry), join(folder, entry));
    }
  };
}
