/** Writes everything that a stack consists of into a folder, without CLI, engine or network. */
import { chmodSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { alertmanagerFiles } from "../components/config/alertmanager.ts";
import { blackboxFiles } from "../components/config/blackbox.ts";
import { grafanaFiles } from "../components/config/grafana.ts";
import { prometheusFiles } from "../components/config/prometheus.ts";
import type { Files } from "../components/platform/platform.ts";
import { readStack } from "../components/settings/read.ts";
import type { Settings } from "../components/settings/schema.ts";
import { composeFile } from "./compose.ts";
import { makeFolder } from "./folders.ts";
import { record, type Recorded } from "./record.ts";
import { fileSource } from "../components/settings/stack-files.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Configuration folders of a stack, by part; the same bytes on both targets. */
export function configFolders(s: Settings): Record<string, Files> {
  return {
    prometheus: prometheusFiles(s),
    alertmanager: alertmanagerFiles(s),
    blackbox: blackboxFiles(s),
    ...(s.grafana.mode === "built-in" && { grafana: grafanaFiles(s) }),
  };
}

/**
 * Renders one stack. A process renders one stack, because the program is a module and runs once.
 * @param stack such as `dev`
 * @param out a new or empty folder, or one of an earlier rendering, which is replaced; `secrets/` is kept
 * @param options `overrides` of settings, `root` of the project
 * @returns warnings about missing secrets
 * @throws SettingsError when the configuration is wrong, Error when `out` is neither; nothing is written then
 */
export async function renderStack(stack: string, out: string, options: { overrides?: Readonly<Record<string, unknown>>; root?: string } = {}): Promise<string[]> {
  assertReplaceable(out);
  const source = fileSource(options.root ?? root, stack, options.overrides);
  const { settings } = readStack(source);
  const { resources, warnings } = await record(source);
  for (const old of ["config", "compose.yaml", ".env", "manifests"]) rmSync(join(out, old), { recursive: true, force: true });
  // First what shows the next rendering, even after an interrupted one, that this folder is its own.
  const files: Record<string, string> = { "resources.json": `${JSON.stringify(resources, null, 2)}\n`, ...configFiles(settings), ...targetFiles(settings, resources) };
  for (const [path, text] of Object.entries(files)) {
    makeFolder(dirname(join(out, path)));
    writeFileSync(join(out, path), text);
  }
  readableForAll(join(out, "config"));
  return warnings;
}

/** Keeps a slip in `--out` from replacing a `config/` or `.env` of somebody else's. Secret files may have come first. */
function assertReplaceable(out: string): void {
  const found = statSync(out, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory()) throw new Error(`--out ${out}: is a file, not a folder`);
  const names = readdirSync(out);
  if (names.includes("resources.json") || names.every((name) => name === "secrets")) return;
  throw new Error(`--out ${out}: is not empty and no earlier rendering (there is no resources.json in it); name a new or an empty folder`);
}

/** Containers of other uids read the folder, whatever umask this process has. */
function readableForAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
}

function configFiles(s: Settings): Record<string, string> {
  const folders = Object.entries(configFolders(s));
  return Object.fromEntries(folders.flatMap(([part, files]) => Object.entries(files).map(([path, text]) => [`config/${part}/${path}`, text])));
}

/** `kubectl apply -f manifests` goes by file name, and everything is inside the namespace. */
function manifestPath(r: Recorded): string {
  const kind = String(r.inputs.kind).toLowerCase();
  return `manifests/${kind === "namespace" ? "00-" : ""}${kind}-${r.name}.yaml`;
}

function targetFiles(s: Settings, resources: readonly Recorded[]): Record<string, string> {
  if (s.target === "docker") return { "compose.yaml": composeFile(`crm-${s.stack}`, resources), ".env": `COMPOSE_PROJECT_NAME=crm-${s.stack}\n` };
  return Object.fromEntries(
    resources
      .filter((r) => r.type.startsWith("kubernetes:") && r.inputs.kind !== "Secret")
      .map((r) => [manifestPath(r), stringify(r.inputs, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false })]),
  );
}
