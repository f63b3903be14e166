/**
 * One side of the outbox benchmark, as a process of its own: sends the same number of like messages to the same broker and
 * writes `{"messages","seconds","cpuSeconds"}` to standard output.
 *
 *   node outbox-side.ts library BROKER TOPIC COUNT BATCH     the client library alone, messages from memory
 *   node outbox-side.ts relay BROKER TOPIC COUNT BATCH       the outbox relay on the embedded store
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Changes, type Unit } from "../../services/crm-api/crm/unit.ts";
import { systemClock } from "../../services/crm-api/clock.ts";
import { createMetrics } from "../../services/crm-api/metrics.ts";
import { kafkaPublisher } from "../../services/crm-api/outbox/publisher.ts";
import { OutboxRelay } from "../../services/crm-api/outbox/relay.ts";
import { createLease } from "../../services/crm-api/store/lease.ts";
import { openEmbeddedStore, type Store } from "../../services/crm-api/store/store.ts";
import { createProducer, ensureTopic, kafkaConnection } from "../../services/shared/kafka.ts";
import { createLogger } from "../../services/shared/log.ts";

const [side = "", broker = "", topic = "", countText = "", batchText = ""] = process.argv.slice(2);
const [count, batch] = [Number(countText), Number(batchText)];
const connection = kafkaConnection({ KAFKA_BROKERS: [broker], KAFKA_TOPIC: topic, KAFKA_TLS: false }, "bench");
const spec = { topic, partitions: 6, replication: 1 };

/** Time and CPU time of `work`. */
async function measure(work: () => Promise<void>): Promise<void> {
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  await work();
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({ messages: count, seconds: (performance.now() - start) / 1000, cpuSeconds: (used.user + used.system) / 1e6 }));
}

const event = (u: Unit, n: number) =>
  u.emit({ type: "invoice.created", orgId: "acme", aggregate: { type: "invoice", id: u.newId() }, data: { customer: "A customer of usual length", amount_cents: n, paid_cents: 0, status: "open", due_at: "2030-01-01T00:00:00.000Z", proposal_id: null } });

async function fill(store: Store): Promise<void> {
  const changes = new Changes(store, systemClock);
  for (let done = 0; done < count; done += 1_000) {
    await changes.commit(async (u) => {
      for (let n = done; n < Math.min(count, done + 1_000); n++) event(u, n);
    });
  }
}

const folder = mkdtempSync(join(tmpdir(), "bench-outbox-"));
const store = await openEmbeddedStore(join(folder, "crm.db"));
await fill(store);
await ensureTopic(connection, spec);

if (side === "relay") {
  const publisher = kafkaPublisher(connection, spec);
  const relay = new OutboxRelay({ db: store.db, publisher, lease: createLease(store, "outbox", "bench", 30_000), clock: systemClock, metrics: createMetrics(false), log: createLogger("bench", "warn") }, { batchEvents: batch });
  await measure(async () => {
    relay.start();
    while ((await store.db.selectFrom("outbox").select("seq").where("sent_at", "is", null).orderBy("seq").limit(1).executeTakeFirst()) !== undefined) await systemClock.sleep(20);
  });
  await relay.stop();
} else {
  const rows = await store.db.selectFrom("outbox").selectAll().orderBy("seq").execute();
  const messages = rows.map((e) => ({ topic, key: e.key, value: e.value, headers: { "event-id": e.event_id, "event-type": e.type } }));
  const producer = createProducer(connection);
  await measure(async () => {
    for (let start = 0; start < count; start += batch) await producer.send({ messages: messages.slice(start, start + batch) });
  });
  await producer.close();
}
await store.close();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
