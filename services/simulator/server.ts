/** Starts the simulator. */
import { readEnv } from "../shared/env.ts";
import { closeOnSignal, startOrExit } from "../shared/lifecycle.ts";
import { createLogger } from "../shared/log.ts";
import { createRegistry } from "../shared/metrics.ts";
import { simulatorApp } from "./app.ts";
import { Driver } from "./driver.ts";
import { simulatorEnv } from "./env.ts";
import { RagTraffic } from "./rag-traffic.ts";
import { Scenarios } from "./scenarios.ts";

await startOrExit(createLogger("simulator"), async () => {
  const env = readEnv(simulatorEnv, process.env);
  const log = createLogger("simulator", env.LOG_LEVEL);
  const registry = createRegistry();
  const scenarios = new Scenarios(env.TENANTS);
  const driver = new Driver({
    crmUrl: env.CRM_API_URL,
    orgs: env.ORGS,
    eventsPerMinute: env.EVENTS_PER_MINUTE,
    termSeconds: env.INVOICE_TERM_SECONDS,
    seed: env.SEED,
    connectQbo: env.CONNECT_QBO,
    scenarios,
    registry,
    log,
  });
  const traffic = new RagTraffic(env.TENANTS, env.SEED, scenarios, registry);
  let last = Date.now();
  const clock = setInterval(() => {
    // A machine that slept must not wake up to hours of traffic at once.
    const now = Date.now();
    traffic.pass(Math.min(10, Math.max(0, (now - last) / 1000)));
    last = now;
  }, 1000);

  const app = simulatorApp({ scenarios, crm: driver.crm, registry, log });
  await app.listen({ host: env.HOST, port: env.PORT });
  driver.start();
  closeOnSignal([{ name: "driver", close: () => driver.stop() }, { name: "clock", close: () => clearInterval(clock) }, { name: "http", close: () => app.close() }], log);
});
