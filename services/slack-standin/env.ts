/** Environment of the Slack stand-in. */
import { z } from "zod";
import { envTypes } from "../shared/env.ts";

const defaultPaths = { "/services/T000/B000/crm": "#crm-alerts", "/services/T000/B000/ops": "#ops-alerts" };

const pathPattern = /^\/services(\/[A-Za-z0-9_-]+){3}$/;
const webhookPaths = z
  .record(z.string(), z.string().regex(/^#[a-z0-9_-]{1,80}$/, "a channel looks like #crm-alerts"))
  .refine((paths) => Object.keys(paths).every((path) => pathPattern.test(path)), "a webhook path looks like /services/T000/B000/name");

export const slackStandinEnv = z.object({
  HOST: z.string().default("0.0.0.0"),
  PORT: envTypes.port(8090),
  LOG_LEVEL: envTypes.logLevel,
  /** JSON object: webhook path to the channel that it is bound to. */
  WEBHOOK_PATHS: envTypes.json(webhookPaths).default(defaultPaths),
  /** A beat is expected at least this often. */
  DEADMAN_SECONDS: envTypes.integer(60, 1),
});
