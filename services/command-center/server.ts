/** Starts the command center. */
import { fileURLToPath } from "node:url";
import { readEnv, readFileOf } from "../shared/env.ts";
import { closeOnSignal, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { createRegistry } from "../shared/metrics.ts";
import { commandCenterApp } from "./app.ts";
import { loadAssets } from "./assets.ts";
import { commandCenterEnv } from "./env.ts";
import { readersOf } from "./readers.ts";

await startOrExit(createLogger("command-center"), async () => {
  const env = readEnv(commandCenterEnv, process.env);
  const log = createLogger("command-center", env.LOG_LEVEL);
  const app = commandCenterApp({
    readers: readersOf(env),
    feed: { url: env.CRM_EVENTS_URL, serverName: env.CRM_EVENTS_SERVER_NAME, ca: env.CRM_EVENTS_CA_FILE === undefined ? undefined : readFileOf("CRM_EVENTS_CA_FILE", env.CRM_EVENTS_CA_FILE) },
    assets: loadAssets(fileURLToPath(new URL("./public/", import.meta.url))),
    links: env.LINKS,
    pollMs: env.POLL_SECONDS * 1000,
    registry: createRegistry(),
    log,
  });
  await app.listen({ host: env.HOST, port: env.PORT });
  closeOnSignal([{ name: "http", close: () => app.close() }], log);
});
