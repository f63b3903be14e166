/** Puts the service's parts together: store, outbox, QuickBooks, HTTP, and the jobs in the background. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { kafkaConnection } from "../shared/kafka.ts";
import type { Logger } from "../shared/log.ts";
import { createApp } from "./app.ts";
import { systemClock, type Clock } from "./clock.ts";
import { countDueInvoices } from "./crm/due.ts";
import { forgetOldAnswers } from "./crm/once.ts";
import { addOrg } from "./crm/orgs.ts";
import { Changes, outboxChannel } from "./crm/unit.ts";
import { postgresOptions, qboConfig, type CrmApiEnv } from "./env.ts";
import type { QboParts } from "./http/qbo-routes.ts";
import { createMetrics } from "./metrics.ts";
import { kafkaPublisher, type Publisher } from "./outbox/publisher.ts";
import { OutboxRelay } from "./outbox/relay.ts";
import { QboClient } from "./qbo/client.ts";
import type { Fetch } from "./qbo/config.ts";
import { Limiter } from "./qbo/limiter.ts";
import { Tokens } from "./qbo/tokens.ts";
import { QboWorker, workerLeaseMs } from "./qbo/worker.ts";
import { createLease } from "./store/lease.ts";
import { openEmbeddedStore, openPostgresStore, type Store } from "./store/store.ts";

const dueEveryMs = 5_000;
const relayLeaseMs = 30_000;

/** What tests put in place of the real thing. */
export interface Replacements {
  readonly clock?: Clock;
  readonly fetch?: Fetch;
  readonly store?: Store;
  readonly publisher?: Publisher;
}

export interface CrmApi {
  readonly app: FastifyInstance;
  /** Starts the jobs in the background. */
  start(): void;
  /** Ends them and closes the store; the app has to be closed before. */
  stop(): Promise<void>;
}

async function openStore(env: CrmApiEnv, log: Logger): Promise<Store> {
  const postgres = postgresOptions(env);
  if (postgres === undefined) return openEmbeddedStore(join(env.DATA_DIR, "crm.db"));
  return openPostgresStore(postgres, (error) => log.warn({ err: error }, "a connection to PostgreSQL broke"));
}

/**
 * Opens the store, makes the configured organisations and builds the app.
 * @throws Error that says what is wrong with the store or the configuration
 */
export async function createCrmApi(env: CrmApiEnv, log: Logger, replace: Replacements = {}): Promise<CrmApi> {
  const clock = replace.clock ?? systemClock;
  const holder = randomUUID();
  const metrics = createMetrics(replace.store === undefined);
  const publisher = replace.publisher ?? kafkaPublisher(kafkaConnection(env, "crm-api"), { topic: env.KAFKA_TOPIC, partitions: env.KAFKA_PARTITIONS, replication: env.KAFKA_REPLICATION });
  const store = replace.store ?? (await openStore(env, log));
  const changes = new Changes(store, clock, () => relay.wake());
  const relay = new OutboxRelay({ db: store.db, publisher, lease: createLease(store, "outbox-relay", holder, relayLeaseMs), clock, metrics, log }, { keepMs: env.OUTBOX_KEEP_HOURS * 60 * 60 * 1000 });
  for (const org of env.ORGS) await changes.commit((u) => addOrg(u, org));

  const config = qboConfig(env);
  const stopCalls = new AbortController();
  let worker: QboWorker | undefined;
  let qbo: QboParts | undefined;
  if (config !== undefined) {
    const fetch = replace.fetch ?? globalThis.fetch;
    const tokens = new Tokens({ config, changes, clock, fetch, metrics, log, holder });
    const { signal } = stopCalls;
    const client = new QboClient({ config, db: store.db, tokens, limiter: new Limiter(clock, signal), clock, fetch, metrics, log, stop: signal });
    const active = (worker = new QboWorker({ changes, client, lease: createLease(store, "qbo-worker", holder, workerLeaseMs), log, metrics, syncMs: config.syncMs }));
    qbo = { config, tokens, wake: () => active.wake() };
  }
  const app = createApp({ changes, metrics, log, qbo, problem: () => relay.problem });
  return { app, ...background(changes, relay, worker, stopCalls, log) };
}

function background(changes: Changes, relay: OutboxRelay, worker: QboWorker | undefined, stopCalls: AbortController, log: Logger): Pick<CrmApi, "start" | "stop"> {
  const stop = new AbortController();
  let due: Promise<void> | undefined;
  let unlisten: Promise<() => Promise<void>> | undefined;
  const countDue = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await countDueInvoices(changes).catch((error: unknown) => log.error({ err: error }, "cannot count the invoices that fell due; trying again"));
      await forgetOldAnswers(changes).catch((error: unknown) => log.error({ err: error }, "cannot delete old answers; trying again"));
      await changes.clock.sleep(dueEveryMs, stop.signal);
    }
  };
  return {
    start: () => {
      due = countDue();
      relay.start();
      worker?.start();
      unlisten = changes.store.listen(outboxChannel, () => relay.wake());
    },
    stop: async () => {
      stop.abort();
      stopCalls.abort();
      await due;
      await worker?.stop();
      await relay.stop();
      await (await unlisten)?.();
      await changes.store.close();
    },
  };
}
