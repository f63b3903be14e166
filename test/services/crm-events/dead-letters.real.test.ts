/** Against a real broker: the topic of parked messages is made, and made again, and takes many letters at once. */
import { randomUUID } from "node:crypto";
import { Admin } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeadLetters, type DeadLetter } from "../../../services/crm-events/dead-letters.ts";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { readTopic } from "../../support/kafka-topic.ts";
import { until } from "./processes.ts";

describe.skipIf(kafkaMissing)("the topic of parked messages", () => {
  let broker: TestBroker;

  beforeAll(async () => {
    broker = await startKafka();
  });

  afterAll(async () => {
    await broker?.stop();
  });

  const connectionTo = (address: string) => ({ clientId: "test", bootstrapBrokers: [address], retries: 2, retryDelay: 250, connectTimeout: 5_000, requestTimeout: 10_000, timeout: 5_000 });
  const letter = (offset: number) => ({ partition: 0, message: { offset, timestamp: 1, record: { key: null, value: Buffer.from(`${offset}`), headers: [] } }, reason: "bad_json", detail: "" }) as unknown as DeadLetter;

  test("is made again when somebody deletes it", { timeout: 120_000 }, async () => {
    // Each attempt has a topic of its own, without letters of the one before.
    const topic = `dead-letters-${randomUUID()}`;
    const letters = new DeadLetters({ connection: connectionTo(broker.address), sourceTopic: "events", topic, replication: 1 });
    const values = async () => (await readTopic(broker.address, topic)).map(({ value }) => value);
    try {
      await letters.park([letter(1)]);
      expect(await values()).toEqual(["1"]);
      const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
      await admin.deleteTopics({ topics: [topic] });
      await until(async () => !(await admin.listTopics()).includes(topic));
      await admin.close();
      // As the group's member does.
      await until(() => letters.park([letter(2)]).then(() => true, () => false), 60_000);
      expect(await values()).toEqual(["2"]);
    } finally {
      await letters.close();
    }
  });

  test("takes a long run of letters that are mostly headers", { timeout: 60_000 }, async () => {
    const topic = `dead-letters-${randomUUID()}`;
    const headers = Array.from({ length: 4 }, (_, i) => [Buffer.from(`header-${i}`), Buffer.alloc(1_000, "x")]);
    const tombstone = (offset: number) => ({ partition: 0, message: { offset, timestamp: 1, record: { key: null, value: null, headers } }, reason: "bad_json", detail: "" }) as unknown as DeadLetter;
    const letters = new DeadLetters({ connection: connectionTo(broker.address), sourceTopic: "events", topic, replication: 1 });
    try {
      await letters.park(Array.from({ length: 255 }, (_, i) => tombstone(i)));
      expect(await readTopic(broker.address, topic)).toHaveLength(255);
    } finally {
      await letters.close();
    }
  });
});
