/** Against two real brokers without copies: what one of them leads goes on while the other is away, and the rest follows. */
import { setTimeout as sleep } from "node:timers/promises";
import { Admin, Consumer, Producer, stringSerializers } from "@platformatic/kafka";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kafkaMissing, startTwoBrokers, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { SseClient } from "./support.ts";

const topic = "aetherlink.events";
/** Of the four partitions, by the broker that leads them. */
const [staying, leaving] = [[0, 2], [1, 3]];
const silent = "crm_events_fanout_silent_seconds";

describe.skipIf(kafkaMissing)("two brokers", () => {
  let brokers: readonly [TestBroker, TestBroker];
  let admin: Admin;
  let group: string;
  let env: Record<string, string>;
  /** Knows its topic for ever, since the library could not look at it anew while a partition has no leader. */
  let producer: Producer<string, string, string, string>;
  /** Makes the events, and those sent until they are acknowledged. */
  let events: TestProducer;
  /** Events sent so far, by partition. */
  let sent: number[];
  /** Messages sent to the first partition that are no events. */
  let poison: number;
  const cleanups: (() => unknown)[] = [];

  // All of it anew for each attempt.
  beforeEach(async () => {
    [sent, poison] = [[0, 0, 0, 0], 0];
    brokers = await startTwoBrokers();
    cleanups.push(() => brokers[0].stop(), () => brokers[1].stop());
    const connection = { clientId: "test", bootstrapBrokers: [brokers[0].address], retries: 0 };
    admin = new Admin(connection);
    events = new TestProducer(brokers[0], topic);
    producer = new Producer({ ...connection, serializers: stringSerializers, metadataMaxAge: 3_600_000 });
    cleanups.push(() => Promise.all([producer.close(), events.close(), admin.close()]));
    const assignments = [0, 1, 2, 3].map((partition) => ({ partition, brokers: [staying.includes(partition) ? 1 : 2] }));
    // Until the controller has taken the second one in.
    await until(async () => (await admin.createTopics({ topics: [topic], assignments })).length > 0);
    await until(async () => (await leaders()).every((leader, partition) => leader === assignments[partition]!.brokers[0]));
    group = await groupOfFirst();
    // The one that will be away comes first.
    env = { KAFKA_BROKERS: `${brokers[1].address},${brokers[0].address}`, KAFKA_GROUP: group };
  });
  afterEach(async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
  });

  const leaders = async () => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)!.partitions.map(({ leader }) => leader);

  /** A group whose coordinator stays: where Kafka keeps a group's offsets follows from the group's name. */
  async function groupOfFirst(): Promise<string> {
    for (let i = 0; ; i++) {
      const consumer = new Consumer({ clientId: "test", groupId: `crm-events-${i}`, bootstrapBrokers: [brokers[0].address], retries: 0 });
      let coordinator = 0;
      await until(async () => (coordinator = await consumer.findGroupCoordinator()) > 0);
      await consumer.close();
      if (coordinator === 1) return `crm-events-${i}`;
    }
  }

  /** What the group has committed when it is done with everything. */
  const written = () => sent.map((count, partition) => (partition === 0 ? count + poison : count));
  const next = (partition: number) => ({ ...events.event(`p${partition}`, sent[partition]!++), partition });

  async function start(): Promise<EventsProcess> {
    const replica = await EventsProcess.start("", env);
    cleanups.push(() => replica.stop());
    await until(() => replica.said("fan-out reads") && replica.said("assigned"), 30_000, () => JSON.stringify(replica.lines));
    return replica;
  }

  async function open(replica: EventsProcess, lastEventId?: string): Promise<SseClient> {
    const client = new SseClient(replica.port, { lastEventId });
    cleanups.push(() => client.socket.destroy());
    return client.until(({ parser }) => parser.retry !== undefined);
  }

  /** Sequence numbers that a client got of a partition. */
  const got = (client: SseClient, partition: number) => client.events.map(({ data }) => JSON.parse(data).data).filter(({ key }) => key === `p${partition}`).map(({ sequence }) => sequence as number);
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

  /** Waits until a client has got everything of some partitions from offsets on; in order, once and without a gap. */
  async function expectAll(client: SseClient, partitions: readonly number[], from: readonly number[]): Promise<void> {
    await client.until(() => partitions.every((partition) => got(client, partition).at(-1) === sent[partition]! - 1), 20_000);
    for (const partition of partitions) expect(got(client, partition)).toEqual(range(from[partition]!, sent[partition]!));
    expect([client.gaps, client.closed]).toEqual([[], false]);
  }

  async function committed(): Promise<number[]> {
    const [listed] = await admin.listConsumerGroupOffsets({ groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes: [0, 1, 2, 3] }] }] });
    const offsets: number[] = [];
    for (const { committedOffset, partitionIndex } of listed!.topics[0]!.partitions) offsets[partitionIndex] = Number(committedOffset);
    return offsets;
  }

  test("while one is away the other's partitions are served and committed, and its own follow when it is back", async () => {
    const first = await start();
    const replicas = [first, await start()];
    const clients = await Promise.all(replicas.map((replica) => open(replica)));
    const begin = [0, 0, 0, 0];
    for (let i = 0; i < 20; i++) await producer.send({ messages: [0, 1, 2, 3].map(next) });
    for (const client of clients) await expectAll(client, [0, 1, 2, 3], begin);
    await until(async () => `${await committed()}` === `${written()}`);
    const before = [...sent];

    await brokers[1].kill();
    // The library takes this for a failure of the whole topic, and the replicas must not.
    const failure = () => leaders().then(() => "", String);
    await until(async () => (await failure()).includes("leader"));
    const waiting = (async () => {
      for (const partition of leaving) await events.sendUntilAcknowledged(range(0, 10).map(() => next(partition)));
    })();
    // The first of its kind: its topic must be made now.
    poison += (await producer.send({ messages: [{ ...events.poison("early"), partition: 0 }] })).offsets!.length;
    // Longer than anything that is known of the topic may be old.
    for (let i = 0; i < 80; i++, await sleep(100)) await producer.send({ messages: staying.map(next) });
    for (const client of clients) await expectAll(client, staying, begin);
    const done = async () => {
      const offsets = await committed();
      return staying.every((partition) => offsets[partition] === written()[partition]);
    };
    await until(done);
    expect(leaving.map((partition) => got(clients[0]!, partition).length)).toEqual(leaving.map((partition) => before[partition]!));
    for (const replica of replicas) {
      for (const partition of leaving) expect(await replica.metric(silent, `partition="${partition}"`)).toBeGreaterThan(5);
      for (const name of [silent, "crm_events_fanout_lag"]) for (const partition of staying) expect(await replica.metric(name, `partition="${partition}"`)).toBe(0);
      expect(await replica.metric("crm_events_kafka_circuit_open")).toBe(0);
    }

    // One that starts now, and those who come to it, whether they were served before or not.
    const late = await start();
    const [fresh, returning] = [await open(late), await open(late, clients[0]!.parser.lastEventId)];
    const since = [...sent];
    for (const partition of leaving) since[partition] = before[partition]!;
    for (let i = 0; i < 20; i++) await producer.send({ messages: staying.map(next) });
    for (const client of [fresh, returning]) await expectAll(client, staying, since);

    await brokers[1].start();
    await waiting;
    for (let i = 0; i < 10; i++) await events.sendUntilAcknowledged([0, 1, 2, 3].map(next));
    for (const client of clients) await expectAll(client, [0, 1, 2, 3], begin);
    for (const client of [fresh, returning]) await expectAll(client, [0, 1, 2, 3], since);
    await until(async () => `${await committed()}` === `${written()}`, 20_000);
    for (const replica of [...replicas, late]) expect(await replica.metric(silent)).toBe(0);
    expect((await Promise.all([...replicas, late].map((replica) => replica.metric("crm_events_dead_letters_total")))).reduce((a, b) => a + b)).toBe(1);
  });
});
