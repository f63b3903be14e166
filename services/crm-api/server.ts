/** Runs the service: reads the environment, listens, ends gracefully. */
import { closeOnSignal, closeWithin, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { readCrmApiEnv } from "./env.ts";
import { createCrmApi } from "./service.ts";

// The store holds QuickBooks tokens: its files are for this user only.
process.umask(0o077);

await startOrExit(createLogger("crm-api"), async () => {
  const env = readCrmApiEnv(process.env);
  const log = createLogger("crm-api", env.LOG_LEVEL);
  const service = await createCrmApi(env, log);
  const { app } = service;
  closeOnSignal([{ name: "jobs and store", close: () => service.stop() }, { name: "http", close: () => closeWithin(app.server, () => app.close()) }], log);
  service.start();
  await app.listen({ host: env.HOST, port: env.PORT });
});
