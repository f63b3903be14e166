/** Reads a stack's configuration from its files alone, as the Pulumi CLI would, but never decrypts. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import type { ConfigSource, ConfigValue } from "./source.ts";

/** What stands for a secret's content in everything that is rendered. */
export const opaqueText = "[secret]";

interface ProjectFile {
  readonly name: string;
  readonly config?: Record<string, { readonly default?: unknown }>;
}

/** Text as the engine hands it to a program: JSON for lists and objects, nothing for a key with nothing behind it. */
const asText = (value: unknown) => (typeof value === "string" ? value : value === null ? "" : JSON.stringify(value));
const isEncrypted = (value: unknown): boolean => typeof value === "object" && value !== null && Object.keys(value).length === 1 && "secure" in value;
const holdsEncrypted = (value: unknown): boolean => isEncrypted(value) || (typeof value === "object" && value !== null && Object.values(value).some(holdsEncrypted));

/** A key without the project's name; a key without any is the project's own too, as the CLI has it. Undefined for another's. */
function ownName(key: string, project: string): string | undefined {
  const at = key.indexOf(":");
  return at === -1 || key.slice(0, at) === project ? key.slice(at + 1) : undefined;
}

/** @throws Error that names the file and the line */
function parsedFile(path: string): unknown {
  try {
    return parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Error(`${basename(path)} is no YAML: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * @param root folder of `Pulumi.yaml`
 * @param stack such as `dev`
 * @param overrides further values, such as `{ imageRegistry: "…" }`, which win over the file's
 * @throws Error when the stack has no file, naming those that are there, or a file is no YAML
 */
export function fileSource(root: string, stack: string, overrides: Readonly<Record<string, unknown>> = {}): ConfigSource {
  const project = parsedFile(join(root, "Pulumi.yaml")) as ProjectFile;
  const path = join(root, `Pulumi.${stack}.yaml`);
  if (!existsSync(path)) {
    const known = readdirSync(root).flatMap((f) => /^Pulumi\.(.+)\.yaml$/.exec(f)?.[1] ?? []);
    throw new Error(`there is no Pulumi.${stack}.yaml; stacks here: ${known.join(", ")}`);
  }
  const file = (parsedFile(path) ?? {}) as { config?: Record<string, unknown> };
  const values = new Map<string, ConfigValue>();
  const others: string[] = [];
  for (const [key, spec] of Object.entries(project.config ?? {})) {
    if (spec.default !== undefined) values.set(key, { text: asText(spec.default), secret: false, opaque: false });
  }
  for (const [key, value] of Object.entries(file.config ?? {})) {
    const name = ownName(key, project.name);
    if (name === undefined) {
      others.push(key);
      continue;
    }
    const opaque = holdsEncrypted(value);
    values.set(name, { text: opaque ? opaqueText : asText(value), secret: opaque, opaque, structured: typeof value === "object" && value !== null });
  }
  for (const [key, value] of Object.entries(overrides)) values.set(key, { text: asText(value), secret: false, opaque: false });
  return { stack, project: project.name, values, others, tolerant: true };
}
