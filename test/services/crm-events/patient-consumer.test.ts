/** What is known of a topic while some of its partitions have no leader. */
import { Admin, Consumer, kGetApi, kGetBootstrapConnection, ResponseError } from "@platformatic/kafka";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TopicGone, TopicReader } from "../../../services/crm-events/topic-reader.ts";
import { ensureTopic, PatientConsumer } from "../../../services/shared/kafka.ts";

type Answer = (error: Error | null, payload?: unknown) => void;

/** What the pretended broker answers about the topic: its own error, and each partition's error and leader. */
const topic = { error: 0, partitions: [] as [error: number, leader: number][] };
/** What it was asked for: requests for metadata, and the partitions of each request for offsets. */
const asked = { metadata: 0, offsets: [] as number[][] };

function metadata(...args: unknown[]): void {
  const answer = args.at(-1) as Answer;
  asked.metadata++;
  const partitions = topic.partitions.map(([errorCode, leaderId], partitionIndex) => ({ errorCode, partitionIndex, leaderId, leaderEpoch: 3, replicaNodes: [1], isrNodes: [], offlineReplicas: [] }));
  const response = { throttleTimeMs: 0, brokers: [{ nodeId: 1, host: "one", port: 9092, rack: null }], clusterId: "c", controllerId: 1, topics: [{ errorCode: topic.error, name: "events", topicId: "0f", isInternal: false, partitions }] };
  const errors: Record<string, [number, null]> = topic.error === 0 ? {} : { "/topics/0": [topic.error, null] };
  for (const [p, [code]] of topic.partitions.entries()) if (code !== 0) errors[`/topics/0/partitions/${p}`] = [code, null];
  if (Object.keys(errors).length > 0) answer(new ResponseError(3, 12, errors, response));
  else answer(null, response);
}

beforeEach(() => {
  Object.assign(asked, { metadata: 0, offsets: [] });
  for (const { prototype } of [Admin, Consumer]) {
    vi.spyOn(prototype, kGetBootstrapConnection).mockImplementation((callback) => callback(null, {} as never));
    vi.spyOn(prototype, kGetApi).mockImplementation((_, callback) => callback(null, Object.assign(metadata, { key: 3, version: 12, async: undefined }) as never));
  }
  vi.spyOn(Consumer.prototype, "listOffsets").mockImplementation((async ({ partitions }: { partitions: Record<string, number[]> }) => {
    asked.offsets.push(partitions["events"]!);
    const offsets: bigint[] = [];
    for (const p of partitions["events"]!) offsets[p] = BigInt(10 * p);
    return new Map([["events", offsets]]);
  }) as never);
});
afterEach(() => vi.restoreAllMocks());

const connection = { clientId: "test", bootstrapBrokers: ["one:9092"] } as never;
const consumer = () => new PatientConsumer({ clientId: "test", groupId: "g", bootstrapBrokers: ["one:9092"], retries: 0 });
const leaders = async (client: Consumer, forceUpdate = false) => (await client.metadata({ topics: ["events"], forceUpdate })).topics.get("events")!.partitions.map(({ leader }) => leader);

test("the library by itself takes one partition without a leader for a failure of all", async () => {
  Object.assign(topic, { error: 0, partitions: [[0, 1], [5, -1]] });
  await expect(leaders(new Consumer({ clientId: "test", groupId: "g", bootstrapBrokers: ["one:9092"], retries: 0 }))).rejects.toThrow("Received response with error");
});

test("the other partitions are known, and asked for no more often than else; the leader is seen when there is one", async () => {
  Object.assign(topic, { error: 0, partitions: [[0, 1], [5, -1], [0, 1]] });
  const client = consumer();
  expect(await leaders(client)).toEqual([1, -1, 1]);
  expect(await leaders(client)).toEqual([1, -1, 1]);
  expect(asked.metadata).toBe(1);
  topic.partitions[1] = [0, 1];
  expect(await leaders(client, true)).toEqual([1, 1, 1]);
});

test("an error of the topic itself stays one", async () => {
  Object.assign(topic, { error: 29, partitions: [[0, 1], [5, -1]] });
  await expect(leaders(consumer())).rejects.toThrow("Received response with error");
  Object.assign(topic, { error: 3, partitions: [] });
  await expect(new TopicReader(connection, "events", 100).describe()).rejects.toThrow(TopicGone);
});

test("bounds are asked of the partitions that have a leader, and not known of the others", async () => {
  Object.assign(topic, { error: 0, partitions: [[0, 1], [5, -1], [0, 1]] });
  const reader = new TopicReader(connection, "events", 100);
  const facts = await reader.describe();
  expect(facts.leaders).toEqual([1, -1, 1]);
  expect(await reader.bounds(facts)).toEqual({ starts: [0, undefined, 20], ends: [0, undefined, 20] });
  expect(await reader.offsetsAt(1, facts)).toEqual([0, Number.POSITIVE_INFINITY, 20]);
  expect(asked.offsets).toEqual([[0, 2], [0, 2], [0, 2]]);
});

test("nobody is asked for bounds while no partition has a leader", async () => {
  Object.assign(topic, { error: 0, partitions: [[5, -1], [5, -1]] });
  const reader = new TopicReader(connection, "events", 100);
  expect(await reader.bounds(await reader.describe())).toEqual({ starts: [undefined, undefined], ends: [undefined, undefined] });
  expect(asked.offsets).toEqual([]);
});

test("a topic is there although a partition has no leader", async () => {
  Object.assign(topic, { error: 0, partitions: [[0, 1], [5, -1]] });
  expect(await ensureTopic(connection, { topic: "events", partitions: 2, replication: 1 })).toBe("present");
});
