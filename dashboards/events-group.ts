/** Lines of the events page on the consumer group: lag, drain, size and balance. */
import type { Settings } from "../components/settings/schema.ts";
import { consumerGroup } from "../rules/events-service.ts";
import { promql, quoted } from "../rules/promql.ts";
import type { Line } from "./dashboard.ts";
import type { Panels } from "./panels.ts";
import { drainEta, drainRate, group, recorded } from "./queries.ts";
import { atLeast, atMost, colours, range } from "./style.ts";

/** Panels 13 to 19. */
export const groupLines = (s: Settings, panels: Panels): Line[] => [lag(s, panels), drain(s, panels), balance(s, panels)];

function lag(s: Settings, { timeseries }: Panels): Line {
  const t = s.thresholds;
  return {
    height: 8,
    panels: [
      timeseries({
        id: 13,
        title: "Consumer lag sum and drain rate",
        description: `Messages that the group has not committed yet, and by how many per second that falls (negative: it grows). An alert follows above ${t.lag}.`,
        unit: "short",
        width: 12,
        queries: [
          { expr: promql`${recorded.lagSum}{${group}}`, legend: "Lag", colour: colours.bad },
          { expr: drainRate, legend: "Drain per second", colour: colours.second },
        ],
        alerts: ["CrmEventsHighLag", "CrmEventsBackpressure"],
      }),
      timeseries({
        id: 17,
        title: "Per-partition lag",
        description: "Messages not committed yet in each partition. One line far above the others is a hot key or a stuck partition.",
        unit: "locale",
        min: 0,
        decimals: 0,
        width: 12,
        queries: [{ expr: promql`${recorded.partitionLag}{${group}}`, legend: "partition {{partition}}" }],
        alerts: ["CrmEventsPartitionStuck", "CrmEventsHotKeySkewHigh"],
      }),
    ],
  };
}

function drain(s: Settings, { stat, timeseries }: Panels): Line {
  return {
    height: 7,
    panels: [
      stat({
        id: 14,
        title: "Drain ETA",
        description: "Time until the backlog is gone at the present net rate; 0 when there is none.",
        unit: "s",
        decimals: 0,
        width: 6,
        steps: atMost(600, 60),
        mappings: [range(1e9, null, "Not draining", colours.bad)],
        queries: [{ expr: drainEta, legend: "Drain ETA" }],
        alerts: ["CrmEventsHighLag", "CrmEventsBackpressure"],
      }),
      timeseries({
        id: 15,
        title: "p95 lag across partitions",
        description: "The lag that 95 % of the partitions stay under.",
        unit: "locale",
        min: 0,
        decimals: 0,
        width: 6,
        queries: [{ expr: promql`${recorded.lagP95}{${group}}`, legend: "p95", colour: colours.second }],
        alerts: ["CrmEventsHighLag"],
      }),
      timeseries({
        id: 16,
        title: "Produced against consumed",
        description: "Messages per second that reach the topic, and that the group handles. The gap between the lines is what the lag grows by.",
        unit: "mps",
        min: 0,
        width: 12,
        queries: [
          { expr: promql`sum(${recorded.topicMessages}{topic=${quoted(s.kafka.topic)}})`, legend: "Produced", colour: colours.degraded },
          { expr: promql`sum(${recorded.messages})`, legend: "Consumed", colour: colours.second },
        ],
        alerts: ["CrmEventsBackpressure", "CrmEventsConsumerStuck"],
      }),
    ],
  };
}

function balance(s: Settings, { stat, timeseries }: Panels): Line {
  const t = s.thresholds;
  return {
    height: 7,
    panels: [
      stat({
        id: 18,
        title: "Consumer group size",
        description: `Members of the group ${consumerGroup}. At least ${t.minConsumers} are needed.`,
        unit: "locale",
        decimals: 0,
        width: 12,
        steps: atLeast(t.minConsumers),
        queries: [{ expr: promql`${recorded.consumers}{${group}}`, legend: "Members" }],
        alerts: ["CrmEventsUnderReplicatedConsumers", "HealthProbeUnknown"],
      }),
      timeseries({
        id: 19,
        title: "Hot-key skew ratio",
        description: `Highest lag of a partition over the average, at least ${t.skewMinAverageLag} messages. Dashed: an alert follows above ${t.skew}. It cannot exceed the number of partitions, ${s.kafka.partitions}.`,
        unit: "none",
        decimals: 2,
        min: 0,
        width: 12,
        steps: atMost(t.skew),
        limits: true,
        queries: [{ expr: promql`${recorded.skew}{${group}}`, legend: "Skew", colour: colours.second }],
        alerts: ["CrmEventsHotKeySkewHigh", "HealthProbeUnknown"],
      }),
    ],
  };
}
