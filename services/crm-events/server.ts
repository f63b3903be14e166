import { readEnv } from "../shared/env.ts";
import { closeOnSignal } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { eventsEnv } from "./env.ts";
import { startService } from "./service.ts";

const env = readEnv(eventsEnv, process.env);
const log = createLogger("crm-events", env.LOG_LEVEL);
const { parts } = await startService(env, log);
closeOnSignal(parts, log);
