/** Environment of the command center. */
import { z } from "zod";
import { envTypes } from "../shared/env.ts";

export const commandCenterEnv = z
  .object({
    HOST: z.string().default("0.0.0.0"),
    PORT: envTypes.port(3001),
    LOG_LEVEL: envTypes.logLevel,
    CRM_API_URL: envTypes.url,
    CRM_EVENTS_URL: envTypes.url,
    /** Over https: the name in the certificate of crm-events, and the file of who signed it. */
    CRM_EVENTS_SERVER_NAME: z.string().optional(),
    CRM_EVENTS_CA_FILE: z.string().optional(),
    PROMETHEUS_URL: envTypes.url,
    ALERTMANAGER_URL: envTypes.url,
    /** The Slack stand-in; absent where messages go to Slack itself. */
    SLACK_INBOX_URL: envTypes.url.optional(),
    /** JSON object: name to the address that a person opens. */
    LINKS: envTypes.json(z.record(z.string(), z.url({ protocol: /^https?$/ }))).default({}),
    /** Consumer group whose lag is shown. */
    CONSUMER_GROUP: z.string().default("crm-events-sse"),
    /** Payment SLO: percent of invoices paid by their due date. */
    PAYMENT_SLO_PCT: z.coerce.number().gt(0).lt(100).default(85),
    /** Sources are read this often while somebody looks. */
    POLL_SECONDS: z.coerce.number().min(0.1).max(60).default(5),
  })
  .superRefine((env, context) => {
    if (env.CRM_EVENTS_URL.startsWith("https:")) return;
    for (const name of ["CRM_EVENTS_SERVER_NAME", "CRM_EVENTS_CA_FILE"] as const) {
      if (env[name] !== undefined) context.addIssue({ code: "custom", path: [name], message: "is for https: give CRM_EVENTS_URL one, or unset it" });
    }
  });
