/**
 * A secret of its own in every key, in programs that are started from rendered files and use them in vain, beside the
 * stack that the other suites drive.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureCompose } from "../../airgap/compose.ts";
import { ensureEngine } from "../../airgap/engine.ts";
import { run } from "../../airgap/process.ts";
import { secretKeys, type SecretKey } from "../../components/settings/keys.ts";
import { incoming, keysIn, outgoing } from "../pulumi/canaries.ts";
import { canaryProject, type CanaryProject } from "../pulumi/canary-project.ts";
import { leaksOf, notifyInVain, secretFilesFound } from "../pulumi/leaks.ts";
import { filesUnder } from "../support/render.ts";
import { command, root, runningSettings, until } from "../support/stack.ts";

const stack = "canary";
const prefix = `crm-${stack}`;
const portOffset = 22_500;
const at = (port: number, path = "") => `http://127.0.0.1:${port + portOffset}${path}`;
/** The two that are left out exclude others; how they are rendered is tested without an engine. */
const keys = (Object.keys(secretKeys) as SecretKey[]).filter((key) => !["slackWebhook", "grafanaToken"].includes(key));

let project: CanaryProject;
let services: string[];
/** What rendering and Compose have printed. */
let printed = "";

async function compose(...args: string[]): Promise<void> {
  const { command: [program, ...first] } = await ensureCompose(await ensureEngine());
  printed += await command("sh", "-c", '"$@" 2>&1', "sh", program, ...first, "--project-directory", project.out, "-f", join(project.out, "compose.yaml"), "-p", prefix, ...args);
}

describe("a canary in each secret key", () => {
  beforeAll(async () => {
    const { grafana, imageRegistry } = await runningSettings();
    services = ["alertmanager", "prometheus", "crm-api", "crm-events-1", "kafka-exporter", ...(grafana.mode === "built-in" ? ["grafana"] : [])];
    const plain = { environment: "development", timing: "fast", orgs: [{ id: "acme", name: "Acme" }], grafana: grafana.mode, portOffset, ...(imageRegistry && { imageRegistry }) };
    project = canaryProject(stack, { plain: { ...outgoing, ...incoming }, keys }, plain);
    const { code, output } = project.render();
    expect(code, output).toBe(0);
    printed = output;
    await compose("up", "-d", ...services);
  }, 300_000);
  afterAll(async () => {
    await run(process.execPath, ["tools/down.ts", stack, "--data"], { cwd: root });
    project.remove();
  }, 120_000);

  it("is in its consumer's secret file", async () => {
    expect(await secretFilesFound(`${prefix}-alertmanager`)).toEqual(["deadman-url", "mail-password", "pagerduty-key", "slack-crm", "slack-ops"]);
    expect(await secretFilesFound(`${prefix}-prometheus`)).toEqual(["remote-write-password"]);
    expect(await secretFilesFound(`${prefix}-crm-events-1`)).toEqual(["kafka-sasl-password", "tls-certificate", "tls-key"]);
    for (const part of ["crm-api", "kafka-exporter"]) await until(`what ${part} says`, 60, () => command("sh", "-c", 'docker logs "$1" 2>&1', "sh", `${prefix}-${part}`));
  });

  it("is in nothing that its consumers show when they have used it in vain", async () => {
    await until("Alertmanager", 90, async () => (await fetch(at(9093, "/-/ready"))).ok);
    await until("Prometheus", 90, async () => (await fetch(at(9090, "/-/ready"))).ok);
    await notifyInVain(at(9093));
    const pages = [at(9090, "/metrics"), at(9090, "/api/v1/status/config"), at(9093, "/metrics"), at(9093, "/api/v2/status")];
    expect(await leaksOf(prefix, pages)).toEqual([]);
  });

  it("is in nothing that was printed, nor in a rendered file beside the secret files", () => {
    expect(keysIn(printed)).toEqual([]);
    const files = Object.entries(filesUnder(project.folder)).filter(([, text]) => keysIn(text).length > 0);
    expect(files.filter(([path]) => !path.startsWith("out/secrets/")).map(([path]) => path)).toEqual([]);
    expect(statSync(join(project.out, "secrets")).mode & 0o777).toBe(0o700);
  });
});
