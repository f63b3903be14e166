/** `make up` without the Pulumi CLI: the rendered Compose file. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureCompose } from "../airgap/compose.ts";
import { ensureEngine } from "../airgap/engine.ts";
import { run, say } from "../airgap/process.ts";
import { restartLabel } from "../components/platform/loader.ts";
import type { Settings } from "../components/settings/schema.ts";
import { partsOf, replicaNames, replicasOf } from "../components/topology.ts";
import { foreground } from "./foreground.ts";
import { allHealthy, loaderReports, waitHealthy } from "./health.ts";
import { stamp } from "./pulumi.ts";
import { root } from "./service-sources.ts";
import type { Overrides } from "./stacks.ts";

/** Seconds until every program must be healthy. */
export const healthySeconds = 300;

/** What was applied last, as hashes: the whole of it, and each part's secrets. */
export interface Applied {
  readonly all: string;
  readonly secrets: Readonly<Record<string, string>>;
}

/** Names of the programs that the stack runs. */
export const expectedOf = (s: Settings): string[] => partsOf(s).flatMap((part) => replicaNames(part, replicasOf(s, part)));

/** Applies the stack, unless it is already what runs. @throws Error with the words of each loader that refuses its files */
export async function upWithCompose(s: Settings, overrides: Overrides): Promise<void> {
  const prefix = `crm-${s.stack}`;
  if (s.grafana.mode === "external") say("only the Pulumi CLI puts data source, folders and dashboards into an external Grafana: they are left out");
  const out = renderInto(s.stack, overrides);
  const record = join(root, `.state/applied-${s.stack}`);
  const before = readApplied(record);
  const now = appliedOf(out);
  if (before?.all === now.all && (await allHealthy(prefix, expectedOf(s)))) {
    say("nothing has changed and everything is healthy");
    return;
  }
  const { command } = await ensureCompose(await ensureEngine());
  const start = Date.now();
  // From here on what runs is not what was applied last, until all of this is.
  rmSync(record, { force: true });
  try {
    foreground(command[0], [...command.slice(1), "--project-directory", out, "-f", join(out, "compose.yaml"), "-p", prefix, "up", "-d", "--remove-orphans"]);
  } catch (error) {
    throw new Error([(error as Error).message, ...(await loaderReports(prefix))].join("\n"), { cause: error });
  }
  await restartForSecrets(prefix, changedSecrets(before, now), start);
  await waitHealthy(prefix, expectedOf(s), healthySeconds);
  writeFileSync(record, JSON.stringify(now), { mode: 0o600 });
}

function renderInto(stack: string, overrides: Overrides): string {
  const out = join(root, `.state/render/${stack}`);
  mkdirSync(out, { recursive: true });
  const sets = Object.entries(overrides).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
  for (const script of ["render/cli.ts", "render/secrets.ts"]) foreground(process.execPath, [script, "--stack", stack, "--out", out, ...sets]);
  return out;
}

/** @returns undefined when nothing was applied, or by an earlier version that noted less */
export function readApplied(path: string): Applied | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Applied;
  } catch {
    return undefined;
  }
}

/** Hashes of a rendered folder. */
export function appliedOf(out: string): Applied {
  const folder = join(out, "secrets");
  const parts = existsSync(folder) ? readdirSync(folder).sort() : [];
  const secrets = Object.fromEntries(parts.map((part) => [part, stamp(...filesOf(join(folder, part)))]));
  return { all: stamp(readFileSync(join(out, "compose.yaml"), "utf8"), JSON.stringify(secrets)), secrets };
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.name}\0${readFileSync(join(entry.parentPath, entry.name), "utf8")}`)
    .sort();

/** Parts whose secrets are not known to be those that were applied last. */
export const changedSecrets = (before: Applied | undefined, now: Applied): string[] => Object.keys(now.secrets).filter((part) => before?.secrets?.[part] !== now.secrets[part]);

/** Restarts what reads its secrets only when it starts, unless it was started after they came. */
export async function restartForSecrets(prefix: string, changed: readonly string[], since: number): Promise<void> {
  const filters = [`label=crm.stack=${prefix}`, `label=${restartLabel}=true`].flatMap((filter) => ["--filter", filter]);
  const names = (await run("docker", ["ps", "--format", "{{.Names}}", ...filters])).split("\n").filter((name) => name !== "");
  for (const name of names) {
    const part = name.slice(prefix.length + 1);
    if (!changed.some((c) => part === c || new RegExp(`^${c}-\\d+$`).test(part))) continue;
    const started = (await run("docker", ["inspect", "--format", "{{.State.StartedAt}}", name])).trim();
    if (Date.parse(started) >= since) continue;
    say(`${part} reads its secrets when it starts: restarting it`);
    await run("docker", ["restart", "--time", "30", name]);
  }
}
