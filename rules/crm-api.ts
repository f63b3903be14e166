/** Alerts on how crm-api works: its link to QuickBooks, and the outbox to Kafka. */
import type { Settings } from "../components/settings/schema.ts";
import { alert, type OwnedAlertArgs } from "./alert.ts";
import { crmApi } from "./metrics.ts";
import { owners } from "./owners.ts";
import { promql } from "./promql.ts";
import type { Alert, RuleGroup } from "./types.ts";

/** The group of QuickBooks and outbox alerts. Replicas share one store, so their gauges agree up to a scrape. */
export function apiAlerts(s: Settings): RuleGroup {
  return { name: "crm_api.rules", file: "crm-api", rules: [...quickBooks(s), outbox(s)] };
}

const api = (s: Settings, name: string, args: OwnedAlertArgs): Alert =>
  alert(s, name, { owner: owners.crmApi, dashboard: "peakpro-crm-kpis", ...args });

const quickBooks = (s: Settings): Alert[] => [
  api(s, "QboTokenExpiring", {
    expr: promql`max(${crmApi.qboRefreshExpiry}) - time() < ${s.thresholds.qboTokenDays} * 86400`,
    severity: "warning",
    summary: "The QuickBooks authorisation expires soon",
    description: "The refresh token {{ if lt $value 0.0 }}has expired: {{ else }}expires in {{ $value | humanizeDuration }}; after that {{ end }}somebody must authorise the company again.",
  }),
  api(s, "QboSyncStale", {
    expr: promql`time() - max(${crmApi.qboLastSync}) > 3600`,
    for: "15m",
    severity: "warning",
    summary: "QuickBooks was not synchronised for an hour",
    description: "The last good synchronisation with QuickBooks ended {{ $value | humanizeDuration }} ago.",
  }),
  api(s, "QboRateLimited", {
    expr: promql`sum(rate(${crmApi.qboRateLimited}[5m])) > 0`,
    for: "10m",
    severity: "warning",
    summary: "QuickBooks limits our requests",
    description: 'QuickBooks has answered 429 for 10 minutes, now {{ $value | printf "%.3f" }} times per second.',
  }),
  api(s, "QboWritesFailed", {
    expr: promql`max(${crmApi.qboWritesFailed}) > 0`,
    for: "5m",
    severity: "warning",
    dashboard: "stack-self",
    summary: "QuickBooks refuses some of our writes for good",
    description: 'QuickBooks refused {{ $value | printf "%.0f" }} writes until they were given up: its books lack them until somebody sends them again.',
  }),
];

const outbox = (s: Settings): Alert =>
  api(s, "OutboxStuck", {
    expr: promql`max(${crmApi.outboxOldestAge}) > ${s.thresholds.outboxAgeSeconds}`,
    for: "2m",
    severity: "critical",
    dashboard: "stack-self",
    summary: "Events do not leave for Kafka",
    description: "The oldest event that Kafka has not acknowledged has waited for {{ $value | humanizeDuration }}.",
  });
