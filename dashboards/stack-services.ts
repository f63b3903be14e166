/** Sections of the self-monitoring page on the services: CRM API, event delivery, Kafka. */
import type { Settings } from "../components/settings/schema.ts";
import { crmApi, crmEvents, healthProbe, kafka } from "../rules/metrics.ts";
import { promql, quoted } from "../rules/promql.ts";
import type { Line, Section } from "./dashboard.ts";
import type { Panels } from "./panels.ts";
import { deliveryLatency, orZero, quantileOf, rateBy, recorded } from "./queries.ts";
import { atLeast, atMost, colours, states } from "./style.ts";

/** Sections with headings 102 to 104. */
export const serviceSections = (s: Settings, panels: Panels): Section[] => [
  { heading: [102, "CRM API, outbox and QuickBooks"], lines: [outbox(s, panels), api(s, panels)] },
  { heading: [103, "Event delivery and health probe"], lines: [delivery(s, panels), streams(panels), probe(panels)] },
  { heading: [104, "Kafka"], lines: [broker(s, panels)] },
];

function outbox(s: Settings, { stat, timeseries }: Panels): Line {
  const limit = s.thresholds.outboxAgeSeconds;
  return {
    height: 8,
    panels: [
      stat({
        id: 20,
        title: "Oldest unsent event",
        description: "How long the oldest event has waited for Kafka's acknowledgement; 0 when none waits.",
        unit: "s",
        decimals: 0,
        width: 4,
        steps: atMost(limit, limit / 5),
        queries: [{ expr: promql`max(${crmApi.outboxOldestAge})`, legend: "Oldest" }],
        alerts: ["OutboxStuck"],
      }),
      timeseries({
        id: 21,
        title: "Outbox",
        description: "Events that wait, events that Kafka acknowledged per second, and attempts that failed per second.",
        unit: "short",
        min: 0,
        width: 10,
        queries: [
          { expr: promql`max(${crmApi.outboxDepth})`, legend: "waiting", colour: colours.degraded },
          { expr: promql`sum(rate(${crmApi.outboxPublished}[$__rate_interval]))`, legend: "sent per second", colour: colours.second },
          { expr: promql`sum(rate(${crmApi.outboxFailures}[$__rate_interval]))`, legend: "failed per second", colour: colours.bad },
        ],
        alerts: ["OutboxStuck"],
      }),
      timeseries({
        id: 22,
        title: "QuickBooks calls",
        description: "Calls to QuickBooks per minute by operation and outcome.",
        unit: "suffix: /min",
        min: 0,
        width: 10,
        queries: [{ expr: orZero(promql`60 * sum by (operation, status) (rate(${crmApi.qboRequests}[$__rate_interval]))`, "crm-api"), legend: "{{operation}} {{status}}" }],
        alerts: ["QboRateLimited", "QboSyncStale"],
      }),
    ],
  };
}

const api = (s: Settings, { stat, timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    stat({
      id: 23,
      title: "QuickBooks authorisation",
      description: "Time until the refresh token expires. It is renewed with each use; when it has expired somebody must authorise the company again.",
      unit: "s",
      decimals: 0,
      width: 4,
      noValue: "Not connected",
      steps: atLeast(s.thresholds.qboTokenDays * 86_400),
      queries: [{ expr: promql`max(${crmApi.qboRefreshExpiry}) - time()`, legend: "Expires in" }],
      alerts: ["QboTokenExpiring"],
    }),
    stat({
      id: 38,
      title: "QuickBooks writes given up",
      description: "Writes that QuickBooks refused until they were given up; they wait for `POST /qbo/writes/retry`.",
      unit: "none",
      decimals: 0,
      width: 4,
      steps: atMost(1),
      queries: [{ expr: promql`max(${crmApi.qboWritesFailed})`, legend: "Given up" }],
      alerts: ["QboWritesFailed"],
    }),
    timeseries({
      id: 24,
      title: "API latency (p95) by route",
      description: "95 % of the requests to each route were answered faster, over 5 minutes.",
      unit: "s",
      min: 0,
      width: 8,
      queries: [{ expr: quantileOf(0.95, crmApi.httpDuration, "route"), legend: "{{route}}" }],
    }),
    timeseries({
      id: 25,
      title: "API answers by status",
      description: "Requests answered per second by status.",
      unit: "reqps",
      min: 0,
      width: 8,
      queries: [{ expr: rateBy(crmApi.httpRequests, "status"), legend: "{{status}}" }],
    }),
  ],
});

function delivery(s: Settings, { timeseries }: Panels): Line {
  return {
    height: 8,
    panels: [
      timeseries({
        id: 26,
        title: "Delivery latency",
        description: "From an event's own time to its write to the clients. The target is 100 ms (dashed).",
        unit: "s",
        min: 0,
        width: 8,
        steps: atMost(0.1),
        limits: true,
        queries: [
          { expr: deliveryLatency(0.5), legend: "p50", colour: colours.neutral },
          { expr: deliveryLatency(0.95), legend: "p95", colour: colours.second },
          { expr: deliveryLatency(0.99), legend: "p99", colour: colours.bad },
        ],
      }),
      timeseries({
        id: 27,
        title: "Fan-out lag by replica",
        description: `Messages that each replica's fan-out has not read yet. An alert follows above ${s.thresholds.fanoutLag}.`,
        unit: "locale",
        min: 0,
        decimals: 0,
        width: 8,
        queries: [{ expr: promql`sum by (instance) (${crmEvents.fanoutLag})`, legend: "{{instance}}" }],
        alerts: ["CrmEventsFanoutLag"],
      }),
      timeseries({
        id: 39,
        title: "Fan-out without an answer, by replica",
        description: "How long brokers have left each replica's fan-out without an answer about its worst partition; 0 while answers come.",
        unit: "s",
        min: 0,
        width: 8,
        queries: [{ expr: promql`max by (instance) (${crmEvents.fanoutSilent})`, legend: "{{instance}}" }],
        alerts: ["CrmEventsFanoutSilent"],
      }),
    ],
  };
}

const streams = ({ timeseries, timeline }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 28,
      title: "Dropped clients and dead letters",
      description: "Streams that the server closed, and messages parked in the dead-letter topic, per minute and reason.",
      unit: "suffix: /min",
      min: 0,
      width: 8,
      queries: [
        { expr: orZero(promql`60 * sum by (reason) (rate(${crmEvents.droppedClients}[$__rate_interval]))`, "crm-events"), legend: "dropped {{reason}}" },
        { expr: orZero(promql`60 * sum by (reason) (rate(${crmEvents.deadLetters}[$__rate_interval]))`, "crm-events"), legend: "parked {{reason}}" },
      ],
      alerts: ["CrmEventsDeadLetters"],
    }),
    timeseries({
      id: 29,
      title: "Bytes to clients",
      description: "Bytes per second that each replica writes to event streams.",
      unit: "Bps",
      min: 0,
      width: 8,
      queries: [{ expr: rateBy(crmEvents.sseBytes, "instance"), legend: "{{instance}}" }],
    }),
    timeline({
      id: 30,
      title: "Circuit breaker to Kafka",
      description: "Whether each replica is kept from Kafka by its circuit breaker.",
      unit: "none",
      width: 8,
      mappings: [states({ "0": ["closed", colours.good], "1": ["OPEN", colours.bad] })],
      queries: [{ expr: crmEvents.circuitOpen.name, legend: "{{instance}}" }],
      alerts: ["CrmEventsServiceDown"],
    }),
  ],
});

const probe = ({ timeline, timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeline({
      id: 31,
      title: "Verdict of the health probe",
      description: "Which verdict on the consumer group held when.",
      unit: "none",
      width: 12,
      mappings: [states({ "0": ["-", colours.off], "1": ["holds", colours.second] })],
      queries: [{ expr: promql`max by (verdict) (${healthProbe.status})`, legend: "{{verdict}}" }],
      alerts: ["HealthProbeUnknown"],
    }),
    timeseries({
      id: 32,
      title: "Health probe polls",
      description: "Polls of Prometheus, repeats and time-outs per minute.",
      unit: "suffix: /min",
      min: 0,
      width: 6,
      queries: [
        { expr: promql`60 * sum(rate(${healthProbe.checks}[$__rate_interval]))`, legend: "polls", colour: colours.second },
        { expr: promql`60 * sum(rate(${healthProbe.retries}[$__rate_interval]))`, legend: "repeats", colour: colours.degraded },
        { expr: promql`60 * sum(rate(${healthProbe.timeouts}[$__rate_interval]))`, legend: "time-outs", colour: colours.bad },
      ],
      alerts: ["HealthProbeUnknown"],
    }),
    timeseries({
      id: 33,
      title: "Age of the verdict and poll time",
      description: "How old the verdict is that readiness answers with, and how long 95 % of the polls take at most.",
      unit: "s",
      min: 0,
      width: 6,
      queries: [
        { expr: promql`max(${healthProbe.verdictAge})`, legend: "age", colour: colours.second },
        { expr: quantileOf(0.95, healthProbe.duration), legend: "poll p95", colour: colours.degraded },
      ],
      alerts: ["HealthProbeUnknown"],
    }),
  ],
});

function broker(s: Settings, { stat, timeseries }: Panels): Line {
  const topic = `topic=${quoted(s.kafka.topic)}`;
  return {
    height: 7,
    panels: [
      stat({
        id: 34,
        title: "Brokers",
        description: "Brokers that the exporter sees in the cluster.",
        unit: "none",
        decimals: 0,
        width: 4,
        steps: atLeast(1),
        queries: [{ expr: promql`max(${kafka.brokers})`, legend: "Brokers" }],
        alerts: ["TargetDown"],
      }),
      stat({
        id: 35,
        title: "Under-replicated partitions",
        description: "Partitions of all topics that lack a replica.",
        unit: "none",
        decimals: 0,
        width: 4,
        steps: atMost(1),
        queries: [{ expr: promql`sum(${kafka.underReplicated})`, legend: "Partitions" }],
      }),
      timeseries({
        id: 36,
        title: "Messages produced",
        description: "Messages per second that reach each topic.",
        unit: "mps",
        min: 0,
        width: 8,
        queries: [{ expr: recorded.topicMessages, legend: "{{topic}}" }],
        alerts: ["CrmEventsBackpressure"],
      }),
      timeseries({
        id: 37,
        title: "Bytes produced",
        description: "Bytes per second that the CRM's outbox sends to the topic, keys and values.",
        unit: "Bps",
        min: 0,
        width: 8,
        queries: [{ expr: promql`${recorded.topicBytes}{${topic}}`, legend: "{{topic}}" }],
      }),
    ],
  };
}
