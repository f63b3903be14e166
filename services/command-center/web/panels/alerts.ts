/** Active alerts, root causes first, each with what it mutes. */
import type { Alerts, AlertView, Severity } from "../../state.ts";
import { badge, breakable, el, externalLink, since, type Child, type Tone } from "../dom.ts";
import { plural } from "../format.ts";

const tones: Readonly<Record<Severity, [Tone, string]>> = { critical: ["critical", "Critical"], warning: ["warning", "Warning"], none: ["unknown", "Info"] };

/** More muted alerts than this are folded away at first. */
const openMutedUpTo = 8;

export function alertsPanel({ roots, orphans, more, heartbeat }: Alerts): Child[] {
  return [
    !heartbeat && el("p", { class: "note" }, badge("unknown", "No heartbeat"), " The always-firing Watchdog is not among the alerts: rules may not be evaluated or may not reach Alertmanager."),
    roots.length === 0 ? el("p", { class: "calm" }, badge("ok", "None"), heartbeat ? " No alert is active, and the heartbeat of the alerting is there." : " No alert is active.") : el("ul", { class: "alerts" }, ...roots.map(card)),
    more > 0 && el("p", { class: "soft" }, `${plural(more, "more alert")} in Alertmanager.`),
    orphans.length > 0 && el("details", { "data-key": "orphans" }, el("summary", {}, `${plural(orphans.length, "alert")} muted by an alert that is gone`), el("ul", { class: "muted" }, ...orphans.map(mutedLine))),
  ];
}

function card(alert: AlertView): HTMLElement {
  const [tone, word] = tones[alert.severity];
  return el(
    "li",
    { class: `alert ${alert.silenced ? "silenced" : tone}` },
    el(
      "div",
      { class: "alert-head" },
      badge(alert.silenced ? "unknown" : tone, alert.silenced ? `${word}, silenced` : word),
      el("h3", {}, ...breakable(alert.name)),
      alert.mutes.length > 0 && el("span", { class: "chip" }, "Root cause"),
      el("span", { class: "soft since" }, since(alert.startsAt)),
    ),
    el("p", { class: "soft about" }, [alert.service, alert.scope !== alert.service ? alert.scope : null, alert.team && `team ${alert.team}`].filter(Boolean).join(" · ")),
    alert.summary !== "" && el("p", {}, alert.summary),
    alert.description !== "" && alert.description !== alert.summary && el("p", { class: "soft" }, alert.description),
    links(alert),
    alert.mutes.length > 0 &&
      el("details", { "data-key": `mutes-${alert.id}`, open: alert.mutes.length <= openMutedUpTo }, el("summary", { "data-key": `mutes-s-${alert.id}` }, `Mutes ${plural(alert.mutes.length, "alert")}`), el("ul", { class: "muted" }, ...alert.mutes.map(mutedLine))),
  );
}

function links(alert: AlertView): Child {
  const all: [string, string | null][] = [["Runbook", alert.runbook], ["Dashboard", alert.dashboard], ["Silence", alert.silence]];
  const there = all.filter(([, address]) => address !== null);
  return there.length > 0 && el("p", { class: "actions" }, ...there.map(([text, address]) => externalLink(text, address, `${text}-${alert.id}`)));
}

function mutedLine(alert: AlertView): HTMLElement {
  return el("li", {}, el("strong", {}, alert.name), " ", el("bdi", { class: "soft" }, [alert.summary, alert.scope].filter(Boolean).join(" · ")));
}
