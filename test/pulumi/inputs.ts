/** The inputs of a stack's resources as the engine has recorded them, beside those that `npm run render` shows. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { masked, type Recorded } from "../../render/record.ts";
import type { CliStack } from "../support/pulumi.ts";
import { root } from "../support/stack.ts";

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Marks a secret of the engine's, in plans and states. */
const signatureKey = "4dabf18193072939515e22adb298388d";

/** What a mask stands for: each text of a secret, and of a file to upload its content. */
function mask(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mask);
  if (!isFields(value)) return masked;
  return typeof value.file === "string" ? { ...value, content: masked } : Object.fromEntries(Object.entries(value).map(([key, v]) => [key, mask(v)]));
}

/** Secrets, which are given in clear to know how they are built, masked as in what is rendered. */
function maskSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskSecrets);
  if (!isFields(value)) return value;
  if (signatureKey in value) return mask(JSON.parse(value.plaintext as string));
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, maskSecrets(v)]));
}

/** The stack itself, and providers that no program asked for, are the engine's own. */
const isEngines = (type: string, name: string) => type === "pulumi:pulumi:Stack" || (type.startsWith("pulumi:providers:") && name.startsWith("default"));

const recorded = (all: readonly { type: string; name: string; inputs?: unknown }[]): Recorded[] =>
  all.filter(({ type, name }) => !isEngines(type, name)).map(({ type, name, inputs }) => ({ type, name, inputs: maskSecrets(inputs ?? {}) as Record<string, unknown> }));

/** What a preview would create. @param path of a plan that was saved with `--show-secrets`, before anything was there */
export function inputsOfPlan(path: string): Recorded[] {
  const plan = JSON.parse(readFileSync(path, "utf8")) as { resourcePlans: Record<string, { goal: { type: string; name: string; inputDiff: { adds?: unknown } } }> };
  return recorded(Object.values(plan.resourcePlans).map(({ goal }) => ({ type: goal.type, name: goal.name, inputs: goal.inputDiff.adds })));
}

/** What an update has recorded. @param exported the output of `pulumi stack export --show-secrets` */
export function inputsOfState(exported: string): Recorded[] {
  const state = JSON.parse(exported) as { deployment: { resources: { urn: string; type: string; inputs?: unknown }[] } };
  return recorded(state.deployment.resources.map(({ urn, type, inputs }) => ({ type, name: urn.split("::").at(-1)!, inputs })));
}

/** Configuration of a shipped stack, without the project's prefix. */
export function shippedConfig(stack: string): Record<string, unknown> {
  const { config } = parse(readFileSync(join(root, `Pulumi.${stack}.yaml`), "utf8")) as { config: Record<string, unknown> };
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace(/^.*:/, ""), value]));
}

/** What is rendered of the same stack file, without decrypting it; in the folder that the CLI works in, because paths are relative. */
export function renderedInputs(stack: CliStack): Recorded[] {
  const out = mkdtempSync(join(tmpdir(), "rendered-"));
  try {
    const script = `import { renderStack } from "${root}render/render.ts"; await renderStack("${stack.name}", "${out}", { root: "${stack.folder}" });`;
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { cwd: stack.folder, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(readFileSync(join(out, "resources.json"), "utf8")) as Recorded[];
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** What the Kubernetes provider drops, because the API takes it for the same as nothing. */
const isEmpty = (value: unknown) => value === false || (typeof value === "object" && value !== null && Object.keys(value).length === 0);

/** What the SDK or the engine adds to the inputs of a provider. */
const providersOwn = ["version", "__internal"];

function compare(rendered: unknown, engines: unknown, at: string, added: readonly string[]): string[] {
  if (isDeepStrictEqual(rendered, engines)) return [];
  if (Array.isArray(rendered) && Array.isArray(engines) && rendered.length === engines.length) return rendered.flatMap((value, i) => compare(value, engines[i], `${at}[${i}]`, []));
  if (!isFields(rendered) || !isFields(engines)) return [`${at}: rendered ${JSON.stringify(rendered)}, recorded ${JSON.stringify(engines)}`];
  // A provider notes in each object what it has filled in by itself.
  const filled = ["__defaults", ...((engines.__defaults ?? []) as string[]), ...added].filter((key) => !(key in rendered));
  const keys = new Set([...Object.keys(rendered), ...Object.keys(engines)].filter((key) => !filled.includes(key)));
  return [...keys].flatMap((key) => (key in engines || !isEmpty(rendered[key]) ? compare(rendered[key], engines[key], `${at}.${key}`, []) : []));
}

/**
 * Compares resource by resource.
 * @returns what differs, one line each; what a provider has filled in by itself, and empty values, do not
 */
export function differences(rendered: readonly Recorded[], engines: readonly Recorded[]): string[] {
  const byName = (all: readonly Recorded[]) => new Map(all.map((r) => [`${r.type} ${r.name}`, r]));
  const [left, right] = [byName(rendered), byName(engines)];
  return [...new Set([...left.keys(), ...right.keys()])].sort().flatMap((id) => {
    const [a, b] = [left.get(id), right.get(id)];
    if (a === undefined || b === undefined) return [`${id}: only ${a === undefined ? "recorded" : "rendered"}`];
    return compare(a.inputs, b.inputs, id, a.type.startsWith("pulumi:providers:") ? providersOwn : []);
  });
}
