/** Against a real broker behind a cable that can be pulled: nothing gets through, and nobody is told. */
import { randomUUID } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort, kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { SseClient } from "./support.ts";

const topic = "aetherlink.events";
/** Longer than a session of the group, so that the broker gives the members up. */
const cutMs = process.env["LONG"] === "1" ? 60_000 : 20_000;

class Cable {
  readonly port: number;
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  #pulled = false;

  constructor(port: number, target: () => number) {
    this.port = port;
    this.#server = createServer((near) => {
      const far = connect(target(), "127.0.0.1");
      for (const [from, to] of [[near, far], [far, near]] as const) {
        this.#ends.add(from);
        from.on("data", (bytes) => (to.write(bytes) ? undefined : (from.pause(), to.once("drain", () => this.#pulled || from.resume()))));
        from.on("error", () => undefined).once("close", () => (this.#ends.delete(from), to.destroy()));
        if (this.#pulled) from.pause();
      }
    });
  }

  async lay(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, "127.0.0.1", resolve));
    return this;
  }

  pull(): void {
    this.#pulled = true;
    for (const end of this.#ends) end.pause();
  }

  plug(): void {
    this.#pulled = false;
    for (const end of this.#ends) end.resume();
  }

  async remove(): Promise<void> {
    for (const end of this.#ends) end.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe.skipIf(kafkaMissing)("cut off from the broker", () => {
  let broker: TestBroker;
  let cable: Cable;
  let producer: TestProducer;
  let replicas: EventsProcess[];

  beforeAll(async () => {
    const port = await freePort();
    broker = await startKafka({ "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}` }, undefined, async (address) => {
      cable = await new Cable(port, () => Number(address.split(":")[1])).lay();
    });
    const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: [topic], partitions: 6, replicas: 1 });
    await admin.close();
    producer = new TestProducer(broker);
    // One knows the broker by its cable only; to the other it still tells who leads, and then cannot be reached there.
    replicas = await Promise.all([EventsProcess.start(`127.0.0.1:${cable.port}`), EventsProcess.start(broker)]);
    await until(() => replicas.every((replica) => replica.said("fan-out reads") && replica.said("assigned")));
  });

  /** What an attempt has begun and its end must end, so that a second one begins as the first did. */
  const cleanups: (() => unknown)[] = [];
  const circuits = () => Promise.all(replicas.map((replica) => replica.metric("crm_events_kafka_circuit_open")));
  afterEach(async () => {
    cable.plug();
    for (const end of cleanups.splice(0).reverse()) await end();
    await until(async () => (await circuits()).every((open) => open === 0), 120_000);
  });

  afterAll(async () => {
    await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await producer?.close();
    await cable?.remove();
    await broker?.stop();
  });

  test(`for ${cutMs / 1_000} s: streams stay, every acknowledged event comes, the members come back by themselves`, { timeout: 240_000 }, async () => {
    const clients = replicas.map(({ port }) => new SseClient(port));
    cleanups.push(() => clients.forEach(({ socket }) => socket.destroy()));
    await Promise.all(clients.map((client) => client.until(({ parser }) => parser.retry !== undefined)));
    // Keeps the events of one attempt apart from those of another.
    const key = `cut-${randomUUID()}`;
    let sent = 0;
    let sending = true;
    const sender = (async () => {
      for (; sending; sent++) {
        await producer.sendUntilAcknowledged([producer.event(key, sent)]);
        await sleep(10);
      }
    })();
    cleanups.push(() => ((sending = false), sender));
    await sleep(1_000);
    cable.pull();
    await sleep(cutMs);
    await until(async () => (await circuits()).every((open) => open === 1), 60_000, () => JSON.stringify(replicas.map(({ lines }) => lines.slice(-6))));
    cable.plug();
    await until(async () => (await circuits()).every((open) => open === 0), 60_000);
    await sleep(2_000);
    sending = false;
    await sender;
    for (const client of clients) {
      const sequences = () => client.events.map(({ data }) => JSON.parse(data)).filter(({ aggregate }) => aggregate.id === key).map(({ data }) => data.sequence as number);
      await client.until(() => sequences().includes(sent - 1), 60_000);
      expect(new Set(sequences()).size).toBe(sent);
      expect(client.gaps).toEqual([]);
      expect(client.closed).toBe(false);
      client.cut();
    }
    // Both are members again, and the group has handled everything that the topic holds.
    const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    cleanups.push(() => admin.close());
    await until(async () => (await admin.describeGroups({ groups: ["crm-events-sse"] })).get("crm-events-sse")?.members.size === 2, 60_000);
    await until(async () => (await lag(admin)) === 0, 60_000, () => JSON.stringify(replicas.map(({ lines }) => lines.slice(-5))));
  });

  async function lag(admin: Admin): Promise<number> {
    const partitions = [0, 1, 2, 3, 4, 5];
    const [listed] = await admin.listConsumerGroupOffsets({ groups: [{ groupId: "crm-events-sse", topics: [{ name: topic, partitionIndexes: partitions }] }] });
    const [ends] = await admin.listOffsets({ topics: [{ name: topic, partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp: -1n })) }] });
    const of = (p: number) => [ends!.partitions.find(({ partitionIndex }) => partitionIndex === p)!.offset, listed!.topics[0]!.partitions.find(({ partitionIndex }) => partitionIndex === p)!.committedOffset] as const;
    return partitions.map(of).reduce((sum, [end, committed]) => sum + Number(end - committed), 0);
  }
});
