/** What the rules on the event service share: its job, its consumer group and who is told. */
import type { Settings } from "../components/settings/schema.ts";
import { parts } from "../components/topology.ts";
import { alert, firing, type OwnedAlertArgs } from "./alert.ts";
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

const apiDownFires = firing("CrmApiDown");
/**
 * Holds for 5 minutes after CrmApiDown has ended. What it muted and what is judged by a rate over 5 minutes would
 * otherwise be told as soon as the API is back, because the window still holds the outage.
 */
export const apiJustBack = promql`(last_over_time(${apiDownFires}[5m]) unless ${apiDownFires})`;

/** An alert of the event service. */
export const eventsAlert = (s: Settings, name: string, args: OwnedAlertArgs): Alert =>
  alert(s, name, { owner: owners.crmEvents, dashboard: "crm-events-pipeline", ...args });
