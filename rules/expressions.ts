/** What a PromQL expression reads: metric names and how far back. Small on purpose; a test compares it with the grammar. */
import { seconds } from "../components/settings/timing.ts";

const keywords = new Set(["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "inf", "nan", "start", "end", "atan2"]);
/** Aggregations may stand without parenthesis right behind them: `sum by (x) (…)`. */
const aggregations = new Set(["sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk", "topk", "quantile"]);

/** The expression with empty texts: what stands in them, such as a regular expression's brackets, is no PromQL. */
const withoutTexts = (expr: string) => expr.replace(/"(?:[^"\\]|\\.)*"/g, '""');

/** Names of the series that an expression reads, each once. */
export function metricsOf(expr: string): string[] {
  const bare = withoutTexts(expr)
    .replace(/\{[^}]*\}/g, "")
    .replace(/\[[^\]]*\]/g, "")
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, "$1")
    .replace(/\boffset\s+-?\w+/g, "");
  const names = [...bare.matchAll(/(?<![\w.:])([a-zA-Z_:][\w:]*)(\s*\()?/g)];
  return [...new Set(names.filter(([, name, call]) => !call && !keywords.has(name!.toLowerCase()) && !aggregations.has(name!)).map(([, name]) => name!))];
}

/** Seconds between an evaluation and the oldest sample that the expression can read. */
export function lookBackSeconds(expr: string): number {
  const reads = [...withoutTexts(expr).matchAll(/(?:\[(\w+)(?::\w*)?\])?\s*(?:\boffset\s+(\w+))?/g)].filter((m) => m[1] ?? m[2]);
  return Math.max(0, ...reads.map((m) => (m[1] ? seconds(m[1]) : 0) + (m[2] ? seconds(m[2]) : 0)));
}
