/** What tests need to know of a classic dashboard: its panels, their queries, and the series and labels that those name. */
import { parser } from "@prometheus-io/lezer-promql";
import type { SyntaxNode } from "@lezer/common";
import type { Dashboard, Panel, RowPanel } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dataquery } from "@grafana/grafana-foundation-sdk/prometheus";

/** A panel with the dashboard that it is on. */
export interface PlacedPanel {
  readonly uid: string;
  readonly panel: Panel;
  readonly targets: readonly Dataquery[];
}

const isRow = (panel: Panel | RowPanel): panel is RowPanel => panel.type === "row";

/** Everything on the page, headings too. */
export const itemsOf = (json: string): (Panel | RowPanel)[] => (JSON.parse(json) as Dashboard).panels ?? [];

/** Panels without headings. */
export const panelsOf = (d: { uid: string; json: string }): PlacedPanel[] =>
  itemsOf(d.json)
    .filter((p): p is Panel => !isRow(p))
    .map((panel) => ({ uid: d.uid, panel, targets: (panel.targets ?? []) as Dataquery[] }));

/** Values for a dashboard's variables, and for Grafana's own. */
export type Values = Readonly<Record<string, string>>;

/** What Grafana puts in for its own variables, for a page of 6 hours. */
const grafana: Values = { __rate_interval: "1m", __interval: "30s", __range: "6h", __range_s: "21600" };

/**
 * A query as Grafana sends it.
 * @throws Error when a variable has no value
 */
export function expand(text: string, values: Values): string {
  const all: Values = { ...grafana, ...values };
  return text.replace(/\$\{(\w+)\}|\$([A-Za-z_]\w*)/g, (whole, braced?: string, bare?: string) => {
    const value = all[(braced ?? bare)!];
    if (value === undefined) throw new Error(`no value for ${whole} in ${text}`);
    return value;
  });
}

/** A selector of a query. */
export interface Selector {
  /** Its name; empty where the name is a pattern. */
  readonly metric: string;
  readonly labels: readonly string[];
}

/**
 * The selectors of a PromQL expression.
 * @throws Error that shows the place where the expression does not parse
 */
export function selectorsOf(expr: string): Selector[] {
  const found: Selector[] = [];
  parser.parse(expr).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`does not parse at "${expr.slice(Math.max(0, node.from - 20), node.to + 20)}": ${expr}`);
      if (node.name !== "VectorSelector") return;
      const text = (n: SyntaxNode) => expr.slice(n.from, n.to);
      const name = node.node.getChild("Identifier");
      const matchers = node.node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
      const parts = matchers.map((m) => ({ label: text(m.getChild("LabelName")!), is: m.getChild("MatchOp")!.getChild("EqlSingle") !== null, value: text(m.getChild("StringLiteral")!).slice(1, -1) }));
      // A metric may also be named among the matchers.
      const named = parts.find((m) => m.label === "__name__" && m.is)?.value ?? "";
      const labels = parts.map((m) => m.label).filter((label) => label !== "__name__");
      found.push({ metric: name ? text(name) : named, labels });
    },
  });
  return found;
}
