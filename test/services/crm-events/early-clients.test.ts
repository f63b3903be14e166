/** Clients that come before their replica has reached Kafka: nobody could tell them then where the topic ended. */
import { afterEach, expect, test } from "vitest";
import type { LogTimes } from "../../../services/crm-events/topic-log.ts";
import { MemoryTopic, Replica, sampleEvent, SseClient, type ReplicaOptions } from "./support.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanups.splice(0).reverse()) await end();
});

/** A replica that listens while Kafka is away, and a client that it has greeted with nothing but the status. */
async function setup(topic: MemoryTopic, options?: ReplicaOptions) {
  const replica = await new Replica(topic, options).listen();
  cleanups.push(() => replica.close(), () => expect(replica.errors).toEqual([]));
  const open = async () => {
    const before = replica.hub.clients;
    const client = new SseClient(replica.port);
    cleanups.push(() => client.socket.destroy());
    return client.until(({ status }) => status === 200 && replica.hub.clients > before);
  };
  return { replica, open, client: await open() };
}

/** Writes events of a partition, the first at a time in milliseconds and each a millisecond after the one before. */
function write(topic: MemoryTopic, partition: number, count: number, time = Date.now()): void {
  for (let i = 0; i < count; i++) topic.append(partition, sampleEvent(`p${partition}`, topic.ends[partition]!), time + i);
}

const seen = ({ events }: SseClient, partition: number) => events.map(({ data }) => JSON.parse(data).data).filter(({ key }) => key === `p${partition}`).map(({ sequence }) => sequence);
const upTo = (from: number, end: number) => Array.from({ length: end - from }, (_, i) => from + i);
const hours = 3_600_000;

test("before there was a topic get all of it, whatever the clocks of its producers say", async () => {
  const topic = new MemoryTopic(2);
  const { client, replica } = await setup(topic);
  write(topic, 0, 20, Date.now() - 5 * hours);
  write(topic, 1, 3);
  replica.reach(undefined, true);
  replica.pumpAll();
  write(topic, 0, 1);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 24);
  expect([seen(client, 0), seen(client, 1), client.gaps]).toEqual([upTo(0, 21), upTo(0, 3), []]);
});

test("get what was written since, though the replica found it there, and not what is older", async () => {
  const topic = new MemoryTopic(3);
  write(topic, 0, 30, Date.now() - 2 * hours);
  write(topic, 2, 5, Date.now() - 2 * hours);
  const { client, replica } = await setup(topic);
  write(topic, 0, 10);
  write(topic, 1, 4);
  replica.reach();
  replica.pumpAll();
  write(topic, 2, 1);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 15);
  expect([seen(client, 0), seen(client, 1), seen(client, 2), client.gaps]).toEqual([upTo(30, 40), upTo(0, 4), [5], []]);
  // Its first block has told from where on.
  expect(client.parser.firstId).toBe("epoch1.u.0.5");
});

test("miss nothing that a producer with a slow clock has written, or one that had to send it again", async () => {
  const topic = new MemoryTopic(1);
  const { client, replica } = await setup(topic);
  write(topic, 0, 10, Date.now() - 45_000);
  replica.reach();
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 10);
  expect(client.gaps).toEqual([]);
});

test("are each judged by the time at which they came", async () => {
  const topic = new MemoryTopic(1);
  const { client, replica, open } = await setup(topic);
  // Twenty events of a long outage, the last of them within the margin of the second client.
  write(topic, 0, 19);
  const late = Date.now() + hours;
  const clock = Date.now;
  cleanups.push(() => (Date.now = clock));
  Date.now = () => late;
  const second = await open();
  write(topic, 0, 1);
  replica.reach();
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 20);
  await second.until(({ events }) => events.length >= 1);
  expect([seen(client, 0), seen(second, 0)]).toEqual([upTo(0, 20), [19]]);
});

test("get from Kafka what this replica's history does not reach back to", async () => {
  const topic = new MemoryTopic(2);
  write(topic, 1, 5, Date.now() - 2 * hours);
  const { client, replica } = await setup(topic, { historyEvents: 10 });
  write(topic, 0, 120);
  write(topic, 1, 120);
  replica.reach([115, 120]);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 240);
  expect([seen(client, 0), seen(client, 1), client.gaps]).toEqual([upTo(0, 120), upTo(5, 125), []]);
});

test("wait on while Kafka falls silent again, and miss nothing", async () => {
  const topic = new MemoryTopic(1);
  const { client, replica } = await setup(topic);
  write(topic, 0, 5);
  topic.down = true;
  replica.reach();
  replica.pumpAll();
  await new Promise((resolve) => setTimeout(resolve, 100));
  write(topic, 0, 5);
  replica.pumpAll();
  expect(client.events).toEqual([]);
  topic.down = false;
  await client.until(({ events }) => events.length >= 10);
  expect([seen(client, 0), client.gaps]).toEqual([upTo(0, 10), []]);
});

test.each([
  ["too_far", (topic: MemoryTopic) => write(topic, 0, 30)],
  ["expired", (topic: MemoryTopic) => topic.expire(0, 1)],
])("are told of a gap when not all of it can be given: %s", async (reason, happens) => {
  const topic = new MemoryTopic(1);
  const { client, replica } = await setup(topic, { historyEvents: 5, replayEvents: 20 });
  write(topic, 0, 10);
  happens(topic);
  const end = topic.ends[0]!;
  replica.reach([end - 5], true);
  replica.pumpAll();
  await client.until(({ gaps }) => gaps.length === 1);
  expect(client.gaps[0]).toEqual({ reason, from: "epoch1.0", to: `epoch1.${end.toString(36)}` });
  write(topic, 0, 1);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 1);
  expect(seen(client, 0)).toEqual([end]);
});

test("are told of a gap when a partition has no leader that could be asked", async () => {
  class HalfTopic extends MemoryTopic {
    override async since(time: number): Promise<LogTimes> {
      const { epoch, next } = await super.since(time);
      return { epoch, next: [next[0], undefined] };
    }
  }
  const topic = new HalfTopic(2);
  const { client, replica } = await setup(topic);
  write(topic, 0, 3);
  write(topic, 1, 3);
  replica.reach();
  replica.pumpAll();
  await client.until(({ gaps }) => gaps.length === 1);
  expect(client.gaps[0]).toEqual({ reason: "lost", from: null, to: "epoch1.3.3" });
});

test("are told of a gap when the topic was made anew while Kafka was asked", async () => {
  class OtherTopic extends MemoryTopic {
    override async since(time: number): Promise<LogTimes> {
      return { ...(await super.since(time)), epoch: "epoch2" };
    }
  }
  const topic = new OtherTopic(1);
  const { client, replica } = await setup(topic);
  write(topic, 0, 3);
  replica.reach();
  await client.until(({ gaps }) => gaps.length === 1);
  expect(client.gaps[0]!.reason).toBe("epoch");
});

test("a client that has just caught up misses no event that comes in that very moment", async () => {
  const topic = new MemoryTopic(1);
  write(topic, 0, 1);
  const { replica } = await setup(topic);
  // Another replica was faster, so that this one waits for the first event.
  const client = new SseClient(replica.port, { lastEventId: "epoch1.1" });
  cleanups.push(() => client.socket.destroy());
  await client.until(() => replica.hub.clients === 2);
  replica.reach([0]);
  await client.until(({ parser }) => parser.retry !== undefined);
  replica.pumpAll();
  await Promise.resolve();
  write(topic, 0, 1);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 1, 2_000);
  write(topic, 0, 1);
  replica.pumpAll();
  await client.until(({ events }) => events.length >= 2);
  expect(seen(client, 0)).toEqual([1, 2]);
});
