/** Starts the probe. */
import { once } from "node:events";
import { createServer } from "node:http";
import { closeOnSignal, closeWithin, startOrExit } from "../shared/lifecycle.ts";
import { createApp } from "./app.ts";
import { readHealthEnv } from "./env.ts";
import { createLog } from "./log.ts";
import { ProbeMetrics } from "./metrics.ts";
import { Poller } from "./poller.ts";

await startOrExit(createLog("crm-events-health", "info"), async () => {
  const env = readHealthEnv(process.env);
  const log = createLog("crm-events-health", env.logLevel);
  const metrics = new ProbeMetrics();
  const poller = new Poller(env, log, metrics);
  const server = createServer({ maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 65_000 }, createApp(env, poller, metrics));
  // Nothing but the platform and Prometheus asks; more than this is a mistake that must not cost the memory.
  server.maxConnections = 256;
  server.listen(env.port, env.host);
  await once(server, "listening");
  server.on("error", (error) => log.error({ err: error }, "the server failed"));
  log.info({ host: env.host, port: env.port, group: env.consumerGroup, mode: env.windowMode }, "listening");
  poller.start();

  const close = () => {
    server.closeIdleConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  closeOnSignal([{ name: "poller", close: () => poller.close() }, { name: "server", close: () => closeWithin(server, close) }], log);
});
