/** The stand-in's environment. */
import { z } from "zod";
import { envTypes, readEnv } from "../shared/env.ts";

const schema = z.object({
  HOST: z.string().default("0.0.0.0"),
  PORT: envTypes.port(8091),
  LOG_LEVEL: envTypes.logLevel,
  QBO_CLIENT_ID: z.string().min(1),
  QBO_CLIENT_SECRET_FILE: z.string().min(1),
  QBO_WEBHOOK_VERIFIER_FILE: z.string().min(1),
  /** Where changes are announced; absent: nowhere. */
  WEBHOOK_URL: envTypes.url.optional(),
  ACCESS_TOKEN_SECONDS: envTypes.integer(3600, 1),
});

/** @throws Error that names every wrong variable */
export const readQboStandinEnv = (env: NodeJS.ProcessEnv): z.output<typeof schema> => readEnv(schema, env);
