/** The service's environment; the only place that knows the variables' names. */
import { z } from "zod";
import { envTypes, kafkaEnv, readEnv, readFileOf, readSecret } from "../shared/env.ts";
import type { QboConfig } from "./qbo/config.ts";
import type { PostgresOptions } from "./store/postgres.ts";
import { newOrg } from "./http/schemas.ts";

const orgs = z.array(newOrg);

/** JSON in a variable. */
const json = <S extends z.ZodType>(schema: S, fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: "is not JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);

const schema = z
  .object({
    HOST: z.string().default("0.0.0.0"),
    PORT: envTypes.port(8080),
    LOG_LEVEL: envTypes.logLevel,
    ...kafkaEnv,
    KAFKA_PARTITIONS: envTypes.integer(6, 1),
    KAFKA_REPLICATION: envTypes.integer(1, 1),
    /** Sent events are kept this long. */
    OUTBOX_KEEP_HOURS: envTypes.integer(72, 1),
    DATA_DIR: z.string().default("/data"),
    PG_HOST: z.string().optional(),
    PG_PORT: envTypes.port(5432),
    PG_DATABASE: z.string().default("crm"),
    PG_USER: z.string().default("crm"),
    PG_PASSWORD_FILE: z.string().optional(),
    PG_TLS: envTypes.flag(false),
    PG_TLS_CA_FILE: z.string().optional(),
    REPLICAS: envTypes.integer(1, 1),
    ORGS: json(orgs, "[]"),
    QBO_BASE_URL: envTypes.url.optional(),
    QBO_SANDBOX: envTypes.flag(true),
    QBO_CLIENT_ID: z.string().optional(),
    QBO_CLIENT_SECRET_FILE: z.string().optional(),
    QBO_WEBHOOK_VERIFIER_FILE: z.string().optional(),
    QBO_REDIRECT_URL: envTypes.url.optional(),
    QBO_SYNC_SECONDS: envTypes.integer(300, 1),
  })
  .superRefine((env, context) => {
    const complain = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (env.REPLICAS > 1 && env.PG_HOST === undefined) complain("REPLICAS", `${env.REPLICAS} replicas need PostgreSQL: set PG_HOST, or run 1`);
    if (env.PG_HOST === undefined && env.PG_PASSWORD_FILE !== undefined) complain("PG_HOST", "is required with PG_PASSWORD_FILE");
    if (env.PG_TLS_CA_FILE !== undefined && !env.PG_TLS) complain("PG_TLS", "must be true with PG_TLS_CA_FILE");
    const together = ["QBO_CLIENT_ID", "QBO_CLIENT_SECRET_FILE", "QBO_REDIRECT_URL"] as const;
    const missing = together.filter((key) => env[key] === undefined);
    if (missing.length > 0 && missing.length < together.length) for (const key of missing) complain(key, `is required with ${together.filter((k) => !missing.includes(k)).join(" and ")}`);
  });

export type CrmApiEnv = z.output<typeof schema>;

/** @throws Error that names every wrong variable */
export const readCrmApiEnv = (env: NodeJS.ProcessEnv): CrmApiEnv => readEnv(schema, env);

/** @returns undefined when the embedded file is the store. @throws Error of a file that cannot be read */
export function postgresOptions(env: CrmApiEnv): PostgresOptions | undefined {
  const { PG_HOST: host, PG_PASSWORD_FILE: file, PG_TLS_CA_FILE: ca } = env;
  if (host === undefined) return undefined;
  return {
    host,
    port: env.PG_PORT,
    database: env.PG_DATABASE,
    user: env.PG_USER,
    tls: env.PG_TLS,
    ...(file === undefined ? {} : { password: () => readSecret(file) }),
    ...(ca === undefined ? {} : { ca: readFileOf("PG_TLS_CA_FILE", ca) }),
  };
}

/** @returns undefined when no QuickBooks application is configured */
export function qboConfig(env: CrmApiEnv): QboConfig | undefined {
  const { QBO_CLIENT_ID: clientId, QBO_CLIENT_SECRET_FILE: secret, QBO_REDIRECT_URL: redirectUrl, QBO_WEBHOOK_VERIFIER_FILE: verifier } = env;
  if (clientId === undefined || secret === undefined || redirectUrl === undefined) return undefined;
  return {
    baseUrl: env.QBO_BASE_URL,
    sandbox: env.QBO_SANDBOX,
    clientId,
    clientSecret: () => readSecret(secret),
    verifier: verifier === undefined ? undefined : () => readSecret(verifier),
    redirectUrl,
    syncMs: env.QBO_SYNC_SECONDS * 1000,
  };
}
