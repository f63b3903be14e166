/** The outbox against two real brokers without copies: while one is away, what the other leads goes on, and the rest waits. */
import { setTimeout as sleep } from "node:timers/promises";
import { Admin, ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from "@platformatic/kafka";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../services/crm-api/clock.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes, type Unit } from "../../../services/crm-api/crm/unit.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import { kafkaPublisher } from "../../../services/crm-api/outbox/publisher.ts";
import { OutboxRelay } from "../../../services/crm-api/outbox/relay.ts";
import { createLease } from "../../../services/crm-api/store/lease.ts";
import { openEmbeddedStore, type Store } from "../../../services/crm-api/store/store.ts";
import { kafkaConnection, partitionOf } from "../../../services/shared/kafka.ts";
import { kafkaMissing, startTwoBrokers, type TestBroker } from "../../support/kafka.ts";
import { readTopic } from "../../support/kafka-topic.ts";
import { eventually, silent } from "./support.ts";

const topic = "aetherlink.events";
/** Of the four partitions, by the broker that leads them. */
const [staying, leaving] = [[0, 2], [1, 3]];
/** An aggregate's number for each partition. */
const ids = [0, 1, 2, 3].map((partition) => {
  for (let i = 0; ; i++) if (partitionOf(`test:${i}`, 4) === partition) return String(i);
});

describe.skipIf(kafkaMissing)("two brokers", () => {
  let brokers: readonly [TestBroker, TestBroker];
  let admin: Admin;
  let store: Store;
  let changes: Changes;
  let emitted: number[];
  const cleanups: (() => unknown)[] = [];

  beforeEach(async () => {
    emitted = [0, 0, 0, 0];
    brokers = await startTwoBrokers();
    cleanups.push(() => brokers[0].stop(), () => brokers[1].stop());
    admin = new Admin({ clientId: "test", bootstrapBrokers: [brokers[0].address], retries: 0 });
    cleanups.push(() => admin.close());
  });
  afterEach(async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
  });

  /** @param replicas brokers of each partition, its leader first */
  async function start(replicas: readonly number[][], configs: { name: string; value: string }[] = []): Promise<void> {
    const assignments = replicas.map((numbers, partition) => ({ partition, brokers: numbers }));
    // Until the controller has taken the second one in.
    await eventually(() => admin.createTopics({ topics: [topic], assignments, configs }).then(() => true, () => false), 30_000);

    store = await openEmbeddedStore(":memory:");
    // The one that will be away comes first.
    const connection = kafkaConnection({ KAFKA_BROKERS: [brokers[1].address, brokers[0].address], KAFKA_TOPIC: topic, KAFKA_TLS: false }, "test-relay");
    const publisher = kafkaPublisher(connection, { topic, partitions: 4, replication: 1 });
    const relay = new OutboxRelay({ db: store.db, publisher, lease: createLease(store, "outbox", "test", 30_000), clock: systemClock, metrics: createMetrics(false), log: silent });
    cleanups.push(() => store.close(), () => relay.stop());
    changes = new Changes(store, systemClock, () => relay.wake());
    await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
    await store.db.deleteFrom("outbox").execute();
    relay.start();
  }
  const apart = [[1], [2], [1], [2]];

  const add = (u: Unit, partition: number, count: number, text = "") => {
    for (let n = 0; n < count; n++) u.emit({ type: "test.happened", orgId: "acme", aggregate: { type: "test", id: ids[partition]! }, data: { n: emitted[partition]!++, text } });
  };
  const emit = (partition: number, count: number) => changes.commit(async (u) => add(u, partition, count));
  /** Numbers of all events of a partition. */
  const all = (partition: number) => Array.from({ length: emitted[partition]! }, (_, n) => n);
  /** Numbers of events that Kafka has not acknowledged, by partition. */
  async function waiting(): Promise<number[]> {
    const rows = await store.db.selectFrom("outbox").select("key").where("sent_at", "is", null).execute();
    const counts = [0, 0, 0, 0];
    for (const { key } of rows) counts[partitionOf(key, 4)]!++;
    return counts;
  }

  /** What the topic has of a partition, in its order. */
  async function arrived(): Promise<number[][]> {
    const numbers: number[][] = [[], [], [], []];
    for (const { partition, key, value } of await readTopic(brokers[0].address, topic)) {
      expect(partition).toBe(partitionOf(key, 4));
      numbers[partition]!.push(JSON.parse(value).data.n);
    }
    return numbers;
  }

  it("sends the events of the one that is there once and at once, and those of the other in order when it is back", async () => {
    await start(apart);
    for (const partition of [0, 1, 2, 3]) await emit(partition, 5);
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 20_000);
    // Nobody should; keys stay where they are all the same.
    await admin.createPartitions({ topics: [{ name: topic, count: 6, assignments: [{ brokerIds: [1] }, { brokerIds: [1] }] }] });

    await brokers[1].kill();
    await eventually(() => admin.metadata({ topics: [topic], forceUpdate: true }).then(() => false, (error) => String(error).includes("leader")), 20_000);
    // More than a batch.
    for (const partition of leaving) await emit(partition, 400);
    for (const partition of staying) await emit(partition, 5);
    await eventually(async () => `${await waiting()}` === "0,400,0,400", 20_000);
    for (let i = 0; i < 80; i++, await sleep(100)) for (const partition of staying) await emit(partition, 1);
    await eventually(async () => `${await waiting()}` === "0,400,0,400", 5_000);

    await brokers[1].start();
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 30_000);
    const numbers = await arrived();
    for (const partition of staying) expect(numbers[partition]).toEqual(all(partition));
    // The first copies are in order; a send that broke off may have left some twice.
    for (const partition of leaving) expect([...new Set(numbers[partition])]).toEqual(all(partition));
  });

  it("sends what a broker takes beside what it refuses", async () => {
    const limited = (bytes: number) => ({ name: "max.message.bytes", value: String(bytes) });
    await start(apart, [limited(60_000)]);
    for (const partition of [0, 1, 2, 3]) await emit(partition, 5);
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 20_000);
    // In one batch with some of each.
    await changes.commit(async (u) => {
      for (const partition of [0, 1, 2, 3]) add(u, partition, 1);
      add(u, 0, 1, "x".repeat(70_000));
      for (const partition of [0, 1, 2, 3]) add(u, partition, 1);
    });
    for (let i = 0; i < 40; i++, await sleep(50)) for (const partition of [0, 1, 2, 3]) await emit(partition, 1);
    // The first refused request had others of that broker's with it, which may have come twice; its later tries have not.
    await eventually(async () => `${await waiting()}` === "43,0,0,0", 20_000);
    const before = await arrived();
    for (const partition of [1, 2, 3]) expect([...new Set(before[partition])]).toEqual(all(partition));
    for (const partition of [1, 2, 3]) expect(before[partition]!.length).toBeLessThan(all(partition).length + 20);
    await sleep(6_000);
    for (const partition of [1, 2, 3]) await emit(partition, 1);
    await eventually(async () => `${await waiting()}` === "43,0,0,0", 10_000);
    for (const [partition, numbers] of (await arrived()).entries()) expect(numbers.length).toBe(before[partition]!.length + Number(partition !== 0));

    const { name, value } = limited(1_000_000);
    await admin.incrementalAlterConfigs({ resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configs: [{ name, value, configOperation: IncrementalAlterConfigOperationTypes.SET }] }] });
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 30_000);
    expect([...new Set((await arrived())[0])]).toEqual(all(0));
  });

  it("makes a topic anew that somebody deleted", async () => {
    await start(apart);
    for (const partition of [0, 1, 2, 3]) await emit(partition, 5);
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 20_000);
    await admin.deleteTopics({ topics: [topic] });
    for (const partition of [0, 1, 2, 3]) await emit(partition, 5);
    await eventually(async () => `${await waiting()}` === "0,0,0,0", 30_000);
    for (const numbers of await arrived()) expect(numbers.slice(-5)).toEqual([5, 6, 7, 8, 9]);
  });
});
