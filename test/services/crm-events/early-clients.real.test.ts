/** Against a real broker: clients that come before their replica has reached the topic, or Kafka at all, miss nothing. */
import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { afterEach, describe, expect, test } from "vitest";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { SseClient } from "./support.ts";

const topic = "aetherlink.events";

describe.skipIf(kafkaMissing)("a client that is earlier than its replica", () => {
  /** Each attempt has a broker of its own. */
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
  });

  async function setup(): Promise<{ broker: TestBroker; producer: TestProducer; createTopic: () => Promise<void> }> {
    const broker = await startKafka();
    const producer = new TestProducer(broker);
    cleanups.push(() => broker.stop(), () => producer.close());
    const createTopic = async () => {
      const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
      await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 });
      await admin.close();
    };
    return { broker, producer, createTopic };
  }

  /** One of a new replica's, with the status and nothing else so far. */
  async function open(broker: TestBroker, waiting: string): Promise<{ replica: EventsProcess; client: SseClient }> {
    const replica = await EventsProcess.start(broker);
    await until(() => replica.said(waiting));
    const client = new SseClient(replica.port);
    cleanups.push(() => replica.kill(), () => client.socket.destroy());
    await client.until(({ status }) => status === 200);
    expect(client.parser.firstId).toBeUndefined();
    return { replica, client };
  }

  /** The numbers of one aggregate's events, each once: a producer that got no answer has sent again. */
  const numbers = ({ events }: SseClient, key: string) => [...new Set(events.map(({ data }) => JSON.parse(data).data).filter((data) => data.key === key).map(({ sequence }) => sequence as number))];
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

  test("gets all of a topic that is made after it came", async () => {
    const { broker, createTopic, producer } = await setup();
    const { client, replica } = await open(broker, "waiting for the topic");
    // The producer is faster.
    replica.child.kill("SIGSTOP");
    await createTopic();
    for (let i = 0; i < 20; i++) await producer.sendUntilAcknowledged([producer.event("new", i)]);
    replica.child.kill("SIGCONT");
    await until(() => replica.said("fan-out reads"));
    await producer.sendUntilAcknowledged([producer.event("new", 20)]);
    await client.until(() => numbers(client, "new").includes(20));
    expect([numbers(client, "new"), client.gaps]).toEqual([upTo(21), []]);
  });

  test("gets all that is written from Kafka's return on, and nothing that is old", async () => {
    const { broker, createTopic, producer } = await setup();
    await createTopic();
    const old = BigInt(Date.now() - 7_200_000);
    await producer.sendUntilAcknowledged(upTo(100).map((i) => ({ ...producer.event(`old${i % 7}`, i), timestamp: old })));
    await broker.kill();
    const { client, replica } = await open(broker, "Kafka cannot be reached; trying at growing intervals");
    // Long enough for intervals that leave the producer a head start.
    await sleep(5_000);
    await broker.start();
    let sent = 0;
    do await producer.sendUntilAcknowledged([producer.event("new", sent++)]);
    while (!replica.said("fan-out reads"));
    await producer.sendUntilAcknowledged([producer.event("new", sent++)]);
    await client.until(() => numbers(client, "new").includes(sent - 1));
    expect([numbers(client, "new"), client.gaps]).toEqual([upTo(sent), []]);
    expect(client.events.filter(({ data }) => JSON.parse(data).data.key !== "new")).toEqual([]);
  });
});
