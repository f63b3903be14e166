/** What an operator of the event service needs to know before anything else, as Markdown. */
import type { Settings } from "../components/settings/schema.ts";
import { parts } from "../components/topology.ts";

const runbooks = ["CrmEventsServiceDown", "CrmEventsConsumerStuck", "CrmEventsPartitionStuck", "CrmEventsHotKeySkewHigh", "CrmEventsHighLag"];

/** Endpoints, objectives and runbook links. */
export function serviceInfo(s: Settings): string {
  const t = s.thresholds;
  const port = parts["crm-events"].port;
  return [
    "**Endpoints** (port " + port + ")",
    "",
    "- `/crm-events`: the stream; `Last-Event-ID` resumes it",
    "- `/crm-events/history?n=100`: the newest events",
    "- `/healthz`, `/metrics`",
    `- [Command center](${s.urls.commandCenter}/ops/crm-events)`,
    "",
    "**Objectives**",
    "",
    `- Availability: ${t.availabilityPct} % over 5 minutes`,
    `- Throughput: at least ${t.throughputPerSecond} events/s while clients are connected`,
    "- Delivery: under 100 ms",
    `- Balance: skew at most ${t.skew}, at least ${t.minConsumers} consumers`,
    "",
    "**Runbooks**",
    "",
    ...runbooks.map((alert) => `- [${alert}](${s.urls.runbooks}/${alert}.md)`),
  ].join("\n");
}
