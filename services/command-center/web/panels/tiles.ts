/** The figures at a glance. A tile's state is that of the alerts about it: the page never contradicts the alerting. */
import type { AlertView, Sections } from "../../state.ts";
import { badge, breakable, el } from "../dom.ts";
import { count, none, percent, points, ratio, setPercent } from "../format.ts";

interface Tile {
  readonly label: string;
  readonly value: string;
  readonly note: string;
  readonly alerts: readonly string[];
  /** The section that the value comes from. */
  readonly from: "pipeline" | "budget";
}

export function tiles(sections: Partial<Sections>): HTMLElement[] {
  const active = new Map<string, AlertView>();
  for (const root of sections.alerts?.value?.roots ?? []) for (const a of [root, ...root.mutes]) active.set(a.name, a);
  return tilesOf(sections).map((tile) => draw(tile, tile.alerts.map((name) => active.get(name)).find((a) => a !== undefined), sections[tile.from]?.ok === false && sections[tile.from]?.value !== null));
}

function tilesOf({ pipeline, budget }: Partial<Sections>): Tile[] {
  const p = pipeline?.value;
  const b = budget?.value;
  const left = b?.rate === null || b?.rate === undefined ? null : b.rate - b.target;
  return [
    { label: "Clients", value: count(p?.clients ?? null), note: "open event streams", from: "pipeline", alerts: ["CrmEventsNoClients", "CrmEventsTooManyClients"] },
    { label: "Events per second", value: ratio(p?.eventsPerSecond ?? null), note: "mean of 5 minutes", from: "pipeline", alerts: ["CrmEventsConsumerStuck", "CrmEventsNoMessages", "CrmEventsSLOThroughputDegraded"] },
    { label: "Lag", value: count(p?.lag ?? null), note: "messages to handle", from: "pipeline", alerts: ["CrmEventsPartitionStuck", "CrmEventsHighLag", "CrmEventsBackpressure"] },
    { label: "Skew", value: ratio(p?.skew ?? null), note: "fullest partition over mean", from: "pipeline", alerts: ["CrmEventsHotKeySkewHigh"] },
    { label: "Group members", value: count(p?.consumers ?? null), note: "consumers of the group", from: "pipeline", alerts: ["CrmEventsServiceDown", "CrmEventsUnderReplicatedConsumers"] },
    {
      label: "Error budget left",
      value: left === null ? none : points(left),
      note: b?.rate === null || b?.rate === undefined ? "no payment rate yet" : `rate ${percent(b.rate)}, target ${setPercent(b.target)}`,
      from: "budget",
      alerts: ["PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow", "LowInvoicePaymentRate"],
    },
  ];
}

function draw({ label, value, note }: Tile, alert: AlertView | undefined, stale: boolean): HTMLElement {
  const tone = alert?.severity === "critical" ? "critical" : "warning";
  return el(
    "div",
    { class: `tile${alert ? ` ${tone}` : ""}${stale ? " stale" : ""}` },
    el("h2", {}, label),
    el("p", { class: "figure" }, value),
    el("p", { class: "soft" }, stale ? "old figure" : note),
    alert && badge(tone, ...breakable(alert.name)),
  );
}
