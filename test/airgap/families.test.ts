import { describe, expect, test } from "vitest";
import { exposition, families } from "../../airgap/kafka-exporter/families.ts";
import type { Group, Partition, Snapshot } from "../../airgap/kafka-exporter/snapshot.ts";

const partition = (index: number, more: Partial<Partition> = {}): Partition => ({ topic: "t", partition: index, leader: 1, replicas: [1, 2], inSync: [1, 2], newest: 100n, oldest: 10n, ...more });
const group = (offsets: readonly bigint[], more: Partial<Group> = {}): Group => ({ id: "g", members: 2, commits: offsets.map((offset, index) => ({ topic: "t", partition: index, offset })), ...more });
const text = (snapshot: Partial<Snapshot>): string[] => exposition(families({ brokers: [], partitions: [], groups: [], ...snapshot })).split("\n");

describe("metric families of the stand-in", () => {
  test("describe each partition with topic and partition", () => {
    const lines = text({ brokers: [{ id: 1, address: "kafka:9092" }], partitions: [partition(0), partition(1, { leader: 2, inSync: [2] })] });
    expect(lines).toEqual(
      expect.arrayContaining([
        "kafka_brokers 1",
        'kafka_broker_info{id="1",address="kafka:9092"} 1',
        'kafka_topic_partitions{topic="t"} 2',
        'kafka_topic_partition_current_offset{topic="t",partition="0"} 100',
        'kafka_topic_partition_oldest_offset{topic="t",partition="0"} 10',
        'kafka_topic_partition_leader{topic="t",partition="1"} 2',
        'kafka_topic_partition_leader_is_preferred{topic="t",partition="0"} 1',
        'kafka_topic_partition_leader_is_preferred{topic="t",partition="1"} 0',
        'kafka_topic_partition_replicas{topic="t",partition="1"} 2',
        'kafka_topic_partition_in_sync_replica{topic="t",partition="1"} 1',
        'kafka_topic_partition_under_replicated_partition{topic="t",partition="0"} 0',
        'kafka_topic_partition_under_replicated_partition{topic="t",partition="1"} 1',
      ]),
    );
  });

  test("leave out what a partition without a leader cannot tell", () => {
    const lines = text({ partitions: [partition(0, { leader: -1, inSync: [], newest: undefined, oldest: undefined })], groups: [group([7n])] });
    expect(lines.filter((line) => /^kafka_(topic_partition_(leader|current_offset|oldest_offset)|consumergroup_lag)\{/.test(line))).toEqual([]);
    expect(lines).toContain('kafka_topic_partition_leader_is_preferred{topic="t",partition="0"} 0');
    expect(lines).toContain('kafka_consumergroup_current_offset{consumergroup="g",topic="t",partition="0"} 7');
  });

  test("give -1 where a group has committed nothing, and keep it out of the sum of lags", () => {
    const lines = text({ partitions: [partition(0), partition(1)], groups: [group([60n, -1n])] });
    expect(lines).toEqual(
      expect.arrayContaining([
        'kafka_consumergroup_members{consumergroup="g"} 2',
        'kafka_consumergroup_lag{consumergroup="g",topic="t",partition="0"} 40',
        'kafka_consumergroup_lag{consumergroup="g",topic="t",partition="1"} -1',
        'kafka_consumergroup_lag_sum{consumergroup="g",topic="t"} 40',
        'kafka_consumergroup_current_offset_sum{consumergroup="g",topic="t"} 59',
      ]),
    );
  });

  test("have no lag for a topic that a group does not read, but its members all the same", () => {
    const lines = text({ partitions: [partition(0)], groups: [group([-1n], { members: 0 })] });
    expect(lines.filter((line) => line.startsWith("kafka_consumergroup_"))).toEqual(['kafka_consumergroup_members{consumergroup="g"} 0']);
  });

  test("keep large offsets and odd names intact", () => {
    const lines = text({ partitions: [partition(0, { topic: 'a"\\\n', newest: 9_007_199_254_740_991n })] });
    expect(lines).toContain('kafka_topic_partition_current_offset{topic="a\\"\\\\\\n",partition="0"} 9007199254740991');
  });
});
