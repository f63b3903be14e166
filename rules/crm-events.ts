/** Recording rules and alerts of the event service: its replicas, its clients and what they get. */
import type { Settings } from "../components/settings/schema.ts";
import { addressesOf } from "../components/topology.ts";
import { alert, percentReach, record } from "./alert.ts";
import { apiJustBack, eventsAlert as events, noReplica, ofJob, replicaUp } from "./events-service.ts";
import { crmEvents, healthProbe, stack } from "./metrics.ts";
import { owners } from "./owners.ts";
import { compared, promql } from "./promql.ts";
import type { Alert, RuleGroup } from "./types.ts";

const connected = promql`sum(crm_events:sse_clients:current) > 0`;

/** The group of the event service; alerts stand behind the series that they use, so that they see them at once. */
export function eventsGroup(s: Settings): RuleGroup {
  return {
    name: "crm_events",
    file: "crm-events",
    rules: [
      record("crm_events:messages:rate5m", "Messages handled and committed per second, by replica.", promql`rate(${crmEvents.messages}[5m])`),
      record("crm_events:http_requests:rate5m", "HTTP requests per second, by replica, path, method and status.", promql`rate(${crmEvents.httpRequests}[5m])`),
      record("crm_events:sse_clients:current", "Open event streams, by replica.", promql`${crmEvents.sseClients}`),
      record(
        "crm_events:slo:availability:5m",
        "Share of the last 5 minutes in which at least one replica answered, 0 to 1.",
        promql`avg_over_time(max by (job) (${replicaUp})[5m:15s])`,
      ),
      record("crm_events:slo:throughput:5m", "Messages handled and committed per second, over all replicas.", promql`sum(rate(${crmEvents.messages}[5m]))`),
      ...service(s),
      ...objectives(s),
      ...clients(s),
      ...pipeline(s),
    ],
  };
}

function service(s: Settings): Alert[] {
  return [
    events(s, "CrmEventsServiceDown", {
      expr: noReplica,
      for: "2m",
      severity: "critical",
      summary: "The event service does not work",
      labels: { cause: "no-replica" },
      description: 'No replica of crm-events has answered a scrape for 2 minutes ({{ $value | printf "%.0f" }} answered the last one): nobody receives events.',
    }),
    events(s, "CrmEventsNoMessages", {
      expr: promql`crm_events:slo:throughput:5m == 0 and ${connected} unless on () ${apiJustBack}`,
      for: "10m",
      severity: "warning",
      summary: "No events although clients are connected",
      description: 'Clients are connected, but {{ $value | printf "%.0f" }} messages per second were handled over 10 minutes.',
    }),
    events(s, "CrmEventsFrequentRestarts", {
      expr: promql`changes(${stack.processStart}${ofJob}[15m]) > ${s.thresholds.restarts}`,
      severity: "warning",
      derived: { instance: addressesOf(s, "crm-events") },
      summary: "The event service restarts again and again",
      description: '{{ $labels.instance }} has restarted {{ $value | printf "%.0f" }} times in 15 minutes.',
    }),
  ];
}

function objectives(s: Settings): Alert[] {
  const t = s.thresholds;
  return [
    events(s, "CrmEventsSLOAvailabilityBreach", {
      expr: promql`${compared("100 * crm_events:slo:availability:5m")} < ${t.availabilityPct}`,
      reach: percentReach("<", t.availabilityPct, "thresholds.availabilityPct"),
      for: "5m",
      severity: "critical",
      summary: `Availability of the event service is under ${t.availabilityPct} %`,
      description: `At least one replica answered in {{ $value | printf "%.2f" }} % of the last 5 minutes; the objective is ${t.availabilityPct} %.`,
    }),
    events(s, "CrmEventsSLOThroughputDegraded", {
      expr: promql`${compared("crm_events:slo:throughput:5m")} < ${t.throughputPerSecond} and ${connected} unless on () ${apiJustBack}`,
      for: "10m",
      severity: "warning",
      summary: `Fewer than ${t.throughputPerSecond} events per second with clients connected`,
      description: `{{ $value | printf "%.3f" }} events per second were handled over the last 5 minutes; the objective is ${t.throughputPerSecond}.`,
    }),
    events(s, "CrmEventsHighErrorRate", {
      expr: promql`
        ${compared('100 * sum(crm_events:http_requests:rate5m{status=~"5.."}) / sum(crm_events:http_requests:rate5m)')} > ${t.errorRatioPct}
          and ${compared("sum(crm_events:http_requests:rate5m)")} > ${t.errorMinRequestsPerSecond}`,
      reach: percentReach(">", t.errorRatioPct, "thresholds.errorRatioPct"),
      for: "5m",
      severity: "warning",
      summary: `More than ${t.errorRatioPct} % of the requests fail`,
      description: `{{ $value | printf "%.1f" }} % of the requests to crm-events were answered with a 5xx status over the last 5 minutes; the limit is ${t.errorRatioPct} %.`,
    }),
  ];
}

const clients = (s: Settings): Alert[] => [
  events(s, "CrmEventsNoClients", {
    expr: promql`sum(crm_events:sse_clients:current) == 0`,
    for: "10m",
    severity: "warning",
    summary: "No client is connected",
    description: '{{ $value | printf "%.0f" }} event streams were open for 10 minutes: nobody watches, or nobody can connect.',
  }),
  events(s, "CrmEventsTooManyClients", {
    expr: promql`sum(crm_events:sse_clients:current) > ${s.thresholds.maxClients}`,
    for: "5m",
    severity: "warning",
    summary: `More than ${s.thresholds.maxClients} clients are connected`,
    description: `{{ $value | printf "%.0f" }} event streams are open; the limit is ${s.thresholds.maxClients}.`,
  }),
];

function pipeline(s: Settings): Alert[] {
  const dead = crmEvents.deadLetters;
  return [
    events(s, "CrmEventsDeadLetters", {
      // A replica creates every series at 0 when it starts, but its first bad message may come before its first scrape,
      // and `increase` cannot see that: a series that is new, or that has not fallen over a restart, counts with its value.
      // It must be known that its replica is not: old ones that come into sight after a gap, or to a Prometheus that
      // starts fresh, are no news.
      expr: promql`
        sum(
          (${dead} unless ${dead} offset 10m and on (instance) ${replicaUp} offset 10m == 1)
            or (${dead} > 0 and on (instance) changes(${stack.processStart}${ofJob}[10m]) > 0)
            or increase(${dead}[10m])
        ) > 0`,
      severity: "warning",
      summary: "Events were parked in the dead-letter topic",
      description: '{{ $value | printf "%.0f" }} messages could not be handled in the last 10 minutes and were parked.',
    }),
    events(s, "CrmEventsFanoutLag", {
      expr: promql`sum by (instance) (${crmEvents.fanoutLag}) > ${s.thresholds.fanoutLag}`,
      for: "5m",
      severity: "warning",
      derived: { instance: addressesOf(s, "crm-events") },
      summary: "A replica sends events late",
      description: `The fan-out of {{ $labels.instance }} is {{ $value | printf "%.0f" }} messages behind; the limit is ${s.thresholds.fanoutLag}. Its clients see old events.`,
    }),
    events(s, "CrmEventsFanoutSilent", {
      // Some partitions only: when Kafka is away as a whole, CrmEventsServiceDown is told earlier and mutes this.
      expr: promql`max by (instance) (${crmEvents.fanoutSilent}) > 60`,
      for: "5m",
      severity: "warning",
      derived: { instance: addressesOf(s, "crm-events") },
      dashboard: "stack-self",
      summary: "A replica gets no answer about some partitions",
      description: "No broker has answered {{ $labels.instance }} about some partition for {{ $value | humanizeDuration }}: its clients miss the events there, and its lag does not tell.",
    }),
    alert(s, "HealthProbeUnknown", {
      owner: owners.healthProbe,
      dashboard: "crm-events-pipeline",
      expr: promql`${healthProbe.status}{verdict="unknown"} == 1`,
      for: "10m",
      severity: "warning",
      summary: "The health probe cannot tell whether consumers are well",
      description: 'The verdict has been `unknown` for 10 minutes (health_probe_status is {{ $value | printf "%.0f" }}): Prometheus does not answer the probe, or has no lag data.',
    }),
  ];
}
