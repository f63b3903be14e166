/** The programs' own checkers on what is rendered: every shipped stack, and what they have switched off all at once. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureTool, type ToolName } from "../../airgap/tools.ts";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { blackboxFiles } from "../../components/config/blackbox.ts";
import { prometheusFiles } from "../../components/config/prometheus.ts";
import type { Files } from "../../components/platform/platform.ts";
import { readStack } from "../../components/settings/read.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { fileSource } from "../../components/settings/stack-files.ts";
import { sampleSettings } from "../support/settings.ts";
import { root } from "../support/stack.ts";

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "checkers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shipped = readdirSync(root).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
const stacks: Record<string, Settings> = {
  ...Object.fromEntries(shipped.map((stack) => [`stack ${stack}`, readStack(fileSource(root, stack)).settings])),
  everything: sampleSettings({
    pagerduty: true,
    mail: { to: "ops@example.com", from: "crm@example.com", smarthost: "smtp.example.com:587", username: "crm" },
    httpsTargets: [{ url: "https://shop.example.com/", insecure: false }, { url: "https://old.example.com/", insecure: true }, { url: "https://crm.example.com/healthz", insecure: false, part: "crm-api" }],
    remoteWrite: [{ url: "https://mimir.example.com/api/v1/push", username: "crm" }, { url: "https://thanos.example.com/receive" }],
    replicas: { crmApi: 3, crmEvents: 3, alertmanager: 3 },
    grafana: { mode: "external", url: "https://grafana.example.com" },
    vipPattern: "(?i)vip-.*|gold\\.[a-z]+|[Vv]ip[60d]",
  }),
  "addresses of IPv6": sampleSettings({ ragTargets: ["[fd00::5]:9000"], mail: { to: "ops@example.com", from: "crm@example.com", smarthost: "[fd00::25]:587" }, httpsTargets: [{ url: "https://[fd00::7]:8443/", insecure: false }] }),
  "as little as possible": sampleSettings({ ragTargets: [], tenants: [], simulator: false, grafana: { mode: "none" }, deadMan: { standin: false, configured: false } }),
};

const checkers = { promtool: "", amtool: "", blackbox_exporter: "" } satisfies Partial<Record<ToolName, string>>;
beforeAll(async () => {
  for (const name of Object.keys(checkers) as (keyof typeof checkers)[]) checkers[name] = await ensureTool(name);
}, 600_000);

/** Writes a program's folder. */
function written(stack: string, part: string, files: Files): string {
  const at = join(folder, stack.replaceAll(" ", "-"), part);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    writeFileSync(join(at, path), text);
  }
  return at;
}

describe.each(Object.entries(stacks))("%s", (stack, s) => {
  it("has a configuration and rules that promtool takes, without a warning", async () => {
    const at = written(stack, "prometheus", prometheusFiles(s));
    const { stdout, stderr } = await run(checkers.promtool, ["check", "config", "--lint=all", "--lint-fatal", join(at, "prometheus.yml")]);
    expect(`${stdout}${stderr}`).toMatch(/SUCCESS: .*prometheus.yml is valid/);
    expect(`${stdout}${stderr}`).not.toMatch(/FAILED|WARNING/);
  });

  it("has routes and templates that amtool takes", async () => {
    const at = written(stack, "alertmanager", alertmanagerFiles(s));
    const { stdout } = await run(checkers.amtool, ["check-config", join(at, "alertmanager.yml")]);
    expect(stdout).toMatch(/SUCCESS[\s\S]*1 templates[\s\S]*SUCCESS/);
  });

  it("has modules that the blackbox exporter takes", async () => {
    const at = written(stack, "blackbox", blackboxFiles(s));
    await run(checkers.blackbox_exporter, ["--config.check", `--config.file=${join(at, "blackbox.yml")}`]);
  });
});
