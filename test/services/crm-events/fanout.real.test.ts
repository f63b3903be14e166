/** Against a real broker: complete fan-out on every replica, in order, with the group's commits behind it. */
import { Admin } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parsePosition } from "../../../services/crm-events/position.ts";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { SseClient } from "./support.ts";

const topic = "aetherlink.events";
const group = "crm-events-sse";

describe.skipIf(kafkaMissing)("two replicas and six partitions", () => {
  let broker: TestBroker;
  let admin: Admin;
  let producer: TestProducer;
  let replicas: EventsProcess[];

  beforeAll(async () => {
    broker = await startKafka();
    admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    producer = new TestProducer(broker);
    // They come up before the topic does, as in a fresh stack.
    replicas = await Promise.all([EventsProcess.start(broker), EventsProcess.start(broker)]);
    await until(() => replicas.every((replica) => replica.said("waiting for the topic")));
    await admin.createTopics({ topics: [topic], partitions: 6, replicas: 1 });
    await until(async () => (await members()).length === 2);
    // The first of them had all partitions until it heard of the second.
    await until(() => replicas.every((replica) => replica.said("fan-out reads") && assigned(replica) === 3));
  });

  const assigned = ({ lines }: EventsProcess) => (lines.findLast(({ message }) => message === "assigned")?.["partitions"] as number[] | undefined)?.length;

  const opened: SseClient[] = [];
  function open(...args: ConstructorParameters<typeof SseClient>): SseClient {
    const client = new SseClient(...args);
    opened.push(client);
    return client;
  }
  // Also after a failure, so that nobody is counted in the next attempt.
  afterEach(() => opened.splice(0).forEach(({ socket }) => socket.destroy()));

  afterAll(async () => {
    await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await producer?.close();
    await admin?.close();
    await broker?.stop();
  });

  const members = async () => [...((await admin.describeGroups({ groups: [group] })).get(group)?.members.values() ?? [])];

  /** Next offset that the group has committed, and the end, by partition. */
  async function offsets(): Promise<{ committed: number[]; ends: number[] }> {
    const [listed] = await admin.listConsumerGroupOffsets({ groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: [0, 1, 2, 3, 4, 5] }] }] });
    const committed: number[] = [];
    for (const p of listed!.topics[0]!.partitions) committed[p.partitionIndex] = Number(p.committedOffset);
    const listedEnds = await admin.listOffsets({ topics: [{ name: topic, partitions: [0, 1, 2, 3, 4, 5].map((partitionIndex) => ({ partitionIndex, timestamp: -1n })) }] });
    const ends: number[] = [];
    for (const p of listedEnds[0]!.partitions) ends[p.partitionIndex] = Number(p.offset);
    return { committed, ends };
  }

  const history = async (port: number, n: number) => (await (await fetch(`http://127.0.0.1:${port}/crm-events/history?n=${n}`)).json()) as { last_event_id: string; events: unknown[] };

  /** Waits until replicas and group are done with all that was sent: what an earlier attempt has sent is then not counted in the next. */
  const settled = () =>
    until(async () => {
      const { committed, ends } = await offsets();
      const read = await Promise.all(replicas.map(async ({ port }) => parsePosition((await history(port, 1)).last_event_id)!.next));
      return ends.every((end, p) => committed[p] === end && read.every((next) => next[p] === end));
    }, 60_000);

  test("split the partitions as members and commit where nothing was committed, so that lag is known", async () => {
    await until(async () => (await offsets()).committed.every((offset) => offset === 0));
    expect(await members()).toHaveLength(2);
  });

  test("each of two clients on different replicas receives all 10 000 events, in order per key", { timeout: 120_000 }, async () => {
    await settled();
    const clients = replicas.map(({ port }) => open(port));
    await Promise.all(clients.map((client) => client.until(({ parser }) => parser.retry !== undefined)));
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    const before = await sum("crm_events_messages_total");
    const timedBefore = await timed();
    for (let from = 0; from < 100; from += 10) {
      await producer.send(keys.flatMap((key) => Array.from({ length: 10 }, (_, i) => producer.event(key, from + i))));
    }
    await Promise.all(clients.map((client) => client.until(({ events }) => events.length >= 10_000, 60_000)));
    for (const client of clients) {
      const seen = new Map<string, number[]>();
      for (const { data } of client.events) {
        const { key, sequence } = JSON.parse(data).data as { key: string; sequence: number };
        seen.set(key, [...(seen.get(key) ?? []), sequence]);
      }
      expect(seen.size).toBe(100);
      for (const sequences of seen.values()) expect(sequences).toEqual(Array.from({ length: 100 }, (_, i) => i));
      expect(client.gaps).toEqual([]);
      client.cut();
    }
    // The group has handled each message once, and committed all of them.
    await until(async () => (await sum("crm_events_messages_total")) - before === 10_000);
    const { committed, ends } = await offsets();
    expect(committed).toEqual(ends);
    expect((await timed()).map((count, i) => count - timedBefore[i]!)).toEqual([10_000, 10_000]);
    for (const replica of replicas) {
      expect(await replica.metric("crm_events_messages_total")).toBeGreaterThan(0);
      expect(await replica.metric("crm_events_fanout_lag")).toBe(0);
    }
  });

  /** Events whose latency each replica has measured. */
  const timed = () => Promise.all(replicas.map((replica) => replica.metric("crm_events_delivery_latency_seconds_count")));
  const sum = async (name: string) => (await Promise.all(replicas.map((replica) => replica.metric(name)))).reduce((a, b) => a + b);

  test("no group is seen but the one", async () => {
    expect([...(await admin.listGroups()).keys()]).toEqual([group]);
  });

  test("a client that is cut off goes on at the other replica, without a hole and without a repeat", async () => {
    await settled();
    const first = await open(replicas[0]!.port).until(({ parser }) => parser.retry !== undefined);
    await producer.send(Array.from({ length: 50 }, (_, i) => producer.event("moving", i)));
    await first.until(({ events }) => events.length >= 20);
    first.cut();
    const soFar = first.events.length;
    await producer.send(Array.from({ length: 50 }, (_, i) => producer.event("moving", 50 + i)));
    const second = await open(replicas[1]!.port, { lastEventId: first.parser.lastEventId }).until(({ events }) => events.length >= 100 - soFar);
    const sequences = [...first.events, ...second.events].map(({ data }) => JSON.parse(data).data.sequence);
    expect(sequences).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(second.gaps).toEqual([]);
    second.cut();
  });

  test("a replica that starts later has the history, the same epoch, and replays from Kafka what it does not hold", async () => {
    const late = await EventsProcess.start(broker, { HISTORY_EVENTS: "100", KAFKA_GROUP: "crm-events-late" });
    try {
      await until(() => late.said("fan-out reads"));
      await until(async () => (await history(late.port, 100)).last_event_id === (await history(replicas[0]!.port, 1)).last_event_id);
      expect((await history(late.port, 100)).events).toHaveLength(100);
      const { epoch } = parsePosition((await history(late.port, 1)).last_event_id)!;
      // 10 100 when no case needed a second attempt.
      const total = (await offsets()).ends.reduce((a, b) => a + b, 0);
      expect(total).toBeGreaterThanOrEqual(10_100);
      const everything = await open(late.port, { lastEventId: `${epoch}.0.0.0.0.0.0` }).until(({ events }) => events.length >= total, 60_000);
      expect(everything.events).toHaveLength(total);
      expect(everything.gaps).toEqual([]);
      everything.cut();
      const foreign = await open(late.port, { lastEventId: "zzzzzzzz.0.0.0.0.0.0" }).until(({ gaps }) => gaps.length === 1);
      expect(foreign.gaps[0]!.reason).toBe("epoch");
      foreign.cut();
    } finally {
      expect(await late.stop()).toBe(0);
    }
  });

  test("a replica that is told to stop ends its streams, leaves the group at once and exits with 0", async () => {
    const leaving = await EventsProcess.start(broker);
    try {
      await until(async () => (await members()).length === 3);
      const client = await open(leaving.port).until(({ parser }) => parser.retry !== undefined);
      expect(await leaving.stop()).toBe(0);
      // A member that merely fell silent would still be listed.
      expect(await members()).toHaveLength(2);
      await client.until(({ ended }) => ended);
    } finally {
      await leaving.stop();
    }
  });
});
