/** Against a real broker: what happens to streams when the topic loses its old events, or is made anew. */
import { Admin } from "@platformatic/kafka";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatPosition, parsePosition } from "../../../services/crm-events/position.ts";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { SseClient } from "./support.ts";

const topic = "aetherlink.events";

describe.skipIf(kafkaMissing)("a topic", () => {
  let broker: TestBroker;
  let admin: Admin;
  let producer: TestProducer;
  let replica: EventsProcess;

  beforeAll(async () => {
    broker = await startKafka();
    admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 });
    producer = new TestProducer(broker);
    replica = await EventsProcess.start(broker, { HISTORY_EVENTS: "10", REPLAY_EVENTS: "500" });
    await until(() => replica.said("fan-out reads") && replica.said("assigned"));
  });

  afterAll(async () => {
    expect(await replica?.stop()).toBe(0);
    await producer?.close();
    await admin?.close();
    await broker?.stop();
  });

  const timesSaid = (message: string) => replica.lines.filter((line) => line["message"] === message).length;

  const open = (lastEventId?: string) => {
    const client = new SseClient(replica.port, { lastEventId });
    return client.until(({ parser }) => parser.retry !== undefined);
  };

  test("whose old events are deleted is replayed from where it still is, and a gap elsewhere", { timeout: 60_000 }, async () => {
    const live = await open();
    const begin = parsePosition(live.parser.lastEventId)!;
    for (let i = 0; i < 10; i++) await producer.send(Array.from({ length: 10 }, (_, j) => producer.event("old", i * 10 + j)));
    await live.until(({ events }) => events.length === 100);
    const partition = parsePosition(live.parser.lastEventId)!.next.findIndex((next, p) => next > begin.next[p]!);
    // Offsets from where the topic ended: a first attempt may have left messages in it.
    const first = begin.next[partition]!;
    const at = (offset: number) => formatPosition({ epoch: begin.epoch, next: begin.next.map((next, p) => (p === partition ? first + offset : next)) });

    const before = await open(at(20));
    await before.until(({ events }) => events.length === 80);
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(first + 50) }] }] });
    const held = await open(at(50));
    await held.until(({ events }) => events.length === 50);
    expect(held.events.map(({ data }) => JSON.parse(data).data.sequence)).toEqual(Array.from({ length: 50 }, (_, i) => 50 + i));
    const gone = await open(at(49));
    await gone.until(({ gaps }) => gaps.length === 1);
    expect(gone.gaps[0]).toEqual({ reason: "expired", from: at(49), to: at(100) });
    const ahead = await open(at(101));
    await ahead.until(({ gaps }) => gaps.length === 1);
    expect(ahead.gaps[0]!.reason).toBe("ahead");
    for (const client of [live, before, held, gone, ahead]) {
      if (client !== gone && client !== ahead) expect(client.gaps).toEqual([]);
      client.cut();
    }
  });

  test("that has grown since Kafka was asked last gives all that a position of just now lacks", { timeout: 60_000 }, async () => {
    const live = await open();
    const begin = parsePosition(live.parser.lastEventId)!;
    const send = (from: number, count: number) => producer.send(Array.from({ length: count }, (_, i) => producer.event("grown", from + i)));
    await send(0, 40);
    await live.until(({ events }) => events.length === 40);
    const partition = parsePosition(live.parser.lastEventId)!.next.findIndex((next, p) => next > begin.next[p]!);
    const at = (offset: number) => formatPosition({ epoch: begin.epoch, next: begin.next.map((next, p) => (p === partition ? next + offset : next)) });
    // Older than the replica's history, so that it asks Kafka where the topic ends.
    const earlier = await open(at(5));
    await earlier.until(({ events }) => events.length === 35);
    await send(40, 40);
    await live.until(({ events }) => events.length === 80);
    const client = await open(at(50));
    await client.until(({ events }) => events.length === 30);
    for (const each of [live, earlier, client]) {
      expect(each.gaps).toEqual([]);
      each.cut();
    }
  });

  test("gives a replica that starts its newest messages of all partitions, in the order of their times", { timeout: 60_000 }, async () => {
    const to = (partition: number, key: string, from: number, count: number) => producer.send(Array.from({ length: count }, (_, i) => ({ ...producer.event(key, from + i), partition })));
    // Old ones of the busy partition come last when a replica starts, because it is the last partition.
    await to(1, "busy", 0, 40);
    await sleep(100);
    await to(0, "quiet", 0, 2);
    await sleep(20);
    await to(1, "busy", 40, 2);
    await sleep(20);
    await to(0, "quiet", 2, 2);
    const late = await EventsProcess.start(broker, { HISTORY_EVENTS: "10", KAFKA_GROUP: "another" });
    const shown = async () => {
      const response = await fetch(`http://127.0.0.1:${late.port}/crm-events/history?n=6`);
      const { events = [] } = (await response.json()) as { events?: { aggregate: { id: string }; data: { sequence: number } }[] };
      return events.map((event) => `${event.aggregate.id} ${event.data.sequence}`);
    };
    // Until all partitions were read, it shows what it has.
    await until(async () => (await shown()).join() === "quiet 0,quiet 1,busy 40,busy 41,quiet 2,quiet 3");
    expect(await late.stop()).toBe(0);
  });

  test("that is deleted and made again is another one: streams are told, and go on with it", { timeout: 120_000 }, async () => {
    const live = await open();
    const before = live.parser.lastEventId;
    // A first attempt may have been told and assigned all this already, and so this one has another number of partitions.
    const partitions = parsePosition(before)!.next.length + 1;
    const [waits, assignments] = [timesSaid("waiting for the topic"), timesSaid("assigned")];
    await admin.deleteTopics({ topics: [topic] });
    try {
      await until(() => timesSaid("waiting for the topic") > waits, 60_000);
    } finally {
      // Without it a second attempt, and the next case, would have none.
      await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
    }
    await live.until(({ gaps }) => gaps.length === 1, 60_000);
    expect(live.gaps[0]).toMatchObject({ reason: "epoch", from: before });
    expect(parsePosition(live.gaps[0]!.to)!.epoch).not.toBe(parsePosition(before)!.epoch);
    await until(() => timesSaid("assigned") > assignments && (replica.lines.findLast(({ message }) => message === "assigned")!["partitions"] as number[]).length === partitions, 60_000);
    const handled = await replica.metric("crm_events_messages_total");
    const fresh = new TestProducer(broker);
    await fresh.sendUntilAcknowledged(Array.from({ length: 30 }, (_, i) => fresh.event(`k${i}`, i)));
    await fresh.close();
    await live.until(({ events }) => events.length === 30);
    await until(async () => (await replica.metric("crm_events_messages_total")) - handled === 30);
    const old = await open(before);
    await old.until(({ gaps }) => gaps.length === 1);
    expect(old.gaps[0]!.reason).toBe("epoch");
    expect(live.closed).toBe(false);
    live.cut();
    old.cut();
  });

  test("that gets more partitions is read in all of them, by streams and by the group", { timeout: 120_000 }, async () => {
    const live = await open();
    const { length } = parsePosition(live.parser.lastEventId)!.next;
    await admin.createPartitions({ topics: [{ name: topic, count: length + 2, assignments: [{ brokerIds: [1] }, { brokerIds: [1] }] }], validateOnly: false });
    const share = () => (replica.lines.findLast(({ message }) => message === "assigned")!["partitions"] as number[]).length;
    await until(() => share() === length + 2, 60_000);
    const handled = await replica.metric("crm_events_messages_total");
    const fresh = new TestProducer(broker);
    await fresh.send(Array.from({ length: length + 2 }, (_, partition) => ({ ...fresh.event("wide", partition), partition })));
    await fresh.close();
    await live.until(({ events }) => events.length === length + 2, 30_000);
    expect(parsePosition(live.parser.lastEventId)!.next).toHaveLength(length + 2);
    await until(async () => (await replica.metric("crm_events_messages_total")) - handled === length + 2);
    live.cut();
  });
});
