/** What a dashboard's query would be without recording rules: over the metrics as they are scraped. */
import { parser } from "@prometheus-io/lezer-promql";
import type { SyntaxNode } from "@lezer/common";
import type { Settings } from "../../components/settings/schema.ts";
import { paymentRate, paymentRateOverTime, recorded } from "../../dashboards/queries.ts";
import { recordings } from "../../rules/index.ts";
import { allMetrics, crmApi, type MetricSpec } from "../../rules/metrics.ts";
import { promql } from "../../rules/promql.ts";

/** Recorded sums of a window: the rules compute them from copies of their own, a query would by `increase()`. */
const gains: Readonly<Record<string, readonly [counter: MetricSpec, window: string, divisor: number]>> = {
  [recorded.leads24h]: [crmApi.leads, "24h", 1],
  [recorded.proposals24h]: [crmApi.proposals, "24h", 1],
  [recorded.payments24h]: [crmApi.payments, "24h", 1],
  [recorded.created24h]: [crmApi.invoicesGenerated, "24h", 1],
  [recorded.paid24h]: [crmApi.invoicesPaid, "24h", 1],
  [recorded.revenue]: [crmApi.paymentsCents, "24h", 100],
  [recorded.created30d]: [crmApi.invoicesGenerated, "30d", 1],
  [recorded.paid30d]: [crmApi.invoicesPaid, "30d", 1],
};
const labelsOf = new Map(allMetrics.map((m) => [m.name, m.labels]));

/** How often a subquery in place of a recorded series is evaluated: as often as the rules are. */
const step = "30s";

interface Selector {
  readonly name: string;
  /** Matchers but the name's, as text. */
  readonly matchers: readonly string[];
  /** The range behind it, such as `5m`; empty when there is none. */
  readonly range: string;
  readonly from: number;
  readonly to: number;
}

function selectors(expr: string): Selector[] {
  const found: Selector[] = [];
  const text = (n: SyntaxNode | null) => (n === null ? "" : expr.slice(n.from, n.to));
  parser.parse(expr).iterate({
    enter: ({ name, node }) => {
      if (name !== "VectorSelector") return;
      const matchers = (node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? []).map(text);
      const outer = node.parent?.name === "MatrixSelector" ? node.parent : node;
      const range = /\[(\w+)\]$/.exec(text(outer))?.[1] ?? "";
      found.push({ name: text(node.getChild("Identifier")), matchers, range, from: outer.from, to: outer.to });
    },
  });
  return found;
}

const select = (name: string, matchers: readonly string[]) => (matchers.length === 0 ? name : `${name}{${matchers.join(", ")}}`);

/** The same question in one spelling. */
const flat = (expr: string) => expr.replace(/\s+/g, " ");

/**
 * @param expr a query with the dashboard's variables in it
 * @returns the query over scraped metrics; undefined when `expr` reads no recorded series
 */
export function rawQuery(s: Settings, expr: string): string | undefined {
  const rules = new Map(recordings(s).map((r) => [r.record, r.expr]));
  // The choice between total and parts is a matter of recorded series; the raw query is the plain one.
  const org = /__name__=~"([^"]*)"/.exec(expr)?.[1] ?? "";
  const chosen = (text: string) => flat(text).replaceAll("$org", () => org);
  const plain = flat(expr).replaceAll(chosen(paymentRateOverTime), () => `(${chosen(paymentRate)})`);
  const raw = expanded(rules, plain, []);
  return raw === plain ? undefined : raw;
}

function expanded(rules: ReadonlyMap<string, string>, expr: string, outer: readonly string[]): string {
  return selectors(expr).reduceRight((text, selector) => text.slice(0, selector.from) + replaced(rules, selector, outer) + text.slice(selector.to), expr);
}

/** A selector without recorded series; matchers of the outer query go down to the metrics that have their labels. */
function replaced(rules: ReadonlyMap<string, string>, { name, matchers, range }: Selector, outer: readonly string[]): string {
  const all = [...new Set([...matchers, ...outer])];
  const behind = range === "" ? "" : `[${range}]`;
  const gain = gains[name];
  if (gain !== undefined) {
    const [counter, window, divisor] = gain;
    return `(${promql`sum by (org_id) (increase(${select(counter.name, all)}[${window}])) / ${divisor}`})`;
  }
  const overdue = /^crm:overdue_ratio:(\w+)$/.exec(name);
  if (overdue) {
    const sum = (counter: MetricSpec) => promql`sum(increase(${counter}[${overdue[1]!}]))`;
    return `(${sum(crmApi.invoicesOverdue)} / (${sum(crmApi.invoicesDue)} > 0))`;
  }
  const rule = rules.get(name);
  if (rule === undefined) {
    const known = labelsOf.get(name) ?? [];
    return select(name, [...matchers, ...outer.filter((m) => !matchers.includes(m) && known.includes(/^\w+/.exec(m)![0]))]) + behind;
  }
  // A copy of a metric stands for it, range and all.
  if (/^[\w:]+$/.test(rule)) return replaced(rules, { name: rule, matchers: all, range, from: 0, to: 0 }, []);
  const inner = `(${expanded(rules, rule, all)})`;
  return range === "" ? inner : `${inner}[${range}:${step}]`;
}
