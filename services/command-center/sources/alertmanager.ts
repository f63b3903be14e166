/** Active alerts as a tree: what nothing mutes on top, with what each one mutes below. */
import { z } from "zod";
import { httpAddress } from "../../shared/mrkdwn.ts";
import { cut } from "../cut.ts";
import type { Alerts, AlertView, Severity } from "../state.ts";
import { getJson } from "./get-json.ts";

const strings = z.record(z.string(), z.string());
const apiAlert = z.object({
  fingerprint: z.string(),
  startsAt: z.string(),
  labels: strings,
  annotations: strings,
  status: z.object({ inhibitedBy: z.array(z.string()), silencedBy: z.array(z.string()) }),
});
export type ApiAlert = z.infer<typeof apiAlert>;

const rootLimit = 100;
const mutedLimit = 50;
const textLimit = 600;
const urgency: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, none: 2 };

/**
 * Reads all active alerts, muted and silenced ones too.
 * @param uiUrl Alertmanager's address for people, for links to a new silence
 */
export async function readAlerts(url: string, uiUrl: string | undefined, timeoutMs: number): Promise<Alerts> {
  return toAlerts(await getJson(`${url}/api/v2/alerts`, z.array(apiAlert), timeoutMs), uiUrl);
}

/** @param alerts as Alertmanager's API lists them */
export function toAlerts(alerts: readonly ApiAlert[], uiUrl?: string): Alerts {
  const watchdog = (a: ApiAlert) => a.labels["alertname"] === "Watchdog";
  const shown = alerts.filter((a) => !watchdog(a));
  const byId = new Map(shown.map((a) => [a.fingerprint, a]));
  const mutedBy = new Map<string, ApiAlert[]>();
  const roots: ApiAlert[] = [];
  const orphans: ApiAlert[] = [];
  for (const a of shown) {
    if (a.status.inhibitedBy.length === 0) {
      roots.push(a);
      continue;
    }
    const root = rootOf(a, byId);
    if (root === undefined) orphans.push(a);
    else mutedBy.set(root.fingerprint, [...(mutedBy.get(root.fingerprint) ?? []), a]);
  }
  const view = (a: ApiAlert, mutes: readonly ApiAlert[] = []) => toView(a, uiUrl, mutes.map((m) => toView(m, uiUrl, [])).sort(byUrgency).slice(0, mutedLimit));
  const sorted = roots.map((a) => view(a, mutedBy.get(a.fingerprint))).sort(byUrgency);
  return {
    roots: sorted.slice(0, rootLimit),
    orphans: orphans.map((a) => view(a)).sort(byUrgency).slice(0, mutedLimit),
    muted: shown.length - roots.length,
    more: Math.max(0, roots.length - rootLimit),
    heartbeat: alerts.some(watchdog),
  };
}

/** Follows muted muters up to one that nothing mutes; a circle or a muter that is gone gives none. */
function rootOf(alert: ApiAlert, byId: ReadonlyMap<string, ApiAlert>): ApiAlert | undefined {
  const seen = new Set<string>();
  let current = alert;
  while (current.status.inhibitedBy.length > 0) {
    seen.add(current.fingerprint);
    const next = current.status.inhibitedBy.map((id) => byId.get(id)).find((a) => a !== undefined && !seen.has(a.fingerprint));
    if (next === undefined) return undefined;
    current = next;
  }
  return current;
}

/** Unsilenced before silenced, critical first, then what mutes most, then the oldest. */
function byUrgency(a: AlertView, b: AlertView): number {
  return Number(a.silenced) - Number(b.silenced) || urgency[a.severity] - urgency[b.severity] || b.mutes.length - a.mutes.length || a.startsAt.localeCompare(b.startsAt) || a.name.localeCompare(b.name);
}

function toView({ fingerprint, startsAt, labels, annotations, status }: ApiAlert, uiUrl: string | undefined, mutes: AlertView[]): AlertView {
  const severity = labels["severity"];
  const name = labels["alertname"] ?? "(no name)";
  return {
    id: fingerprint,
    name,
    severity: severity === "critical" || severity === "warning" ? severity : "none",
    service: labels["service"] ?? "",
    team: labels["team"] ?? "",
    scope: labels["tenant"] ?? labels["org_id"] ?? labels["instance"] ?? null,
    summary: cut(annotations["summary"] ?? "", textLimit),
    description: cut(annotations["description"] ?? "", textLimit),
    startsAt,
    silenced: status.silencedBy.length > 0,
    runbook: httpAddress(annotations["runbook_url"]) ?? null,
    dashboard: httpAddress(annotations["dashboard_url"]) ?? null,
    silence: uiUrl === undefined ? null : silenceLink(uiUrl, name, labels),
    mutes,
  };
}

/** Labels that say which of several subjects an alert is about. */
const subjects = ["service", "tenant", "org_id", "partition", "instance"];

/** Alertmanager's form for a new silence, filled in: of this subject alone. */
function silenceLink(uiUrl: string, name: string, labels: Readonly<Record<string, string>>): string {
  const matchers = [`alertname=${JSON.stringify(name)}`, ...subjects.flatMap((label) => (labels[label] === undefined ? [] : [`${label}=${JSON.stringify(labels[label])}`]))];
  return `${uiUrl.replace(/\/+$/, "")}/#/silences/new?filter=${encodeURIComponent(`{${matchers.join(",")}}`)}`;
}
