import { describe, expect, it } from "vitest";
import { toAlerts } from "../../../services/command-center/sources/alertmanager.ts";
import type { Section, Sections } from "../../../services/command-center/state.ts";
import { verdictOf } from "../../../services/command-center/web/verdict.ts";
import { apiAlert, watchdog } from "./fakes.ts";

const section = <T>(value: T, problem: string | null = null): Section<T> => ({ source: "alertmanager", ok: problem === null, readAt: "2026-01-01T00:00:00Z", problem, value });
const alerts = (...list: Parameters<typeof toAlerts>[0]): Partial<Sections> => ({ alerts: section(toAlerts([watchdog(), ...list])) });

describe("verdictOf", () => {
  it("claims nothing while the page's own server is away", () => {
    expect(verdictOf(alerts(), true)).toEqual({ tone: "unknown", text: "Unknown: no connection to the command center" });
  });

  it.each<[string, Partial<Sections>, string, RegExp]>([
    ["nothing read", {}, "unknown", /^Loading/],
    ["no alerts", alerts(), "ok", /^All well: no alerts$/],
    ["a root cause", alerts(apiAlert("CrmApiDown", "critical"), apiAlert("OutboxStuck", "critical", { inhibitedBy: ["CrmApiDown"] }), apiAlert("X", "warning")), "critical", /^1 critical alert, 1 more muted: CrmApiDown summary$/],
    ["warnings", alerts(apiAlert("A", "warning"), apiAlert("B", "warning")), "warning", /^2 warnings: /],
    ["silenced ones only", alerts(apiAlert("A", "critical", { silencedBy: ["s"] })), "ok", /^All well, 1 alert silenced$/],
    ["no heartbeat", { alerts: section(toAlerts([])) }, "unknown", /Watchdog is missing/],
    ["no heartbeat, yet a critical alert", { alerts: section(toAlerts([apiAlert("A", "critical")])) }, "critical", /^1 critical/],
    ["no Alertmanager, whatever was there before", { alerts: section(toAlerts([watchdog()]), "refuses the connection") }, "unknown", /^Alerts unknown: Alertmanager refuses the connection$/],
    ["no event stream", { ...alerts(), feed: section({ connected: false, lastEventAt: null }, "answers 503") }, "warning", /event stream is away: crm-events answers 503/],
    ["no Prometheus", { ...alerts(), pipeline: section(null as never, "does not answer in time") }, "warning", /figures are old: Prometheus does not answer in time/],
  ])("with %s", (_case, sections, tone, text) => {
    const verdict = verdictOf(sections);
    expect(verdict.tone).toBe(tone);
    expect(verdict.text).toMatch(text);
  });
});
