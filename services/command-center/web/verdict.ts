/** The page in one sentence: what a person has to know who looks for a second. */
import type { Sections } from "../state.ts";
import type { Tone } from "./dom.ts";
import { plural } from "./format.ts";

export interface Verdict {
  readonly tone: Tone;
  readonly text: string;
}

/**
 * @param sections what is known; those that are missing were not read yet
 * @param offline whether the page's own server has been away for longer than a moment
 */
export function verdictOf(sections: Partial<Sections>, offline = false): Verdict {
  if (offline) return { tone: "unknown", text: "Unknown: no connection to the command center" };
  const { alerts } = sections;
  if (!alerts) return { tone: "unknown", text: "Loading…" };
  if (!alerts.ok) return { tone: "unknown", text: `Alerts unknown: Alertmanager ${alerts.problem ?? "does not answer"}` };
  if (alerts.value === null) return { tone: "unknown", text: "Loading…" };
  const { roots, muted, heartbeat, more } = alerts.value;
  const loud = roots.filter((a) => !a.silenced && a.severity !== "none");
  const critical = loud.filter((a) => a.severity === "critical");
  const first = (critical[0] ?? loud[0])?.summary || (critical[0] ?? loud[0])?.name;
  const mutes = muted > 0 ? `, ${muted} more muted` : "";
  if (critical.length > 0) return { tone: "critical", text: `${plural(critical.length, "critical alert")}${mutes}: ${first}` };
  if (!heartbeat) return { tone: "unknown", text: "Alerts unknown: the always-firing Watchdog is missing, so rules may not reach Alertmanager" };
  if (loud.length > 0) return { tone: "warning", text: `${plural(loud.length + more, "warning")}${mutes}: ${first}` };
  if (sections.feed && !sections.feed.ok) return { tone: "warning", text: `No alerts, but the event stream is away: crm-events ${sections.feed.problem ?? "does not answer"}` };
  if (sections.pipeline && !sections.pipeline.ok) return { tone: "warning", text: `No alerts, but figures are old: Prometheus ${sections.pipeline.problem ?? "does not answer"}` };
  const silenced = roots.length - loud.length;
  return { tone: "ok", text: silenced > 0 ? `All well, ${plural(silenced, "alert")} silenced` : "All well: no alerts" };
}
