/** Labels with which alerts arrive at Alertmanager. */
import { flatten, type Routing } from "./routing.ts";
import type { Alert, Labels } from "./types.ts";

/** One example: the fixed labels, and the first value of each that the series bring along. */
export const sampleLabels = (a: Alert): Labels => ({
  ...Object.fromEntries(Object.entries(a.derived).map(([name, values]) => [name, values[0]!])),
  ...a.labels,
  alertname: a.alert,
});

/** Every example that routes tell apart: all combinations of the labels that some matcher looks at. */
export function routedLabels(a: Alert, { root }: Pick<Routing, "root">): Labels[] {
  const names = new Set(flatten(root).flatMap((r) => r.matchers.map((m) => m.label)));
  return Object.entries(a.derived)
    .filter(([name]) => names.has(name))
    .reduce<Labels[]>((list, [name, values]) => list.flatMap((labels) => values.map((value) => ({ ...labels, [name]: value }))), [sampleLabels(a)]);
}
