/** Alerts on how the event service's consumer group keeps up with Kafka. */
import type { Settings } from "../components/settings/schema.ts";
import { firing } from "./alert.ts";
import { consumerGroup, eventsAlert as events, ofGroup } from "./events-service.ts";
import { crmEvents, kafka } from "./metrics.ts";
import { compared, promql } from "./promql.ts";
import type { Alert } from "./types.ts";

/** Alerts of the group `kafka`. */
export const kafkaAlerts = (s: Settings): Alert[] => [noMember(s), ...stuck(s), ...keepingUp(s)];

/** People are told that no replica answers. */
const noReplicaFires = firing("CrmEventsServiceDown", "no-replica");

/** The other cause of CrmEventsServiceDown, told while the first one is not; a label tells them apart. */
const noMember = (s: Settings): Alert =>
  events(s, "CrmEventsServiceDown", {
      // A group that Kafka does not know has no member either; without Kafka nothing can be said. What counts is whether
      // the other cause is told, not whether a scrape failed: replicas that restart again and again would start `for`
      // anew each time, and neither cause would ever be told.
      expr: promql`
        (max(kafka:group_consumer_count${ofGroup}) or 0 * max(${kafka.brokers} > 0)) == 0
          unless on () ${noReplicaFires}`,
      for: "5m",
      severity: "critical",
      summary: "The event service does not work",
      labels: { cause: "no-member" },
      description: `The consumer group ${consumerGroup} has had no member for 5 minutes ({{ $value | printf "%.0f" }} at the last count) although replicas of crm-events answer, at least now and then: no event is handled.`,
    });

function stuck(s: Settings): Alert[] {
  const topic = `{topic="${s.kafka.topic}"}`;
  return [
    events(s, "CrmEventsConsumerStuck", {
      // A short window for what is handled, so that the time until it fires is that of `for`; a long one for what arrives,
      // so that a message every few minutes is enough. At the end of all traffic that holds for 8 minutes, less than
      // `for`; and while nothing waits nothing can be stuck, which is taken for true after kafka-exporter has stopped too.
      // A group that has never committed has no lag, or -1 in every partition: that does not say that nothing waits.
      // Where scrapes are so far apart that the short window has one sample at most, the long one counts what a replica
      // has handled that still answers.
      expr: promql`
        sum(increase(${crmEvents.messages}[2m]) or (increase(${crmEvents.messages}[10m]) and ${crmEvents.messages})) == 0
          and (sum(increase(${kafka.topicOffset}${topic}[10m])) > 0 or max(deriv(kafka:group_lag_sum${ofGroup}[10m])) > 0)
          unless max(last_over_time(${kafka.groupLag}{consumergroup="${consumerGroup}",topic="${s.kafka.topic}"}[10m])) == 0`,
      for: "10m",
      severity: "critical",
      summary: "Events arrive but none is handled",
      description: `{{ $value | printf "%.0f" }} messages of ${s.kafka.topic} were handled in 10 minutes while messages arrive.`,
    }),
    events(s, "CrmEventsPartitionStuck", {
      // Samples may be so far apart that the short window has one at most, in which nothing can change.
      expr: promql`
        kafka:group_partition_lag${ofGroup} > 0
          unless on (consumergroup, topic, partition) (
            changes(${kafka.groupOffset}[2m]) > 0
              or (changes(${kafka.groupOffset}[10m]) > 0 unless count_over_time(${kafka.groupOffset}[2m]) > 1)
          )
          unless delta(kafka:group_partition_lag[2m]) < 0`,
      for: "10m",
      severity: "critical",
      derived: { consumergroup: [consumerGroup], topic: [s.kafka.topic], partition: Array.from({ length: s.kafka.partitions }, (_, i) => String(i)) },
      summary: "A partition with lag is not consumed",
      description: 'Partition {{ $labels.partition }} of {{ $labels.topic }} has {{ $value | printf "%.0f" }} messages that the group has not moved on from for 10 minutes.',
    }),
  ];
}

function keepingUp(s: Settings): Alert[] {
  const t = s.thresholds;
  const group = { consumergroup: [consumerGroup], topic: [s.kafka.topic] };
  return [
    events(s, "CrmEventsHotKeySkewHigh", {
      expr: promql`${compared(`kafka:group_skew_ratio${ofGroup}`)} > ${t.skew}`,
      reach: { op: ">", threshold: t.skew, extreme: s.kafka.partitions, because: `the largest of ${s.kafka.partitions} partitions has at most ${s.kafka.partitions} times the average`, key: "thresholds.skew" },
      for: "12m",
      severity: "warning",
      derived: group,
      summary: "One partition lags far more than the others",
      description: `The largest partition lag of {{ $labels.topic }} is {{ $value | printf "%.1f" }} times the average; the limit is ${t.skew}. A hot key is likely.`,
    }),
    events(s, "CrmEventsUnderReplicatedConsumers", {
      expr: promql`kafka:group_consumer_count${ofGroup} < ${t.minConsumers}`,
      reach: { op: "<", threshold: t.minConsumers, extreme: 0, because: "a group has no fewer than 0 members", key: "thresholds.minConsumers" },
      for: "7m",
      severity: "warning",
      derived: { consumergroup: [consumerGroup] },
      summary: `Fewer than ${t.minConsumers} consumers`,
      description: `The group ${consumerGroup} has {{ $value | printf "%.0f" }} members; it should have ${t.minConsumers} at least.`,
    }),
    events(s, "CrmEventsHighLag", {
      expr: promql`sum by (consumergroup) (kafka:group_lag_sum${ofGroup}) > ${t.lag}`,
      for: "5m",
      severity: "warning",
      derived: { consumergroup: [consumerGroup] },
      summary: `More than ${t.lag} events are waiting`,
      description: `{{ $value | printf "%.0f" }} messages are not handled yet by the group {{ $labels.consumergroup }}; the limit is ${t.lag}.`,
    }),
    events(s, "CrmEventsBackpressure", {
      expr: promql`
        ${compared(`kafka:topic_message_rate{topic="${s.kafka.topic}"}`)} > ${t.producedPerSecond}
          and on (topic) deriv(kafka:group_lag_sum${ofGroup}[5m]) > 0`,
      for: "5m",
      severity: "warning",
      derived: { topic: [s.kafka.topic] },
      summary: "Events are produced faster than they are handled",
      description: `{{ $value | printf "%.0f" }} messages per second are produced to {{ $labels.topic }} (limit ${t.producedPerSecond}) and the lag grows.`,
    }),
  ];
}

