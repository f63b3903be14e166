/** What the rules on the event service share: its job, its consumer group and who is told. */
import type { Settings } from "../components/settings/schema.ts";
import { parts } from "../components/topology.ts";
import { alert, type AlertArgs } from "./alert.ts";
import { stack } from "./metrics.ts";
import { owners } from "./owners.ts";
import { promql } from "./promql.ts";
import type { Alert } from "./types.ts";

/** The consumer group that handles events. */
export const consumerGroup = "crm-events-sse";
/** Selector of that group's series. */
export const ofGroup = `{consumergroup="${consumerGroup}"}`;

const job = parts["crm-events"].job;
/** Matcher of the service's own series. */
export const ofJob = `{job="${job}"}`;
/** Whether each replica answered its last scrape. */
export const replicaUp = promql`${stack.up}${ofJob}`;
/** Holds when no replica answers, or when Prometheus has no target of the service at all. */
export const noReplica = promql`(max(${replicaUp}) or vector(0)) == 0`;

/**
 * Holds for 5 minutes after an alert has ended. What it muted and what is judged by a window of 5 minutes would otherwise
 * be told as soon as the outage is over, because the window still holds it.
 */
function justOver(alertname: string): string {
  const fires = promql`${stack.alerts}{alertname="${alertname}",alertstate="firing"}`;
  // Whatever its labels: while it fires for one reason, its end for another one does not count.
  return promql`(last_over_time(${fires}[5m]) unless on () ${fires})`;
}
export const apiJustBack = justOver("CrmApiDown");
export const serviceJustBack = justOver("CrmEventsServiceDown");

/** An alert of the event service. */
export const eventsAlert = (s: Settings, name: string, args: Omit<AlertArgs, "owner" | "dashboard">): Alert =>
  alert(s, name, { owner: owners.crmEvents, dashboard: "crm-events-pipeline", ...args });
