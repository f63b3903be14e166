/** `make down`: stops a stack. Secret files go, data stays unless `--data` is given. */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { capture, run, say } from "../airgap/process.ts";
import { findPulumi, pulumiEnv, unlock } from "./pulumi.ts";
import { root } from "./service-sources.ts";
import { notOurs } from "./stacks.ts";

const lines = async (args: readonly string[]) => (await run("docker", args)).split("\n").filter((line) => line !== "");

/** What the engine has of a stack, found by labels, whoever created it; another stack's name may begin with this one's. */
async function found(prefix: string): Promise<{ containers: string[]; volumes: string[] }> {
  const labels = [`label=crm.stack=${prefix}`, `label=com.docker.compose.project=${prefix}`];
  const containers = await lines(["ps", "--all", "--quiet", "--filter", labels[0]!]);
  const volumes = await Promise.all(labels.map((label) => lines(["volume", "ls", "--quiet", "--filter", label])));
  return { containers, volumes: [...new Set(volumes.flat())] };
}

/** Volumes that images declare and nobody has named: nothing finds them again, so they go with their containers. */
async function unnamedVolumes(containers: readonly string[]): Promise<ReadonlySet<string>> {
  const format = '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}';
  return new Set((await lines(["inspect", "--format", format, ...containers])).filter((name) => /^[0-9a-f]{64}$/.test(name)));
}

/** Stops containers and removes them, with the volumes that are nobody's without them. */
async function removeContainers(containers: readonly string[]): Promise<void> {
  if (containers.length === 0) return;
  const unnamed = await unnamedVolumes(containers);
  await run("docker", ["stop", "--time", "30", ...containers]);
  await run("docker", ["rm", "--force", "--volumes", ...containers]);
  // Compose hands them on to a container that replaces another, and the engine then takes them for named ones.
  const left = (await lines(["volume", "ls", "--quiet"])).filter((name) => unnamed.has(name));
  if (left.length > 0) await run("docker", ["volume", "rm", ...left]);
}

/**
 * Removes what the CLI does not know of.
 * @param unknown why there should be no stack by this name; then something must be there to remove
 * @throws Error with that reason when there is nothing
 */
async function removeByLabel(stack: string, data: boolean, unknown: string | undefined): Promise<void> {
  const prefix = `crm-${stack}`;
  const { containers, volumes } = await found(prefix);
  if (unknown !== undefined && containers.length + volumes.length === 0) throw new Error(unknown);
  await removeContainers(containers);
  const gone = volumes.filter((name) => data || !name.endsWith("-data"));
  if (gone.length > 0) await run("docker", ["volume", "rm", ...gone]);
  for (const network of await lines(["network", "ls", "--format", "{{.Name}}"])) {
    if (network === `${prefix}-backend` || network === `${prefix}-edge`) await run("docker", ["network", "rm", network]);
  }
  say(`${containers.length} containers and ${gone.length} volumes removed${data ? "" : "; data volumes stay (make down DATA=delete removes them)"}`);
}

/**
 * Destroys what the CLI knows of this stack: everything, or the containers and the secret files, so that its state and the
 * data stay.
 * @returns whether the CLI knows the stack
 */
async function destroyWithPulumi(stack: string, data: boolean): Promise<boolean> {
  const file = join(root, `.state/Pulumi.${stack}.yaml`);
  if (!existsSync(file)) return false;
  const pulumi = await findPulumi();
  if (!("program" in pulumi)) return false;
  const env = pulumiEnv();
  const known = await capture(pulumi.program, ["stack", "ls", "--json"], { cwd: root, env });
  if (known.code !== 0) return false;
  const resources = (JSON.parse(known.stdout) as { name: string; resourceCount?: number }[]).find((s) => s.name === stack || s.name.endsWith(`/${stack}`))?.resourceCount;
  if (!resources) return false;
  unlock(stack);
  // What an update that was killed has left is in no state, and holds volumes and networks; what is in it may be gone.
  await removeContainers((await found(`crm-${stack}`)).containers);
  const part = data ? [] : ["--target", "**docker:index/container:Container::**", "--target", `**docker:index/volume:Volume::crm-${stack}-*-secrets`];
  const { status } = spawnSync(pulumi.program, ["destroy", "--yes", "--skip-preview", "--stack", stack, "--config-file", file, ...part], { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`pulumi destroy failed with code ${status}`);
  return true;
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args: [...argv], options: { data: { type: "boolean" } }, allowPositionals: true });
  const [stack = "dev"] = positionals;
  const data = values.data ?? false;
  const known = await destroyWithPulumi(stack, data);
  // What the CLI keeps in its state must stay for the next update; the rest was not made by it, or is left over.
  if (!known || data) await removeByLabel(stack, data, known ? undefined : notOurs(stack));
  else say("containers and secret files are gone; data volumes stay (make down DATA=delete removes them)");
  rmSync(join(root, `.state/render/${stack}/secrets`), { recursive: true, force: true });
  rmSync(join(root, `.state/applied-${stack}`), { force: true });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
