/** Runs the program under a runtime that only records: no CLI, no engine, no network. */
import * as pulumi from "@pulumi/pulumi";
import { useSource, type ConfigSource } from "../components/settings/source.ts";

/** A resource as the program registered it. */
export interface Recorded {
  readonly type: string;
  readonly name: string;
  /** Secrets are masked. */
  readonly inputs: Record<string, unknown>;
}

/** What stands for a secret in recorded inputs. */
export const masked = "[secret]";

// How the SDK marks a secret on the wire.
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** Drops undefined fields, and unwraps or masks secrets, however deep. */
function clean(value: unknown, reveal: boolean): unknown {
  if (Array.isArray(value)) return value.map((v) => clean(v, reveal));
  if (typeof value !== "object" || value === null) return value;
  const object = value as Record<string, unknown>;
  if (object[signatureKey] === secretSignature) return reveal ? clean(object.value, true) : mask(object.value);
  return Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined).map(([k, v]) => [k, clean(v, reveal)]));
}

/**
 * Masks every text of a secret value. The SDK marks a whole list when one field of one item is secret: of a file to
 * upload only the content is.
 */
function mask(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mask);
  if (typeof value !== "object" || value === null) return masked;
  const object = value as Record<string, unknown>;
  if (typeof object.file === "string") return { ...object, content: masked };
  return Object.fromEntries(Object.entries(object).map(([k, v]) => [k, mask(v)]));
}

/**
 * Runs `index.ts` for one stack and gives back what it would create, by type and name.
 * One process records one stack: the program is a module and runs once.
 * @param reveal secrets are not masked; only for what writes secret files
 * @throws SettingsError when the configuration is wrong
 */
export async function record(source: ConfigSource, reveal = false): Promise<{ resources: Recorded[]; warnings: string[] }> {
  const resources: Recorded[] = [];
  const warnings: string[] = [];
  useSource(source);
  const log = pulumi.log as { warn: typeof pulumi.log.warn };
  log.warn = async (message) => void warnings.push(message);
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        resources.push({ type: args.type, name: args.name, inputs: clean(args.inputs, reveal) as Record<string, unknown> });
        return { id: `${args.name}`, state: args.inputs };
      },
      call: (args) => {
        throw new Error(`the program calls ${args.token}, which needs an engine`);
      },
    },
    source.project,
    source.stack,
    true,
  );
  const { stackTraceLimit } = Error;
  try {
    await import("../index.ts");
    await pulumi.runtime.disconnect();
  } finally {
    // The program shortens stacks, for its own process.
    Error.stackTraceLimit = stackTraceLimit;
  }
  // The order of registration depends on which promise is first.
  resources.sort((a, b) => (`${a.type}\0${a.name}` < `${b.type}\0${b.name}` ? -1 : 1));
  return { resources, warnings };
}
