/** CRM Events - Kafka SSE Pipeline: from the topic over the consumer group to the clients. */
import type { Settings } from "../components/settings/schema.ts";
import { crmEvents, stack } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import { alertTable } from "./alert-table.ts";
import { dashboard, type Dashboard, type Line } from "./dashboard.ts";
import { groupLines } from "./events-group.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { eventsUp, jobOf, recorded } from "./queries.ts";
import { serviceInfo } from "./service-info.ts";
import { atLeast, cellColour, colours, range, upDown } from "./style.ts";

const job = jobOf("crm-events");

export function eventsPipeline(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "crm-events-pipeline",
    title: "CRM Events - Kafka SSE Pipeline",
    folder: "AetherLink",
    description: "Events from Kafka to the browsers: clients, throughput, availability, and the lag and balance of the consumer group.",
    from: "now-1h",
    alerts: 'service=~"crm-events.*"',
    sections: [
      {
        lines: [keyMetrics(s, panels), throughput(s, panels), http(panels), details(s, panels), ...groupLines(s, panels), info(s, panels)],
      },
    ],
  });
}

function keyMetrics(s: Settings, { stat, gauge }: Panels): Line {
  const t = s.thresholds;
  return {
    height: 5,
    panels: [
      stat({
        id: 1,
        title: "SSE clients connected",
        description: `Open event streams on all replicas. None is bad, more than ${t.maxClients} is over the measured limit.`,
        unit: "locale",
        decimals: 0,
        width: 6,
        filled: true,
        steps: [
          { value: null, color: colours.bad },
          { value: 1, color: colours.good },
          { value: t.maxClients, color: colours.notice },
        ],
        queries: [{ expr: promql`sum(${recorded.clients})`, legend: "Clients" }],
        alerts: ["CrmEventsNoClients", "CrmEventsTooManyClients"],
      }),
      stat({
        id: 2,
        title: "Service status",
        description: "UP when every replica's scrape answers, DEGRADED when some do, DOWN when none does.",
        unit: "percentunit",
        width: 6,
        filled: true,
        steps: atLeast(1),
        mappings: [upDown, range(0.001, 0.999, "DEGRADED", colours.degraded)],
        queries: [{ expr: eventsUp, legend: "Replicas up" }],
        alerts: ["CrmEventsServiceDown", "ServiceReplicaDown"],
      }),
      stat({
        id: 3,
        title: "Messages total",
        description: "Messages that the consumer group has handled and committed since the running replicas started; grey while there is none.",
        unit: "locale",
        decimals: 0,
        width: 6,
        steps: [
          { value: null, color: colours.off },
          { value: 1, color: colours.good },
        ],
        queries: [{ expr: promql`sum(${crmEvents.messages})`, legend: "Messages" }],
        alerts: ["CrmEventsNoMessages", "CrmEventsConsumerStuck", "CrmEventsDeadLetters"],
      }),
      gauge({
        id: 4,
        title: "Availability SLO",
        description: `Share of the last 5 minutes in which at least one replica answered. Target ${t.availabilityPct} %.`,
        unit: "percentunit",
        decimals: 1,
        min: 0,
        max: 1,
        width: 6,
        steps: atLeast(t.availabilityPct / 100),
        queries: [{ expr: promql`min(${recorded.availability})`, legend: "Availability" }],
        alerts: ["CrmEventsSLOAvailabilityBreach"],
      }),
    ],
  };
}

function throughput(s: Settings, { timeseries }: Panels): Line {
  const t = s.thresholds;
  return {
    height: 8,
    panels: [
      timeseries({
        id: 5,
        title: "Message throughput",
        description: `Messages handled per second over 5 minutes, all replicas. Dashed: with clients connected an alert follows below ${t.throughputPerSecond}/s.`,
        unit: "mps",
        min: 0,
        width: 12,
        steps: atLeast(t.throughputPerSecond),
        limits: true,
        queries: [{ expr: promql`sum(${recorded.messages})`, legend: "Handled", colour: colours.second }],
        alerts: ["CrmEventsNoMessages", "CrmEventsSLOThroughputDegraded"],
      }),
      timeseries({
        id: 6,
        title: "SSE clients over time",
        description: "Open event streams of each replica.",
        unit: "locale",
        min: 0,
        decimals: 0,
        width: 12,
        queries: [{ expr: crmEvents.sseClients.name, legend: "{{instance}}" }],
        alerts: ["CrmEventsNoClients", "CrmEventsTooManyClients", "CrmEventsFanoutLag"],
      }),
    ],
  };
}

const http = ({ timeseries, timeline }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 7,
      title: "HTTP requests by endpoint",
      description: "Requests answered per second over 5 minutes, by path and method; a stream counts when it starts.",
      unit: "reqps",
      min: 0,
      width: 12,
      queries: [{ expr: promql`sum by (path, method) (${recorded.httpRequests})`, legend: "{{method}} {{path}}" }],
      alerts: ["CrmEventsHighErrorRate"],
    }),
    timeline({
      id: 8,
      title: "Service uptime",
      description: "Whether the scrape of each replica answered.",
      unit: "none",
      min: 0,
      max: 1,
      width: 12,
      steps: atLeast(1),
      mappings: [upDown],
      queries: [{ expr: promql`${stack.up}{${job}}`, legend: "{{instance}}" }],
      alerts: ["CrmEventsServiceDown", "CrmEventsFrequentRestarts"],
    }),
  ],
});

function details(s: Settings, { table, gauge }: Panels): Line {
  const least = s.thresholds.throughputPerSecond;
  // Where more is asked for than is usual, the dial goes on.
  const most = Math.max(10, 2 * least);
  return {
    height: 8,
    panels: [
      table({
        id: 9,
        title: "Service labels & metadata",
        description: "The labels that Prometheus gives to each replica, whether it is up, and how long its process runs.",
        unit: "none",
        width: 16,
        queries: [
          { expr: promql`${stack.up}{${job}}`, legend: "{{instance}}" },
          { expr: promql`time() - ${stack.processStart}{${job}}`, legend: "{{instance}}" },
        ],
        transformations: [
          { id: "joinByField", options: { byField: "instance", mode: "outer" } },
          {
            id: "organize",
            options: {
              excludeByName: Object.fromEntries(["Time", "Time 1", "Time 2", "__name__", "__name__ 1", "__name__ 2", "job 2", "service 2", "team 2", "product 2"].map((name) => [name, true])),
              renameByName: { instance: "Replica", "job 1": "job", "service 1": "service", "team 1": "team", "product 1": "product", "Value #A": "State", "Value #B": "Running for" },
              indexByName: {},
            },
          },
        ],
        overrides: [
          {
            column: "State",
            properties: [
              { id: "mappings", value: [upDown] },
              cellColour,
            ],
          },
          { column: "Running for", properties: [{ id: "unit", value: "s" }] },
        ],
        alerts: ["CrmEventsFrequentRestarts"],
      }),
      gauge({
        id: 10,
        title: "Message rate gauge",
        description: `Messages handled per second against the usual range of ${least} to ${most}.`,
        unit: "mps",
        decimals: 2,
        min: 0,
        max: most,
        width: 8,
        steps: atLeast(least),
        queries: [{ expr: recorded.throughput, legend: "Rate" }],
        alerts: ["CrmEventsSLOThroughputDegraded"],
      }),
    ],
  };
}

const info = (s: Settings, panels: Panels): Line => ({
  height: 10,
  panels: [
    panels.text({ id: 11, title: "Service info", description: "Endpoints, objectives and runbooks of the event service.", width: 10, markdown: serviceInfo(s) }),
    alertTable(panels, {
      id: 12,
      title: "Active alerts",
      description: "Alerts of the event service and its health probe that are pending or fire. Each name leads to its runbook.",
      width: 14,
      matchers: 'service=~"crm-events.*"',
      runbooks: s.urls.runbooks,
    }),
  ],
});
