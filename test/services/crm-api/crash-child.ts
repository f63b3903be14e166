/**
 * The service as a process that ends itself by SIGKILL at a chosen point. Started by the crash tests; everything but that
 * point is the service's own code.
 *
 * Environment: the service's, and `CRASH_AT` (`never`, `before-commit`, `after-commit`, `after-publish`, `before-mark`,
 * `after-refresh`) with `CRASH_AFTER`, how many times the point is passed unharmed.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readCrmApiEnv } from "../../../services/crm-api/env.ts";
import { kafkaPublisher, type Publisher } from "../../../services/crm-api/outbox/publisher.ts";
import type { Fetch } from "../../../services/crm-api/qbo/config.ts";
import { createCrmApi } from "../../../services/crm-api/service.ts";
import { openEmbeddedStore, type Store } from "../../../services/crm-api/store/store.ts";
import { kafkaConnection } from "../../../services/shared/kafka.ts";
import { closeOnSignal } from "../../../services/shared/lifecycle.ts";
import { createLogger } from "../../../services/shared/log.ts";

const crashAt = process.env["CRASH_AT"] ?? "never";
let left = Number(process.env["CRASH_AFTER"] ?? "0");
let armed = false;

/** Ends the process when the point is the chosen one and its time has come. */
async function pass(point: string): Promise<void> {
  if (!armed || point !== crashAt || left-- > 0) return;
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => undefined);
}

const withCrashes = (store: Store): Store => ({
  ...store,
  transaction: async (work) => {
    const result = await store.transaction(async (tx) => {
      const value = await work(tx);
      await pass("before-commit");
      return value;
    });
    await pass("after-commit");
    return result;
  },
});

const publisherWithCrashes = (publisher: Publisher): Publisher => ({
  ...publisher,
  publish: async (...args) => {
    const sent = publisher.publish(...args);
    if (crashAt === "after-publish") {
      sent.catch(() => undefined);
      // The request is on its way or just there; nobody has seen an acknowledgement.
      await sleep(Math.random() * 4);
      await pass("after-publish");
    }
    const refused = await sent;
    await pass("before-mark");
    return refused;
  },
});

const fetchWithCrashes: Fetch = async (url, init) => {
  const response = await fetch(url, init);
  if (!url.endsWith("/tokens/bearer") || !String(init.body).includes("grant_type=refresh_token")) return response;
  const text = await response.text();
  await pass("after-refresh");
  return new Response(text, { status: response.status, headers: response.headers });
};

const env = readCrmApiEnv(process.env);
const log = createLogger("crash-child", "info");
const store = withCrashes(await openEmbeddedStore(join(env.DATA_DIR, "crm.db")));
const topic = { topic: env.KAFKA_TOPIC, partitions: env.KAFKA_PARTITIONS, replication: env.KAFKA_REPLICATION };
const service = await createCrmApi(env, log, { store, publisher: publisherWithCrashes(kafkaPublisher(kafkaConnection(env, "crash-child"), topic)), fetch: fetchWithCrashes });
closeOnSignal([{ name: "jobs and store", close: () => service.stop() }, { name: "http", close: () => service.app.close() }], log);
// A refresh happens by itself at the start; everything else is for business to set off.
armed = crashAt === "after-refresh";
service.start();
await service.app.listen({ host: "127.0.0.1", port: 0 });
armed = true;
