/** Against a real broker: poison, a broker that dies or freezes, clients that do not read. `LONG=1` freezes it for 30 s. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Admin, Consumer, Producer, type Message } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { ReturningUser } from "./returning-user.ts";
import { sampleEvent, SseClient } from "./support.ts";

const topic = "aetherlink.events";
const deadLetterTopic = "aetherlink.events.dead-letters";
const freezeMs = process.env["LONG"] === "1" ? 30_000 : 8_000;

describe.skipIf(kafkaMissing)("against a broker", () => {
  let broker: TestBroker;
  let producer: TestProducer;
  let replicas: EventsProcess[];

  beforeAll(async () => {
    broker = await startKafka({ "message.max.bytes": "4194304" });
    const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: [topic], partitions: 6, replicas: 1 });
    await admin.close();
    producer = new TestProducer(broker);
    replicas = await Promise.all([EventsProcess.start(broker), EventsProcess.start(broker)]);
    await until(() => replicas.every((replica) => replica.said("fan-out reads") && replica.said("assigned")));
  });

  /** What an attempt has started and its end must stop, so that a second try begins as the first one did. */
  const cleanups: (() => unknown)[] = [];
  /** Keeps the events of one attempt apart from those of another. */
  let attempt = 0;
  beforeEach(() => void attempt++);
  afterEach(async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
    // Also the broker's return is over then, and what was sent last is not counted in the next case.
    await until(async () => (await sum("crm_events_sse_clients")) + (await sum("crm_events_kafka_circuit_open")) + (await groupLag()) === 0, 120_000);
  });

  function open(port: number): SseClient {
    const client = new SseClient(port);
    cleanups.push(() => client.socket.destroy());
    return client;
  }

  afterAll(async () => {
    const codes = await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await producer?.close();
    await broker?.stop();
    expect(codes).toEqual([0, 0]);
  });

  const sum = async (name: string, labels = "") => (await Promise.all(replicas.map((replica) => replica.metric(name, labels)))).reduce((a, b) => a + b);

  /** Everything in the dead-letter topic. */
  async function deadLetters(count: number): Promise<Message[]> {
    const consumer = new Consumer({ clientId: "test-letters", groupId: `letters-${randomBytes(4).toString("hex")}`, bootstrapBrokers: [broker.address], maxWaitTime: 200 });
    const stream = await consumer.consume({ topics: [deadLetterTopic], mode: "earliest", autocommit: false });
    const letters: Message[] = [];
    for await (const letter of stream) if (letters.push(letter) === count) break;
    await consumer.close(true);
    return letters;
  }

  const header = (letter: Message, name: string) => letter.headers.get(Buffer.from(name))?.toString() ?? [...letter.headers].find(([key]) => key.toString() === name)?.[1].toString();

  test("poison is parked with its reason and counted; the consumer goes on and nothing is forged", { timeout: 120_000 }, async () => {
    const raw = new Producer<Buffer, Buffer | undefined, Buffer, Buffer>({ clientId: "test-poison", bootstrapBrokers: [broker.address] });
    const good = (sequence: number) => Buffer.from(JSON.stringify(sampleEvent("good", sequence)));
    const withField = (field: object) => Buffer.from(JSON.stringify({ ...sampleEvent("bad", 0), ...field }));
    const poison: [string, Buffer | undefined][] = [
      ["bad_json", Buffer.from("{not json")],
      ["bad_json", Buffer.alloc(0)],
      ["tombstone", undefined],
      ["too_large", Buffer.alloc(2 * 1024 * 1024, "x")],
      ["control_characters", withField({ id: "a\r\ndata: forged" })],
      ["control_characters", withField({ type: "invoice.paid\n\nevent: gap" })],
      ["control_characters", withField({ org_id: "nul\u0000" })],
      ["bad_utf8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
      ["unknown_version", withField({ version: 2 })],
      ["bad_envelope", withField({ aggregate: { type: "invoice" } })],
      ["bad_envelope", withField({ ts: "yesterday" })],
      ["bad_json", Buffer.from(`${"[".repeat(100_000)}`)],
      ["bad_envelope", Buffer.from("null")],
    ];
    const clients = await Promise.all(replicas.map(({ port }) => open(port).until(({ parser }) => parser.retry !== undefined)));
    const parkedBefore = await sum("crm_events_dead_letters_total");
    const handled = await sum("crm_events_messages_total");
    for (const [i, [, value]] of poison.entries()) {
      const bad = { topic, key: Buffer.from("invoice:poison"), partition: i % 6, value, headers: new Map([[Buffer.from("event-id"), Buffer.from(`p${i}`)]]) };
      await raw.send({ messages: [{ ...bad, value: bad.value! }] });
      await raw.send({ messages: [{ topic, partition: i % 6, value: good(i) }] });
    }
    // Random bytes, most of which are not even text.
    const noise = Array.from({ length: 10_000 }, () => randomBytes(1 + Math.floor(Math.random() * 60)));
    for (let i = 0; i < noise.length; i += 500) await raw.send({ messages: noise.slice(i, i + 500).map((value, j) => ({ topic, partition: j % 6, value })) });
    // An event that holds line ends where it may: in its data, and between its tokens.
    const pretty = { ...sampleEvent("pretty", 1), data: { note: "one\r\ntwo\n\ndata: three", sequence: 999 } };
    await raw.send({ messages: [{ topic, partition: 0, value: Buffer.from(JSON.stringify(pretty, null, 2)) }] });
    await raw.close();

    const all = poison.length * 2 + noise.length + 1;
    await until(async () => (await sum("crm_events_messages_total")) - handled === all, 60_000, () => JSON.stringify(replicas.map(({ lines }) => lines.slice(-3))));
    for (const client of clients) {
      await client.until(({ events }) => events.length === poison.length + 1);
      expect(client.received.filter(({ event }) => event !== "message")).toEqual([]);
      expect(client.parser.strange).toEqual([]);
      const received = client.events.map(({ data }) => JSON.parse(data));
      expect(received.filter(({ aggregate }) => aggregate.id === "good")).toHaveLength(poison.length);
      expect(received.find(({ aggregate }) => aggregate.id === "pretty")).toEqual(pretty);
      client.cut();
    }

    expect((await sum("crm_events_dead_letters_total")) - parkedBefore).toBe(poison.length + noise.length);
    for (const reason of new Set(poison.map(([name]) => name))) {
      expect(await sum("crm_events_dead_letters_total", `reason="${reason}"`)).toBeGreaterThanOrEqual(poison.filter(([name]) => name === reason).length);
    }
    const letters = await deadLetters(await letterCount());
    for (const [i, [reason, value]] of poison.entries()) {
      const letter = letters.find((l) => header(l, "event-id") === `p${i}`)!;
      expect(header(letter, "dead-letter-reason")).toBe(reason);
      expect(header(letter, "dead-letter-topic")).toBe(topic);
      expect(header(letter, "dead-letter-partition")).toBe(`${i % 6}`);
      expect(letter.key.toString()).toBe("invoice:poison");
      if (reason === "too_large") expect([header(letter, "dead-letter-original-bytes"), letter.value.length]).toEqual([`${2 * 1024 * 1024}`, 65_536]);
      else expect(letter.value).toEqual(value ?? Buffer.alloc(0));
    }
  });

  /** Sends events one after the other until told to stop; each is acknowledged before the next. */
  function keepSending(key: string): () => Promise<number> {
    let sending = true;
    let sent = 0;
    cleanups.push(() => (sending = false));
    const done = (async () => {
      while (sending) {
        await producer.sendUntilAcknowledged([producer.event(key, sent)]);
        sent++;
        await sleep(5);
      }
    })();
    return async () => {
      sending = false;
      await done;
      return sent;
    };
  }

  /** Both clients got every acknowledged event at least once and in order, and the group has committed all there is. */
  async function expectAll(clients: SseClient[], key: string, sent: number): Promise<void> {
    for (const client of clients) {
      const sequences = () => client.events.map(({ data }) => JSON.parse(data)).filter(({ aggregate }) => aggregate.id === key).map(({ data }) => data.sequence as number);
      await client.until(() => sequences().includes(sent - 1), 60_000);
      const got = sequences();
      expect(new Set(got).size).toBe(sent);
      const firsts = got.filter((sequence, i) => got.indexOf(sequence) === i);
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
      expect(client.gaps).toEqual([]);
      expect(client.closed).toBe(false);
      client.cut();
    }
    await until(async () => (await groupLag()) === 0, 60_000, () => JSON.stringify(replicas.map(({ lines }) => lines.slice(-5))));
  }

  async function groupLag(): Promise<number> {
    const admin = new Admin({ clientId: "test-lag", bootstrapBrokers: [broker.address], retries: 0 });
    try {
      const partitions = [0, 1, 2, 3, 4, 5];
      const [listed] = await admin.listConsumerGroupOffsets({ groups: [{ groupId: "crm-events-sse", topics: [{ name: topic, partitionIndexes: partitions }] }] });
      const [ends] = await admin.listOffsets({ topics: [{ name: topic, partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp: -1n })) }] });
      return partitions.reduce((lag, p) => {
        const end = ends!.partitions.find(({ partitionIndex }) => partitionIndex === p)!.offset;
        const committed = listed!.topics[0]!.partitions.find(({ partitionIndex }) => partitionIndex === p)!.committedOffset;
        return lag + Number(end - committed);
      }, 0);
    } finally {
      void Promise.resolve(admin.close()).catch(() => undefined);
    }
  }

  const openClients = () => Promise.all(replicas.map(({ port }) => open(port).until(({ parser }) => parser.retry !== undefined)));

  test("a broker that is killed under load and comes back: streams stay, nothing is lost, the members rejoin by themselves", { timeout: 240_000 }, async () => {
    const clients = await openClients();
    const key = `killed-${attempt}`;
    const stop = keepSending(key);
    await sleep(1_000);
    let away = true;
    cleanups.push(async () => away && (await broker.start()));
    await broker.kill();
    await until(async () => (await sum("crm_events_kafka_circuit_open")) === 2);
    // A client that comes now is held, not refused.
    const patient = await open(replicas[0]!.port).until(({ status }) => status === 200);
    await broker.start();
    away = false;
    await until(async () => (await sum("crm_events_kafka_circuit_open")) === 0, 90_000);
    await sleep(2_000);
    await expectAll(clients, key, await stop());
    expect(patient.closed).toBe(false);
    patient.cut();
  });

  test(`a broker that freezes for ${freezeMs / 1_000} s under load and goes on: streams stay, nothing is lost, the members rejoin by themselves`, { timeout: 180_000 }, async () => {
    const clients = await openClients();
    const key = `frozen-${attempt}`;
    const stop = keepSending(key);
    await sleep(1_000);
    let frozen = true;
    cleanups.push(() => frozen && broker.resume());
    broker.pause();
    await sleep(freezeMs);
    broker.resume();
    frozen = false;
    await sleep(2_000);
    await expectAll(clients, key, await stop());
  });

  test("a replica that freezes is replaced in the group, and loses nothing when it goes on", { timeout: 180_000 }, async () => {
    const clients = await openClients();
    const key = `slept-${attempt}`;
    const stop = keepSending(key);
    await sleep(500);
    cleanups.push(() => replicas[0]!.child.kill("SIGCONT"));
    replicas[0]!.child.kill("SIGSTOP");
    const alone = await replicas[1]!.metric("crm_events_messages_total");
    await sleep(20_000);
    // Its session has ended by then, and all partitions are the other's.
    await until(async () => (await replicas[1]!.metric("crm_events_messages_total")) > alone);
    replicas[0]!.child.kill("SIGCONT");
    await sleep(2_000);
    await expectAll(clients, key, await stop());
  });

  test("replicas that are killed and stopped in turn: users who come back to any of them miss nothing and see nothing twice, all poison is parked", { timeout: 240_000 }, async () => {
    const rounds = process.env["LONG"] === "1" ? 40 : 6;
    const key = `returning-${attempt}`;
    cleanups.push(async () => {
      for (const [i, replica] of replicas.entries()) if (replica.child.exitCode !== null || replica.child.signalCode !== null) replicas[i] = await EventsProcess.start(broker, {}, replica.port);
    });
    const users = Array.from({ length: 20 }, () => new ReturningUser(() => replicas[Math.floor(Math.random() * replicas.length)]!.port, key));
    cleanups.push(() => users.forEach((user) => user.stop()));
    await Promise.all(users.map((user) => user.started));
    let sent = 0;
    let sending = true;
    cleanups.push(() => (sending = false));
    const sender = (async () => {
      for (; sending; sent++) {
        await producer.sendUntilAcknowledged([producer.event(key, sent), ...(sent % 10 === 0 ? [producer.poison(`${key}-${sent}`)] : [])]);
        await sleep(5);
      }
    })();
    for (let round = 0; round < rounds; round++) {
      const which = round % 2;
      const { port } = replicas[which]!;
      if (round % 4 < 2) await replicas[which]!.kill();
      else expect(await replicas[which]!.stop()).toBe(0);
      await sleep(300);
      replicas[which] = await EventsProcess.start(broker, {}, port);
      await sleep(1_500);
    }
    sending = false;
    await sender;
    for (const user of users) {
      await until(() => user.sequences.length >= sent, 60_000, () => `${user.sequences.length} of ${sent}`);
      expect(user.sequences).toEqual(Array.from({ length: sent }, (_, i) => i));
      expect(user.gaps).toEqual([]);
      user.stop();
    }
    await until(async () => (await groupLag()) === 0, 60_000);
    const names = Array.from({ length: Math.ceil(sent / 10) }, (_, i) => `${key}-${i * 10}`);
    const parked = new Set((await deadLetters(await letterCount())).map((letter) => header(letter, "event-id")));
    expect(names.filter((name) => !parked.has(name))).toEqual([]);
  });

  async function letterCount(): Promise<number> {
    const admin = new Admin({ clientId: "test-letters", bootstrapBrokers: [broker.address] });
    const [ends] = await admin.listOffsets({ topics: [{ name: deadLetterTopic, partitions: [{ partitionIndex: 0, timestamp: -1n }] }] });
    await admin.close();
    return Number(ends!.partitions[0]!.offset);
  }

  test("clients that stop reading are dropped and counted, memory stays bounded, and others are unharmed", { timeout: 120_000 }, async () => {
    const { port } = replicas[0]!;
    const stuck = Array.from({ length: 200 }, () => open(port));
    const reader = open(port);
    await Promise.all([...stuck, reader].map((client) => client.until(({ parser }) => parser.retry !== undefined)));
    for (const { socket } of stuck) socket.pause();
    const dropped = async () => await replicas[0]!.metric("crm_events_dropped_clients_total", 'reason="slow"');
    const droppedBefore = await dropped();
    const before = await replicas[0]!.metric("process_resident_memory_bytes");
    let most = before;
    let sent = 0;
    const filler = "x".repeat(20_000);
    for (; sent < 6_000 && (await replicas[0]!.metric("crm_events_sse_clients")) > 1; sent += 20) {
      const batch = Array.from({ length: 20 }, (_, i) => ({ ...producer.event("big", sent + i), value: JSON.stringify({ ...sampleEvent("big", sent + i), data: { sequence: sent + i, filler } }) }));
      await producer.send(batch);
      most = Math.max(most, await replicas[0]!.metric("process_resident_memory_bytes"));
    }
    expect((await dropped()) - droppedBefore).toBe(200);
    await reader.until(({ events }) => events.length === sent, 30_000);
    // 200 clients with 1 MiB each at most, as configured, and room for what the process itself does.
    expect(most - before).toBeLessThan(200 * 1024 * 1024 + 150 * 1024 * 1024);
  });
});
