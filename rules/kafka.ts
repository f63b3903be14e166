/** Recording rules on Kafka: lag, skew and size of consumer groups, rates of topics. */
import type { Settings } from "../components/settings/schema.ts";
import { record } from "./alert.ts";
import { crmApi, kafka } from "./metrics.ts";
import { kafkaAlerts } from "./kafka-alerts.ts";
import { promql } from "./promql.ts";
import type { RuleGroup } from "./types.ts";

/** The group `kafka`; alerts stand behind the series that they use, so that they see them at once. */
export function kafkaGroup(s: Settings): RuleGroup {
  const perGroup = "by (consumergroup, topic)";
  return {
    name: "kafka",
    file: "kafka",
    rules: [
      record("kafka:group_consumer_count", "Members of a consumer group.", promql`max by (consumergroup) (${kafka.groupMembers})`),
      record(
        "kafka:group_partition_lag",
        "Messages of a partition that a group has not committed; a partition without a commit (-1) counts as 0.",
        promql`max by (consumergroup, topic, partition) (clamp_min(${kafka.groupLag}, 0))`,
      ),
      record("kafka:group_lag_sum", "Messages that a group has not committed.", promql`sum ${perGroup} (kafka:group_partition_lag)`),
      record(
        "kafka:group_skew_ratio",
        `Largest partition lag over the average one, which counts as ${s.thresholds.skewMinAverageLag} at least so that a handful of messages is no skew.`,
        promql`
          max ${perGroup} (kafka:group_partition_lag)
            / clamp_min(avg ${perGroup} (kafka:group_partition_lag), ${s.thresholds.skewMinAverageLag})`,
      ),
      record("kafka:group_lag_p95", "95th percentile of the lag across partitions.", promql`quantile ${perGroup} (0.95, kafka:group_partition_lag)`),
      record(
        "kafka:group_drain_eta_seconds",
        "Seconds until the lag is gone at the net drain of the last 5 minutes; absent while it does not fall.",
        promql`(kafka:group_lag_sum > 0) / (-deriv(kafka:group_lag_sum[5m]) > 0)`,
      ),
      record("kafka:topic_message_rate", "Messages produced to a topic per second.", promql`sum by (topic) (rate(${kafka.topicOffset}[5m]))`),
      record(
        "kafka:topic_byte_rate",
        "Bytes produced to a topic per second, from the producer's own count: kafka_exporter has none.",
        promql`sum by (topic) (rate(${crmApi.outboxPublishedBytes}[5m]))`,
      ),
      ...kafkaAlerts(s),
    ],
  };
}
