/** Starts the Slack stand-in. */
import { readEnv } from "../shared/env.ts";
import { closeOnSignal, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { createRegistry } from "../shared/metrics.ts";
import { slackStandinApp } from "./app.ts";
import { slackStandinEnv } from "./env.ts";

await startOrExit(createLogger("slack-standin"), async () => {
  const env = readEnv(slackStandinEnv, process.env);
  const log = createLogger("slack-standin", env.LOG_LEVEL);
  const app = slackStandinApp({ webhooks: env.WEBHOOK_PATHS, deadManSeconds: env.DEADMAN_SECONDS, registry: createRegistry(), log });
  await app.listen({ host: env.HOST, port: env.PORT });
  closeOnSignal([{ name: "http", close: () => app.close() }], log);
});
