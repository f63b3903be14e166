/**
 * `npm run render:secrets -- --stack NAME --out DIR`: writes the secret files that the rendered Compose file or manifests
 * refer to. The only command that decrypts, and only if the stack has encrypted values; it asks the Pulumi CLI for them.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { ConfigSource, ConfigValue } from "../components/settings/source.ts";
import { parts } from "../components/topology.ts";
import { renderArguments } from "./arguments.ts";
import { makeFolder } from "./folders.ts";
import { record, type Recorded } from "./record.ts";
import { fileSource } from "../components/settings/stack-files.ts";

const projectRoot = fileURLToPath(new URL("..", import.meta.url));

/** The stack's configuration with its secrets in clear, for this process only. */
function revealed(source: ConfigSource, folder: string): ConfigSource {
  if (![...source.values.values()].some((v) => v.opaque)) return source;
  let text: string;
  try {
    text = execFileSync("pulumi", ["config", "--show-secrets", "--json", "--stack", source.stack], { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new Error(`stack "${source.stack}" has encrypted values, and \`pulumi config --show-secrets\` could not read them: ${(error as { stderr?: string }).stderr?.trim() ?? "is the Pulumi CLI on the PATH?"}`, { cause: error });
  }
  const given = JSON.parse(text) as Record<string, { value?: string; secret?: boolean }>;
  const values = new Map<string, ConfigValue>(source.values);
  for (const [key, { value, secret }] of Object.entries(given)) {
    const [namespace, ...rest] = key.split(":");
    const known = source.values.get(rest.join(":"));
    if (namespace === source.project && value !== undefined && known?.opaque) values.set(rest.join(":"), { text: value, secret: secret ?? false, opaque: false });
  }
  const left = [...values].filter(([, value]) => value.opaque).map(([key]) => key);
  if (left.length > 0) throw new Error(`stack "${source.stack}" has encrypted values that \`pulumi config --show-secrets\` did not give: ${left.join(", ")}`);
  return { ...source, values };
}

/** Writes by rename, so that a reader sees the old content or the new one. */
function writeSecret(path: string, text: string, mode: number): void {
  const next = `${path}.next`;
  writeFileSync(next, text, { mode: 0o600 });
  chmodSync(next, mode);
  renameSync(next, path);
}

/**
 * Writes `secrets/<part>/<name>` (Docker) or `secrets/<part>-secrets.yaml` (Kubernetes) below `out`, and removes what
 * an earlier call has written and this one does not.
 * Nobody but the owner can enter the folder; inside, a loader of another uid can read what it is given.
 * @param root the project's folder
 * @returns how many files were written
 * @throws SettingsError when the configuration is wrong or a secret is missing, Error when an encrypted value cannot be
 *   decrypted; nothing is written then
 */
export async function writeSecrets(stack: string, out: string, overrides: Readonly<Record<string, unknown>> = {}, root = projectRoot): Promise<number> {
  const source = revealed(fileSource(root, stack, overrides), root);
  // These files are what programs sign in with, so this is a deployment: what stands in for a missing secret is no secret.
  const { resources } = await record({ ...source, tolerant: false }, true);
  const folder = join(out, "secrets");
  makeFolder(folder);
  chmodSync(folder, 0o700);
  removeOthers(folder, stack, resources);
  return dockerSecrets(folder, stack, resources) + kubernetesSecrets(folder, resources);
}

const isLoader = (r: Recorded) => r.type === "docker:index/container:Container" && r.name.endsWith("-secrets-loader");
const isSecret = (r: Recorded) => r.inputs.kind === "Secret" && r.type.startsWith("kubernetes:");
const partOf = (loader: Recorded, stack: string) => String(loader.inputs.name).slice(`crm-${stack}-`.length, -"-secrets-loader".length);

/** Only by the names that are given here: the folder may hold something else. */
function removeOthers(folder: string, stack: string, resources: readonly Recorded[]): void {
  const kept = new Set([...resources.filter(isLoader).map((r) => partOf(r, stack)), ...resources.filter(isSecret).map((r) => `${r.name}.yaml`)]);
  const possible = Object.keys(parts).flatMap((part) => [part, `${part}-secrets.yaml`]);
  for (const name of possible.filter((p) => !kept.has(p))) rmSync(join(folder, name), { recursive: true, force: true });
}

function dockerSecrets(folder: string, stack: string, resources: readonly Recorded[]): number {
  let written = 0;
  for (const loader of resources.filter(isLoader)) {
    const target = join(folder, partOf(loader, stack));
    const uploads = loader.inputs.uploads as { file: string; content: string }[];
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target);
    // Whatever umask this process has.
    chmodSync(target, 0o755);
    for (const { file, content } of uploads) writeSecret(join(target, basename(file)), content, 0o444);
    written += uploads.length;
  }
  return written;
}

function kubernetesSecrets(folder: string, resources: readonly Recorded[]): number {
  const secrets = resources.filter(isSecret);
  for (const secret of secrets) writeSecret(join(folder, `${secret.name}.yaml`), stringify(secret.inputs), 0o600);
  return secrets.length;
}

if (import.meta.main) {
  try {
    const { stack, out, overrides } = renderArguments("render:secrets", process.argv.slice(2));
    console.log(`${await writeSecrets(stack, out, overrides)} secret files in ${join(out, "secrets")}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
