/** Lag per partition, as bars with their numbers. */
import type { Pipeline } from "../../state.ts";
import { el, type Child } from "../dom.ts";
import { count, plural, ratio } from "../format.ts";

/** Bars are full at the largest lag, but at no less than this, so that a handful of messages looks like a handful. */
const smallestScale = 20;

export function partitionsPanel({ partitions, lag, skew }: Pipeline): Child[] {
  if (partitions.length === 0) return [el("p", { class: "soft" }, "No lag is recorded for the group: it has not joined yet, or kafka-exporter does not see it.")];
  const scale = Math.max(smallestScale, ...partitions.map((p) => p.lag));
  const rows = partitions.map((p) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = p.lag === 0 ? "0" : `max(2px, ${(p.lag / scale) * 100}%)`;
    return el("tr", {}, el("th", { scope: "row" }, String(p.partition)), el("td", { class: "bar-cell" }, bar), el("td", { class: "number" }, count(p.lag)));
  });
  return [
    el("p", { class: "soft" }, `${plural(lag ?? 0, "message")} over ${plural(partitions.length, "partition")}, skew ${ratio(skew)}`),
    el("div", { class: "scroll", tabindex: partitions.length > 12 ? 0 : null, "data-key": "partitions" }, el("table", { class: "bars" }, el("thead", { class: "visually-hidden" }, el("tr", {}, el("th", {}, "Partition"), el("th", {}, "Bar"), el("th", {}, "Messages behind"))), el("tbody", {}, ...rows))),
  ];
}
