/** The Pulumi CLI: one on the PATH, or the npm wrapper, which downloads it at its first use. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { parseDocument, stringify } from "yaml";
import { capture, onPath, run } from "../airgap/process.ts";
import { removeStaleLocks } from "./locks.ts";
import { root } from "./service-sources.ts";

/** Where the state is when the user has set no backend. */
const ownBackend = join(root, ".state/pulumi");

/** Seconds that the wrapper may take to download the CLI. */
const downloadSeconds = 120;

/**
 * Resources at a time. The CLI's own number is four per processor, and most of an update is waiting for programs to become
 * healthy: on two processors those would hold up the ones that have not started.
 */
export const parallel = "32";

/**
 * @returns the program to call, or why there is none
 */
export async function findPulumi(): Promise<{ program: string } | { missing: string }> {
  const wrapper = join(root, "node_modules/.bin/pulumi");
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.endsWith("node_modules/.bin"));
  const own = path.map((folder) => join(folder, "pulumi")).find((file) => existsSync(file));
  if (own !== undefined) return { program: own };
  if (!existsSync(wrapper) || onPath("node") === undefined) return { missing: "there is no Pulumi CLI on the PATH" };
  const { code, stderr } = await capture(wrapper, ["version"], { seconds: downloadSeconds });
  return code === 0 ? { program: wrapper } : { missing: `the Pulumi CLI is not on the PATH and cannot be downloaded (${stderr.trim().split("\n").at(-1)?.slice(0, 160)})` };
}

/**
 * Environment for the Make targets: state in a file below `.state`, a passphrase of its own, unless the user has set a
 * backend; `PULUMI_PARALLEL`, unless it is set. The user's Pulumi login is not touched.
 */
export function pulumiEnv(): Record<string, string> {
  const env: Record<string, string> = { PULUMI_PARALLEL: process.env.PULUMI_PARALLEL || parallel, PULUMI_SKIP_UPDATE_CHECK: "true", PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter) };
  if (process.env.PULUMI_BACKEND_URL === undefined) {
    mkdirSync(ownBackend, { recursive: true, mode: 0o700 });
    env.PULUMI_BACKEND_URL = `file://${ownBackend}`;
  }
  if (process.env.PULUMI_CONFIG_PASSPHRASE === undefined && process.env.PULUMI_CONFIG_PASSPHRASE_FILE === undefined) {
    const file = join(root, ".state/passphrase");
    if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString("base64url"), { mode: 0o600 });
    env.PULUMI_CONFIG_PASSPHRASE_FILE = file;
  }
  return env;
}

/**
 * Frees a stack that a killed update has left locked; in our own backend only, because nobody else's locks are ours.
 * @returns whether it was locked: then a refresh is due
 */
export const unlock = (stack: string): boolean => process.env.PULUMI_BACKEND_URL === undefined && removeStaleLocks(ownBackend, stack);

/**
 * Makes sure that the backend knows the stack. The CLI writes the salt of a new stack into its tracked file and lays the
 * file out anew; the salt is kept in the copy instead, and the file is put back.
 */
export async function ensureStack(program: string, stack: string, env: Readonly<Record<string, string>>): Promise<void> {
  const known = await run(program, ["stack", "ls", "--json"], { cwd: root, env });
  if ((JSON.parse(known) as { name: string }[]).some(({ name }) => name === stack || name.endsWith(`/${stack}`))) return;
  const tracked = join(root, `Pulumi.${stack}.yaml`);
  const before = readFileSync(tracked, "utf8");
  try {
    await run(program, ["stack", "init", stack], { cwd: root, env });
    const salt: unknown = parseDocument(readFileSync(tracked, "utf8")).get("encryptionsalt");
    writeFileSync(stackFilePath(stack), salt === undefined ? "" : stringify({ encryptionsalt: salt }), { mode: 0o600 });
  } finally {
    writeFileSync(tracked, before);
  }
}

const stackFilePath = (stack: string) => join(root, `.state/Pulumi.${stack}.yaml`);

/**
 * A copy of the stack's file with `overrides`, so that what this machine lacks is not written into the tracked file.
 * @returns its path; the salt of the stack's own encryption is kept between calls
 */
export function stackFile(stack: string, overrides: Readonly<Record<string, unknown>>): string {
  const path = stackFilePath(stack);
  const document = parseDocument(readFileSync(join(root, `Pulumi.${stack}.yaml`), "utf8"));
  for (const [key, value] of Object.entries(overrides)) document.setIn(["config", `crm-observability:${key}`], value);
  const salt: unknown = existsSync(path) ? parseDocument(readFileSync(path, "utf8")).get("encryptionsalt") : undefined;
  if (salt !== undefined && document.get("encryptionsalt") === undefined) document.set("encryptionsalt", salt);
  writeFileSync(path, document.toString(), { mode: 0o600 });
  return path;
}

/** Short hash of texts, for stamps. */
export const stamp = (...texts: readonly string[]): string => createHash("sha256").update(texts.join("\0")).digest("hex").slice(0, 16);
