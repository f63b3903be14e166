/** Which section is read from which source. */
import type { z } from "zod";
import type { Reader } from "./collector.ts";
import type { commandCenterEnv } from "./env.ts";
import { readAlerts } from "./sources/alertmanager.ts";
import { prometheusSource } from "./sources/prometheus.ts";
import { readQbo } from "./sources/qbo.ts";
import { readInbox } from "./sources/slack-inbox.ts";

/** A source that takes longer than this counts as not answering. */
const timeoutMs = 2500;

/** @returns the sections' readers; without a Slack stand-in there is no inbox */
export function readersOf(env: z.output<typeof commandCenterEnv>): Record<string, Reader> {
  const prometheus = prometheusSource({ url: env.PROMETHEUS_URL, group: env.CONSUMER_GROUP, targetPct: env.PAYMENT_SLO_PCT, timeoutMs });
  const alertmanagerUi = Object.entries(env.LINKS).find(([name]) => name.toLowerCase() === "alertmanager")?.[1];
  const inbox = env.SLACK_INBOX_URL;
  return {
    pipeline: { source: "prometheus", read: () => prometheus.pipeline() },
    alerts: { source: "alertmanager", read: () => readAlerts(env.ALERTMANAGER_URL, alertmanagerUi, timeoutMs) },
    budget: { source: "prometheus", read: () => prometheus.budget() },
    freshness: { source: "prometheus", read: () => prometheus.freshness() },
    trends: { source: "prometheus", read: () => prometheus.trends(), everyRounds: 6 },
    qbo: { source: "crm-api", read: () => readQbo(env.CRM_API_URL, timeoutMs) },
    ...(inbox !== undefined && { inbox: { source: "slack-inbox", read: () => readInbox(inbox, timeoutMs) } }),
  };
}
