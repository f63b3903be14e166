/** How old everything on the page is, source by source. */
import type { Freshness, Section, Sections, SourceName } from "../../state.ts";
import { ago, badge, el, spanText, type Child } from "../dom.ts";
import { plural } from "../format.ts";

export const sourceTitles: Readonly<Record<SourceName, string>> = {
  prometheus: "Prometheus",
  alertmanager: "Alertmanager",
  "crm-api": "crm-api",
  "crm-events": "crm-events",
  "slack-inbox": "Slack stand-in",
};

export function freshnessPanel(sections: Partial<Sections>): Child[] {
  const bySource = new Map<SourceName, Section<unknown>>();
  for (const section of Object.values(sections) as Section<unknown>[]) {
    const known = bySource.get(section.source);
    if (!known || !section.ok) bySource.set(section.source, section);
  }
  return [el("table", { class: "list" }, el("tbody", {}, ...[...bySource.values()].map(row))), ...rules(sections.freshness?.ok ? sections.freshness.value : null)];
}

function row({ source, ok, readAt, problem }: Section<unknown>): HTMLElement {
  return el("tr", {}, el("th", { scope: "row" }, sourceTitles[source]), el("td", {}, ok ? badge("ok", "Answers") : badge("critical", "Away")), el("td", { class: "soft" }, ok ? ago(readAt) : (problem ?? "")));
}

function rules(freshness: Freshness | null): Child[] {
  if (freshness === null) return [];
  const { groups, down, targets } = freshness;
  const stale = groups.filter((g) => g.stale);
  const oldest = groups[0];
  return [
    el(
      "p",
      {},
      stale.length > 0 ? badge("warning", "Old rules") : badge(oldest ? "ok" : "unknown", oldest ? "Rules current" : "No rules"),
      stale.length > 0 ? ` ${stale.map((g) => `${g.group} (${spanText(g.ageSeconds)})`).join(", ")}` : oldest ? ` ${plural(groups.length, "group")}, the oldest evaluated ${spanText(oldest.ageSeconds)} ago` : "",
    ),
    el("p", {}, down.length > 0 ? badge("warning", "Scrapes fail") : badge(targets > 0 ? "ok" : "unknown", targets > 0 ? "Scrapes current" : "No scrapes"), down.length > 0 ? ` ${down.join(", ")}` : ` ${targets - down.length} of ${plural(targets, "target")} answer`),
  ];
}
