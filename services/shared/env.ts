/** Reads a service's environment once, by its schema; secrets come from files that `*_FILE` variables name. */
import { readFileSync } from "node:fs";
import { z } from "zod";

/** Pieces that several services' schemas share. */
export const envTypes = {
  port: (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback),
  integer: (fallback: number, minimum = 0) => z.coerce.number().int().min(minimum).default(fallback),
  /** `true` or `false`, as text. */
  flag: (fallback: boolean) => z.enum(["true", "false"]).default(fallback ? "true" : "false").transform((v) => v === "true"),
  /** Comma-separated list without empty items. */
  list: z.string().default("").transform((v) => v.split(",").map((x) => x.trim()).filter((x) => x !== "")),
  url: z.url({ protocol: /^https?$/ }).transform((v) => v.replace(/\/+$/, "")),
  /** JSON text that fits `schema`. */
  json: <S extends z.ZodType>(schema: S) =>
    z
      .string()
      .transform((text, context): unknown => {
        try {
          return JSON.parse(text);
        } catch {
          context.addIssue({ code: "custom", message: "expected JSON" });
          return z.NEVER;
        }
      })
      .pipe(schema),
  logLevel: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
};

/** Environment of every service that talks to Kafka. */
export const kafkaEnv = {
  KAFKA_BROKERS: z
    .string()
    .transform((v) => v.split(",").map((x) => x.trim()))
    .refine((brokers) => brokers.every((broker) => /^(\[[\da-f:]+\]|[\w.-]+)(:\d{1,5})?$/i.test(broker)), "HOST:PORT, several separated by commas, is expected"),
  KAFKA_TOPIC: z.string().default("aetherlink.events"),
  KAFKA_TLS: envTypes.flag(false),
  KAFKA_TLS_CA_FILE: z.string().optional(),
  KAFKA_SASL_MECHANISM: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]).optional(),
  KAFKA_SASL_USERNAME: z.string().optional(),
  KAFKA_SASL_PASSWORD_FILE: z.string().optional(),
};

/**
 * Parses an environment.
 * @param schema the service's schema; its keys are the variables' names
 * @param env usually `process.env`; an empty string counts as not set
 * @throws Error that names every wrong variable and what is expected, and no value
 */
export function readEnv<S extends z.ZodType>(schema: S, env: NodeJS.ProcessEnv): z.infer<S> {
  const given = Object.fromEntries(Object.entries(env).filter(([, v]) => v !== undefined && v !== ""));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const lines = result.error.issues.map((i) => `${i.path.join(".") || "environment"}: ${i.message}`);
  throw new Error(`wrong environment: ${lines.join("; ")}`);
}

/**
 * Reads a file that a variable names.
 * @throws Error that names the variable
 */
export function readFileOf(variable: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`${variable}: ${error instanceof Error ? error.message : "cannot be read"}`, { cause: error });
  }
}

/**
 * Reads a secret file, without its final newline. Read it at each use where a swap must take effect without a restart.
 * @throws Error that names the path, never the content
 */
export function readSecret(path: string): string {
  const text = readFileSync(path, "utf8").trim();
  if (text === "") throw new Error(`secret file ${path} is empty`);
  return text;
}
