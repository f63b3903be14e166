/** The relay from the outbox to Kafka, with a publisher in memory. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Changes, type Unit } from "../../../services/crm-api/crm/unit.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import { OutboxRelay, type RelayOptions } from "../../../services/crm-api/outbox/relay.ts";
import { outboxState } from "../../../services/crm-api/outbox/state.ts";
import { systemClock } from "../../../services/crm-api/clock.ts";
import type { Lease } from "../../../services/crm-api/store/lease.ts";
import { openEmbeddedStore, type Store } from "../../../services/crm-api/store/store.ts";
import { WrongPartitionCount } from "../../../services/shared/kafka.ts";
import { eventually, fastClock, ManualClock, MemoryPublisher, metricOf, silent, startTestApi } from "./support.ts";

let store: Store;
let publisher: MemoryPublisher;
let relay: OutboxRelay;
let changes: Changes;
const metrics = createMetrics(false);
const mine: Lease = { hold: async () => true, release: async () => undefined };

function makeRelay(options: Partial<RelayOptions> = {}, lease: Lease = mine, clock = systemClock): OutboxRelay {
  return new OutboxRelay({ db: store.db, publisher, lease, clock, metrics, log: silent }, { pollMs: 50, maxBackoffMs: 20, ...options });
}

beforeEach(async () => {
  store = await openEmbeddedStore(":memory:");
  publisher = new MemoryPublisher();
  relay = makeRelay();
  changes = new Changes(store, systemClock, () => relay.wake());
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
});
afterEach(async () => {
  await relay.stop();
  await store.close();
});

const emit = (count: number, key = "k", data: object = {}) =>
  changes.commit(async (u: Unit) => {
    for (let n = 0; n < count; n++) u.emit({ type: "test.happened", orgId: "acme", aggregate: { type: "test", id: key }, data: { n, ...data } });
  });
const drained = () => eventually(async () => (await outboxState(store.db)).depth === 0);

describe("the relay", () => {
  it("publishes in order, with the documented envelope", async () => {
    await emit(3, "one");
    relay.start();
    await drained();
    expect(publisher.types).toEqual(["org.created", "test.happened", "test.happened", "test.happened"]);
    const event = publisher.events[1]!;
    expect(event.key).toBe("test:one");
    const value = JSON.parse(event.value);
    expect(value).toMatchObject({ id: event.event_id, type: "test.happened", org_id: "acme", aggregate: { type: "test", id: "one" }, version: 1, data: { n: 0 } });
    expect(new Date(value.ts).toISOString()).toBe(value.ts);
  });

  it("sends a new event at once, without waiting for its poll", async () => {
    relay = makeRelay({ pollMs: 60_000 });
    relay.start();
    await drained();
    await emit(1);
    await drained();
    expect(publisher.events).toHaveLength(2);
  });

  it("sends nothing of a change that was rolled back", async () => {
    relay.start();
    const failed = changes.commit(async (u) => {
      u.emit({ type: "test.never", orgId: "acme", aggregate: { type: "test", id: "x" }, data: {} });
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    await emit(1);
    await drained();
    expect(publisher.types).not.toContain("test.never");
  });

  it("keeps batches within events and bytes, and sends an oversized event alone", async () => {
    relay = makeRelay({ batchEvents: 4, batchBytes: 2_000 });
    await emit(10);
    await emit(2, "big", { text: "x".repeat(5_000) });
    relay.start();
    await drained();
    expect(Math.max(...publisher.batches)).toBe(4);
    expect(publisher.events).toHaveLength(13);
    expect(publisher.batches.slice(-2)).toEqual([1, 1]);
  });

  it("repeats a failed batch with the same ids, counts the failure, and keeps the order", async () => {
    publisher.failures = [new Error("down"), new Error("still down")];
    const before = metricOf(await metrics.registry.metrics(), "crm_outbox_publish_failures_total") ?? 0;
    await emit(5);
    relay.start();
    await drained();
    expect(metricOf(await metrics.registry.metrics(), "crm_outbox_publish_failures_total")).toBe(before + 2);
    expect(publisher.events.slice(1).map((e) => JSON.parse(e.value).data.n)).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(publisher.events.map((e) => e.event_id)).size).toBe(6);
  });

  describe("while a partition takes nothing", () => {
    // Placed apart; see the first expectation.
    const [away, here] = ["test:one", "test:two"];
    const order = (key: string) => publisher.events.filter((e) => e.key === key).map((e) => JSON.parse(e.value).data.n);

    it("publishes the others' events once, though the outbox is full of its own, and its own in order when it is back", async () => {
      expect(publisher.partition(away)).not.toBe(publisher.partition(here));
      relay.start();
      await drained();
      await relay.stop();
      publisher.away.add(publisher.partition(away));
      relay = makeRelay({ batchEvents: 4, maxBackoffMs: 60 });
      for (let i = 0; i < 3; i++) {
        await emit(10, "one", { i });
        await emit(3, "two", { i });
      }
      relay.start();
      await eventually(() => order(here).length === 9);
      // Longer than some of its pauses.
      await new Promise((resolve) => setTimeout(resolve, 300));
      await emit(1, "two");
      await eventually(() => order(here).length === 10);
      expect(order(away)).toEqual([]);
      expect(order(here)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
      expect((await outboxState(store.db)).depth).toBe(30);
      publisher.away.clear();
      await drained();
      const ten = Array.from({ length: 10 }, (_, n) => n);
      expect(order(away)).toEqual([...ten, ...ten, ...ten]);
      expect(new Set(publisher.events.map((e) => e.event_id)).size).toBe(publisher.events.length);
    });

    it("lets no event overtake one of its key that appears late under a lower number", async () => {
      relay.start();
      await drained();
      publisher.away.add(publisher.partition(away));
      await emit(1, "one");
      const { seq } = await store.db.selectFrom("outbox").select(({ fn }) => fn.max("seq").as("seq")).executeTakeFirstOrThrow();
      const row = (number: number, n: number) => ({ seq: number, event_id: `e${number}`, type: "test.happened", key: here, value: JSON.stringify({ data: { n } }), created_at: 1, sent_at: null });
      await store.db.insertInto("outbox").values(row(seq + 3, 0)).execute();
      await eventually(() => order(here).length === 1);
      await store.db.insertInto("outbox").values([row(seq + 4, 2), row(seq + 1, 1)]).execute();
      await eventually(() => order(here).length === 3);
      expect(order(here)).toEqual([0, 1, 2]);
    });

    it("hands what it has set aside over to whoever has the lease next", async () => {
      let holder = 1;
      const lease = (number: number): Lease => ({ hold: async () => holder === number, release: async () => undefined });
      publisher.away.add(publisher.partition(away));
      relay = makeRelay({}, lease(1));
      const next = makeRelay({}, lease(2));
      relay.start();
      next.start();
      await emit(3, "one");
      await eventually(async () => (await store.db.selectFrom("outbox").select("seq").where("held_partition", "=", publisher.partition(away)).execute()).length >= 3);
      holder = 2;
      await emit(2, "one", { late: true });
      publisher.away.clear();
      await drained();
      expect(order(away)).toEqual([0, 1, 2, 0, 1]);
      await next.stop();
    });

    it("puts back what somebody else may have set aside while it hung for longer than its lease", async () => {
      relay = makeRelay({}, { ...mine, ttlMs: 100 });
      relay.start();
      await drained();
      const publish = publisher.publish.bind(publisher);
      publisher.publish = async (events) => {
        publisher.publish = publish;
        const row = { event_id: "aside", type: "test.happened", key: away, value: JSON.stringify({ data: { n: 0 } }), created_at: 1, sent_at: null, held_partition: publisher.partition(away) };
        await store.db.insertInto("outbox").values(row).execute();
        await new Promise((resolve) => setTimeout(resolve, 200));
        return publish(events);
      };
      await emit(1, "two");
      await drained();
      expect(order(away)).toEqual([0]);
    });

    it("counts each attempt, and tries no more often than its pauses allow", async () => {
      publisher.away.add(publisher.partition(away));
      relay = makeRelay({ pollMs: 1, maxBackoffMs: 100 });
      const failures = async () => metricOf(await metrics.registry.metrics(), "crm_outbox_publish_failures_total") ?? 0;
      const before = await failures();
      relay.start();
      await emit(1, "one");
      const began = Date.now();
      for (let n = 0; n < 100; n++) await emit(1, "two");
      await eventually(async () => (await failures()) >= before + 4);
      expect((await failures()) - before).toBeLessThanOrEqual(1 + (Date.now() - began) / 50);
    });
  });

  it("does not touch events while another process has the lease", async () => {
    let held = false;
    relay = makeRelay({ pollMs: 5 }, { hold: async () => held, release: async () => undefined });
    await emit(1);
    relay.start();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(publisher.events).toHaveLength(0);
    held = true;
    await drained();
    expect(publisher.events).toHaveLength(2);
  });

  it("sends nothing to a topic with another partition count, says so, and goes on once it is corrected", async () => {
    publisher.prepareFailure = new WrongPartitionCount("topic aetherlink.events has 3 partitions, but KAFKA_PARTITIONS is 6");
    relay.start();
    expect(await eventually(() => relay.problem)).toContain("KAFKA_PARTITIONS");
    expect(publisher.events).toHaveLength(0);
    publisher.prepareFailure = undefined;
    await drained();
    expect(relay.problem).toBeUndefined();
  });

  it("does not wait for a silent broker when it stops", async () => {
    relay = makeRelay({}, mine, fastClock(100));
    publisher.publish = () => new Promise(() => undefined);
    relay.start();
    await emit(1);
    await relay.stop();
    expect((await outboxState(store.db)).depth).toBe(2);
  });

  it("deletes sent events by age and never an unsent one", async () => {
    const clock = new ManualClock();
    relay = makeRelay({ keepMs: 1_000 }, mine, clock);
    relay.start();
    await drained();
    await clock.advance(61_000);
    relay.wake();
    await eventually(async () => (await store.db.selectFrom("outbox").select("seq").execute()).length === 0);
    publisher.failures = Array.from({ length: 1_000 }, () => new Error("down"));
    await emit(1);
    await clock.advance(3_600_000);
    relay.wake();
    expect((await outboxState(store.db)).depth).toBe(1);
  });
});

describe("the service", () => {
  it("is unwell with a wrong partition count, and well while Kafka is away", async () => {
    const api = await startTestApi();
    api.publisher.prepareFailure = new Error("connect ECONNREFUSED");
    api.service.start();
    await eventually(async () => ((await api.metric("crm_outbox_publish_failures_total")) ?? 0) > 0);
    expect((await api.get("/healthz")).status).toBe(200);
    expect((await api.post("/leads", { org_id: "acme", name: "x" })).status).toBe(201);
    expect(await api.metric("crm_outbox_depth")).toBeGreaterThan(0);
    api.publisher.prepareFailure = new WrongPartitionCount("topic x has 3 partitions");
    await eventually(async () => (await api.get("/healthz")).status === 503);
    expect((await api.get("/healthz")).body.reason).toContain("3 partitions");
    expect((await api.post("/leads", { org_id: "acme", name: "y" })).status).toBe(201);
    await api.close();
  });
});
