/** `make up`: everything from nothing to a healthy stack. It uses what is there and gets what can be had. */
import { parseArgs } from "node:util";
import { ensureEngine } from "../airgap/engine.ts";
import { say } from "../airgap/process.ts";
import type { Settings } from "../components/settings/schema.ts";
import { parts, speaksTls, type PartName } from "../components/topology.ts";
import { parseOverrides } from "../render/arguments.ts";
import { expectedOf, healthySeconds, upWithCompose } from "./compose.ts";
import { foreground } from "./foreground.ts";
import { gate } from "./gate.ts";
import { allHealthy, failedLoaders, waitHealthy } from "./health.ts";
import { prepareImages } from "./images.ts";
import { ensureStack, findPulumi, pulumiEnv, stackFile, unlock } from "./pulumi.ts";
import { settingsOf, type Overrides } from "./stacks.ts";

/** `[STACK] [--set KEY=VALUE …] [--compose]`; `--compose` leaves the Pulumi CLI aside. */
function upArguments(argv: readonly string[]): { stack: string; overrides: Overrides; compose: boolean } {
  const options = { set: { type: "string", multiple: true }, compose: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
  return { stack: positionals[0] ?? "dev", overrides: parseOverrides(values.set ?? []), compose: values.compose ?? false };
}

/**
 * With the CLI: `pulumi up` on state and a stack file of this folder's own. After an update that was killed, and when
 * something is not healthy, the engine is asked first, because a container may be gone that the state still holds; and a
 * loader that failed runs again, because what failed may have passed.
 */
async function upWithPulumi(program: string, s: Settings, overrides: Overrides): Promise<void> {
  const env = pulumiEnv();
  await ensureStack(program, s.stack, env);
  const file = stackFile(s.stack, overrides);
  const prefix = `crm-${s.stack}`;
  const refresh = unlock(s.stack) || !(await allHealthy(prefix, expectedOf(s))) ? ["--refresh"] : [];
  const again = (await failedLoaders(prefix)).flatMap((name) => ["--replace", `**::${name}`]);
  foreground(program, ["up", "--yes", ...refresh, ...again, "--stack", s.stack, "--config-file", file], env);
  await waitHealthy(prefix, expectedOf(s), healthySeconds);
}

/**
 * Seconds that the consumer group may be not ready for after an update; a new one is watched for minutes before it is ready.
 * An update that replaces the consumers leaves a bad sample, which stands until the next scrape and evaluation.
 */
const gateSeconds = 120;

/**
 * The group's verdict on the update. Only a bad one fails it: none at all is a matter of time. It does not wait for the
 * news of what it has just done, as `npm run gate` does, so that an update of nothing is done at once.
 */
async function judged(s: Settings): Promise<void> {
  const { status, reason } = await gate(s, ["ready", "warming_up", "unknown"], { seconds: gateSeconds });
  if (status !== "ready") say(`the consumer group is ${status} (${reason}); npm run gate -- ${s.stack} waits until it is ready`);
}

function printUrls(s: Settings): void {
  const url = (part: PartName, path = "") => `${speaksTls(s, part) ? "https" : "http"}://localhost:${parts[part].port + s.portOffset}${path}`;
  const rows = [
    ["Command center", url("command-center", "/ops/crm-events")],
    ["Prometheus", url("prometheus")],
    ["Alertmanager", url("alertmanager")],
    ...(s.grafana.mode === "built-in" ? [["Grafana", url("grafana")]] : []),
    ["CRM API", url("crm-api", "/qbo/status")],
    ["CRM events", url("crm-events", "/crm-events")],
    ...(s.slack.standin ? [["Slack inbox", url("slack-standin")]] : []),
    ...(s.simulator ? [["Simulator", url("simulator", "/scenarios")]] : []),
  ];
  console.log(`\nThe ${s.stack} stack is healthy:\n${rows.map(([name, at]) => `  ${name!.padEnd(15)} ${at}`).join("\n")}\n`);
}

async function main(argv: readonly string[]): Promise<void> {
  const { stack, overrides: given, compose } = upArguments(argv);
  const s = settingsOf(stack, given);
  if (s.target !== "docker") throw new Error(`[target] stack "${stack}" is for ${s.target}; make up starts Docker stacks, use: pulumi up --stack ${stack}`);
  await ensureEngine();
  const overrides = await prepareImages(stack, given);
  const pulumi = compose ? { missing: "Compose was asked for" } : await findPulumi();
  if ("program" in pulumi) await upWithPulumi(pulumi.program, settingsOf(stack, overrides), overrides);
  else {
    say(`${pulumi.missing}: applying the rendered Compose file instead`);
    await upWithCompose(settingsOf(stack, overrides), overrides);
  }
  await judged(s);
  printUrls(settingsOf(stack, overrides));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
