import { describe, expect, test } from "vitest";
import { readFlags } from "../../airgap/kafka-exporter/flags.ts";
import { readSnapshot, type Cluster } from "../../airgap/kafka-exporter/snapshot.ts";

const filters = readFlags(["--topic.exclude=^hidden$", "--group.exclude=^fanout-"]);

/** A cluster of topics `t` (two partitions) and `hidden`; single calls are replaced by tests. */
function cluster(calls: string[], replaced: Record<string, unknown> = {}): Cluster {
  const log = <T>(name: string, answer: (options: never) => T) => async (options: never) => {
    calls.push(name);
    return answer(options);
  };
  const p = { leader: 1, leaderEpoch: 0, replicas: [1], isr: [1], offlineReplicas: [] };
  const group = (id: string, protocolType: string) => [id, { id, protocolType, state: "STABLE" }] as const;
  return {
    listTopics: log("listTopics", () => ["t", "hidden"]),
    metadata: log("metadata", () => ({ id: "c", controllerId: 1, lastUpdate: 0, brokers: new Map([[1, { host: "kafka", port: 9092 }]]), topics: new Map([["t", { id: "", partitions: [p, p], partitionsCount: 2, lastUpdate: 0 }]]) })),
    listGroups: log("listGroups", () => new Map([group("g", "consumer"), group("empty", ""), group("fanout-1", "consumer"), group("c", "connect")])),
    describeGroups: log("describeGroups", ({ groups: [id] }: { groups: string[] }) => new Map([[id, { members: new Map(id === "g" ? [["a", {}], ["b", {}]] : []) }]])),
    listConsumerGroupOffsets: log("commits", ({ groups: [asked] }: { groups: { groupId: string }[] }) => [{ groupId: asked?.groupId, topics: [{ name: "t", partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 3n })) }] }]),
    listOffsets: log("ends", ({ topics: [asked] }: { topics: { name: string; partitions: { partitionIndex: number; timestamp: bigint }[] }[] }) => [{ name: asked?.name, partitions: asked?.partitions.map(({ partitionIndex, timestamp }) => ({ partitionIndex, offset: timestamp === -1n ? 9n : 1n })) }]),
    ...replaced,
  } as unknown as Cluster;
}

const never = (what: string): never => {
  throw new Error(`unexpected complaint about ${what}`);
};

describe("reading the cluster", () => {
  test("passes by filtered topics, filtered groups and groups that are no consumers", async () => {
    const snapshot = await readSnapshot(cluster([]), filters, never);
    expect(snapshot.brokers).toEqual([{ id: 1, address: "kafka:9092" }]);
    expect(snapshot.partitions.map(({ topic, partition, newest, oldest }) => [topic, partition, newest, oldest])).toEqual([["t", 0, 9n, 1n], ["t", 1, 9n, 1n]]);
    expect(snapshot.groups.map(({ id, members }) => [id, members])).toEqual([["g", 2], ["empty", 0]]);
  });

  test("reads commits before ends, so that lag is never negative", async () => {
    const calls: string[] = [];
    await readSnapshot(cluster(calls), filters, never);
    expect(calls.lastIndexOf("commits")).toBeLessThan(calls.indexOf("ends"));
  });

  test("goes on without a group or the offsets of a topic that cannot be read", async () => {
    const complaints: string[] = [];
    const broken = cluster([], { listOffsets: () => Promise.reject(new Error("no leader")), describeGroups: () => Promise.reject(new Error("no coordinator")) });
    const snapshot = await readSnapshot(broken, filters, (what) => complaints.push(what));
    expect(complaints.sort()).toEqual(["group empty", "group g", "offsets of topic t"]);
    expect(snapshot.groups).toEqual([]);
    expect(snapshot.partitions.map((p) => p.newest)).toEqual([undefined, undefined]);
  });

  test("fails as a whole when the cluster cannot be reached", async () => {
    await expect(readSnapshot(cluster([], { listTopics: () => Promise.reject(new Error("refused")) }), filters, never)).rejects.toThrow("refused");
  });
});
