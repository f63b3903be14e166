/**
 * Against a real broker: many clients whose connections are reset at random moments, and which come back to any replica.
 * `LONG=1` does it to 1 000 of them instead of 100, and keeps the figures.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { keepResult, long } from "../long-results.ts";
import { EventsProcess, TestProducer, until } from "./processes.ts";
import { ReturningUser } from "./returning-user.ts";

const topic = "aetherlink.events";
const clients = long ? 1_000 : 100;
/** Resets of each client's connection. */
const cutsEach = 3;
/** In which the cuts fall. */
const seconds = long ? 60 : 10;
/** Events per second; each goes to every client. */
const rate = 10;

describe.skipIf(kafkaMissing)("clients that are cut off at random", () => {
  let broker: TestBroker;
  let producer: TestProducer;
  let replicas: EventsProcess[];

  beforeAll(async () => {
    broker = await startKafka();
    const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: [topic], partitions: 6, replicas: 1 });
    await admin.close();
    producer = new TestProducer(broker);
    replicas = await Promise.all([EventsProcess.start(broker), EventsProcess.start(broker)]);
    await until(() => replicas.every((replica) => replica.said("fan-out reads")));
  });

  afterAll(async () => {
    await Promise.all((replicas ?? []).map((replica) => replica.stop()));
    await producer?.close();
    await broker?.stop();
  });

  test(`${clients} of them, ${cutsEach} times each: every event comes once and in order, and no gap is told`, { timeout: 300_000 }, async () => {
    const users = Array.from({ length: clients }, () => new ReturningUser(() => replicas[Math.floor(Math.random() * replicas.length)]!.port, "cut"));
    await Promise.all(users.map((user) => user.started));
    const end = Date.now() + seconds * 1_000;
    const cuts = users.flatMap((user) => Array.from({ length: cutsEach }, () => sleep(Math.random() * seconds * 1_000).then(() => user.cut())));
    let sent = 0;
    for (; Date.now() < end; sent++) {
      await producer.sendUntilAcknowledged([producer.event("cut", sent)]);
      await sleep(1_000 / rate);
    }
    await Promise.all(cuts);
    await until(() => users.every((user) => user.sequences.length >= sent), 60_000, () => `${users.filter((user) => user.sequences.length < sent).length} clients lack events`);
    const all = Array.from({ length: sent }, (_, i) => i).join();
    expect(users.filter((user) => user.sequences.join() !== all)).toHaveLength(0);
    expect(users.flatMap((user) => user.gaps)).toEqual([]);
    // One that was away just then was not cut; of all there are few.
    const cut = users.reduce((sum, user) => sum + user.cuts, 0);
    expect(cut).toBeGreaterThan(0.9 * clients * cutsEach);
    for (const user of users) user.stop();
    console.log(`${clients} clients, ${cut} cuts, ${sent} events, ${sent * clients} deliveries, 0 lost, 0 twice`);
    keepResult("crm-events-cuts", "clients cut off at random", { clients, cuts: cut, events: sent, deliveries: sent * clients, lost: 0, twice: 0, gaps: 0 });
  });
});
