/** Reads PromQL with Prometheus' own grammar, to judge what `rules/` says about its expressions. */
import { parser } from "@prometheus-io/lezer-promql";

/** Texts of the places where an expression does not parse; none when it does. */
export function parseErrors(expr: string): string[] {
  const errors: string[] = [];
  parser.parse(expr).iterate({ enter: (node) => void (node.type.isError && errors.push(`at ${node.from}: ${expr.slice(Math.max(0, node.from - 20), node.to + 20)}`)) });
  return errors;
}

/** Names of the series that an expression selects. */
export function selectedMetrics(expr: string): string[] {
  const names = new Set<string>();
  parser.parse(expr).iterate({
    enter: (node) => {
      if (node.name !== "VectorSelector") return;
      const name = node.node.getChild("Identifier");
      if (name) names.add(expr.slice(name.from, name.to));
    },
  });
  return [...names];
}

/** Label names that an expression selects, matches or groups by. */
export function namedLabels(expr: string): string[] {
  const names = new Set<string>();
  parser.parse(expr).iterate({ enter: (node) => void (node.name === "LabelName" && names.add(expr.slice(node.from, node.to))) });
  return [...names];
}
