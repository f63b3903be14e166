/** Runs the service: reads the environment, listens, ends gracefully. */
import { readEnv } from "../shared/env.ts";
import { closeOnSignal, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { eventsEnv } from "./env.ts";
import { startService } from "./service.ts";

await startOrExit(createLogger("crm-events"), async () => {
  const env = readEnv(eventsEnv, process.env);
  const log = createLogger("crm-events", env.LOG_LEVEL);
  const { parts } = await startService(env, log);
  closeOnSignal(parts, log);
});
