/** Runs the stand-in: reads the environment, listens, ends gracefully. */
import { readSecret } from "../shared/env.ts";
import { closeOnSignal, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { createStandin } from "./app.ts";
import { seedBooks } from "./control.ts";
import { readQboStandinEnv } from "./env.ts";

await startOrExit(createLogger("qbo-standin"), async () => {
  const env = readQboStandinEnv(process.env);
  const log = createLogger("qbo-standin", env.LOG_LEVEL);
  const { app, standin } = createStandin({
    clientId: env.QBO_CLIENT_ID,
    clientSecret: () => readSecret(env.QBO_CLIENT_SECRET_FILE),
    verifier: () => readSecret(env.QBO_WEBHOOK_VERIFIER_FILE),
    webhookUrl: env.WEBHOOK_URL,
    accessTokenSeconds: env.ACCESS_TOKEN_SECONDS,
    log,
  });
  // What has always been there is news to nobody.
  standin.webhooks.settings.enabled = false;
  seedBooks(standin.company(standin.nextRealm).books, { invoices: 24, paid: 18, days_ago: 40 }, standin.clock.now());
  standin.webhooks.settings.enabled = true;
  closeOnSignal([{ name: "http", close: () => app.close() }], log);
  await app.listen({ host: env.HOST, port: env.PORT });
});
