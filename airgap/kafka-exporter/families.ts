/** A snapshot of the cluster as kafka_exporter's metric families: same names, labels and meanings. */
import type { Group, Partition, Snapshot } from "./snapshot.ts";

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const flag = (condition: boolean): number => (condition ? 1 : 0);

/** Values per partition; undefined leaves the sample out. */
const perPartition: readonly [name: string, help: string, value: (p: Partition) => number | undefined][] = [
  ["current_offset", "Offset of the next message of the partition", (p) => number(p.newest)],
  ["oldest_offset", "Oldest offset that the partition keeps", (p) => number(p.oldest)],
  ["in_sync_replica", "Replicas of the partition that are in sync", (p) => p.inSync.length],
  ["replicas", "Replicas of the partition", (p) => p.replicas.length],
  ["leader", "Broker that leads the partition", (p) => (p.leader < 0 ? undefined : p.leader)],
  ["leader_is_preferred", "1 when the partition's first replica leads it", (p) => flag(p.leader >= 0 && p.leader === p.replicas[0])],
  ["under_replicated_partition", "1 when a replica of the partition is not in sync", (p) => flag(p.inSync.length < p.replicas.length)],
];

const number = (offset: bigint | undefined): number | undefined => (offset === undefined ? undefined : Number(offset));

/** @returns every family, also those without samples. */
export function families({ brokers, partitions, groups }: Snapshot): Family[] {
  const topics = Map.groupBy(partitions, (p) => p.topic);
  return [
    { name: "kafka_brokers", help: "Brokers of the cluster", samples: [{ labels: {}, value: brokers.length }] },
    { name: "kafka_broker_info", help: "Address of a broker", samples: brokers.map(({ id, address }) => ({ labels: { id: `${id}`, address }, value: 1 })) },
    { name: "kafka_topic_partitions", help: "Partitions of the topic", samples: [...topics].map(([topic, list]) => ({ labels: { topic }, value: list.length })) },
    ...perPartition.map(([name, help, value]) => ({ name: `kafka_topic_partition_${name}`, help, samples: partitions.flatMap((p) => sample(partitionLabels(p), value(p))) })),
    { name: "kafka_consumergroup_members", help: "Members of the consumer group", samples: groups.map(({ id, members }) => ({ labels: { consumergroup: id }, value: members })) },
    ...groupFamilies(partitions, groups),
  ];
}

const partitionLabels = ({ topic, partition }: { topic: string; partition: number }) => ({ topic, partition: `${partition}` });

const sample = (labels: Sample["labels"], value: number | undefined): Sample[] => (value === undefined ? [] : [{ labels, value }]);

function groupFamilies(partitions: readonly Partition[], groups: readonly Group[]): Family[] {
  const ends = new Map(partitions.map((p) => [`${p.topic}/${p.partition}`, p.newest]));
  const offset: Sample[] = [];
  const lag: Sample[] = [];
  const offsetSum: Sample[] = [];
  const lagSum: Sample[] = [];
  for (const { id, commits } of groups) {
    for (const [topic, list] of Map.groupBy(commits, (c) => c.topic)) {
      // A topic without any commit is one that the group does not read.
      if (list.every((c) => c.offset < 0n)) continue;
      let sum = 0;
      for (const commit of list) {
        const labels = { consumergroup: id, ...partitionLabels(commit) };
        const behind = lagOf(commit.offset, ends.get(`${topic}/${commit.partition}`));
        offset.push({ labels, value: Number(commit.offset) });
        lag.push(...sample(labels, behind));
        sum += Math.max(0, behind ?? 0);
      }
      offsetSum.push({ labels: { consumergroup: id, topic }, value: list.reduce((total, c) => total + Number(c.offset), 0) });
      lagSum.push({ labels: { consumergroup: id, topic }, value: sum });
    }
  }
  return [
    { name: "kafka_consumergroup_current_offset", help: "Offset that the group has committed; -1: none", samples: offset },
    { name: "kafka_consumergroup_current_offset_sum", help: "Committed offsets of all partitions of the topic", samples: offsetSum },
    { name: "kafka_consumergroup_lag", help: "Messages that the group is behind; -1: it has committed nothing", samples: lag },
    { name: "kafka_consumergroup_lag_sum", help: "Messages that the group is behind on all partitions of the topic", samples: lagSum },
  ];
}

/** -1 marks a partition without a commit, so that one can alert on it. */
function lagOf(committed: bigint, end: bigint | undefined): number | undefined {
  if (committed < 0n) return -1;
  return end === undefined ? undefined : Number(end - committed);
}

/** @returns the families in Prometheus' text format, without the empty ones. */
export function exposition(all: readonly Family[]): string {
  const escape = (value: string): string => value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const line = (name: string, { labels, value }: Sample): string => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
    return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
  };
  const filled = all.filter(({ samples }) => samples.length > 0);
  return filled.map(({ name, help, samples }) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${samples.map((s) => line(name, s)).join("")}`).join("");
}
