/** What is read from the cluster for one scrape. */
import type { Admin } from "@platformatic/kafka";
import { passes, type Flags } from "./flags.ts";

export interface Partition {
  readonly topic: string;
  readonly partition: number;
  /** Broker id; below 0: none. */
  readonly leader: number;
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
  /** Offset of the next message and of the oldest one kept; undefined when no broker told. */
  readonly newest?: bigint;
  readonly oldest?: bigint;
}

export interface Commit {
  readonly topic: string;
  readonly partition: number;
  /** -1: the group has committed nothing here. */
  readonly offset: bigint;
}

export interface Group {
  readonly id: string;
  readonly members: number;
  readonly commits: readonly Commit[];
}

export interface Snapshot {
  readonly brokers: readonly { readonly id: number; readonly address: string }[];
  readonly partitions: readonly Partition[];
  readonly groups: readonly Group[];
}

/** The calls that are needed. */
export type Cluster = Pick<Admin, "listTopics" | "metadata" | "listGroups" | "describeGroups" | "listConsumerGroupOffsets" | "listOffsets">;

/** Told what one topic or group could not be read for; the rest is exported all the same. */
export type Complain = (what: string, error: unknown) => void;

const newest = -1n;
const oldest = -2n;

/**
 * Reads topics, groups and offsets. Commits are read before the ends of the partitions, so that no lag comes out negative
 * only because both moved in between.
 * @throws Error of the client when brokers, topics or groups cannot be listed at all
 */
export async function readSnapshot(cluster: Cluster, filters: Pick<Flags, "topics" | "groups">, complain: Complain): Promise<Snapshot> {
  const names = (await cluster.listTopics({ includeInternals: true })).filter((name) => passes(filters.topics, name));
  const metadata = await cluster.metadata({ topics: names, forceUpdate: true });
  const partitions = names.flatMap((topic) => (metadata.topics.get(topic)?.partitions ?? []).map((p, partition): Partition => ({ topic, partition, leader: p.leader, replicas: p.replicas, inSync: p.isr })));
  const groups = await readGroups(cluster, filters, partitions, complain);
  const offsets = await Promise.all(names.map((topic) => readOffsets(cluster, partitions.filter((p) => p.topic === topic), complain)));
  const brokers = [...metadata.brokers].map(([id, { host, port }]) => ({ id, address: `${host}:${port}` }));
  return { brokers, partitions: offsets.flat(), groups };
}

async function readGroups(cluster: Cluster, { groups }: Pick<Flags, "groups">, partitions: readonly Partition[], complain: Complain): Promise<Group[]> {
  const listed = await cluster.listGroups();
  // Groups of other protocols, such as Kafka Connect's, have members that are no consumers.
  const ids = [...listed.values()].filter((g) => (g.protocolType === "consumer" || g.protocolType === "") && passes(groups, g.id)).map((g) => g.id);
  const read = await Promise.all(
    ids.map((id) =>
      readGroup(cluster, id, partitions).catch((error: unknown) => {
        complain(`group ${id}`, error);
        return undefined;
      }),
    ),
  );
  return read.filter((group) => group !== undefined);
}

async function readGroup(cluster: Cluster, id: string, partitions: readonly Partition[]): Promise<Group> {
  const described = await cluster.describeGroups({ groups: [id] });
  const members = described.get(id)?.members.size ?? 0;
  // Naming each partition brings the ones without a commit too.
  const topics = Map.groupBy(partitions, (p) => p.topic);
  const asked = [...topics].map(([name, list]) => ({ name, partitionIndexes: list.map((p) => p.partition) }));
  const [answer] = asked.length === 0 ? [] : await cluster.listConsumerGroupOffsets({ groups: [{ groupId: id, topics: asked }] });
  const commits = (answer?.topics ?? []).flatMap(({ name, partitions: list }) => list.map((p): Commit => ({ topic: name, partition: p.partitionIndex, offset: p.committedOffset })));
  return { id, members, commits };
}

/** @returns the partitions of one topic, with their offsets where a leader told them. */
async function readOffsets(cluster: Cluster, partitions: readonly Partition[], complain: Complain): Promise<Partition[]> {
  const led = partitions.filter((p) => p.leader >= 0);
  const topic = partitions[0]?.topic;
  if (topic === undefined || led.length === 0) return [...partitions];
  const ask = async (timestamp: bigint): Promise<Map<number, bigint>> => {
    const [answer] = await cluster.listOffsets({ topics: [{ name: topic, partitions: led.map((p) => ({ partitionIndex: p.partition, timestamp })) }] });
    return new Map(answer?.partitions.map((p) => [p.partitionIndex, p.offset]));
  };
  try {
    const [newestOf, oldestOf] = [await ask(newest), await ask(oldest)];
    return partitions.map((p) => ({ ...p, newest: newestOf.get(p.partition), oldest: oldestOf.get(p.partition) }));
  } catch (error) {
    complain(`offsets of topic ${topic}`, error);
    return [...partitions];
  }
}
