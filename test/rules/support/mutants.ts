/** Small mistakes in a rule's expression and time, one at a time: what the rule cases must notice. */
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";
import { duration, seconds } from "../../../components/settings/timing.ts";
import type { Rule } from "../../../rules/types.ts";

export interface Mutant {
  readonly what: string;
  readonly rule: Rule;
}

/** Replacement of the text between two places. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const operators: Readonly<Record<string, readonly string[]>> = {
  Gtr: [">=", "<"],
  Lss: ["<=", ">"],
  Eql: ["!="],
  And: ["unless"],
  Unless: ["and"],
  Add: ["-"],
  Sub: ["+"],
  Mul: ["/"],
  Div: ["*"],
  Sum: ["max"],
  Max: ["min"],
  Min: ["max"],
  Avg: ["max"],
  EqlSingle: ["!="],
  EqlRegex: ["!~"],
  NeqRegex: ["=~"],
  Neq: ["="],
};
const functions: Readonly<Record<string, string>> = {
  rate: "increase",
  increase: "delta",
  changes: "resets",
  max_over_time: "min_over_time",
  min_over_time: "max_over_time",
  last_over_time: "min_over_time",
  avg_over_time: "max_over_time",
  clamp_min: "clamp_max",
  deriv: "delta",
  delta: "idelta",
};

/** Every mutant of a rule that still parses. */
export function mutants(rule: Rule): Mutant[] {
  const { expr } = rule;
  const edits: Edit[] = [];
  parser.parse(expr).iterate({ enter: ({ node }) => void edits.push(...editsOf(node, expr)) });
  const changed = edits
    .map(({ from, to, text }) => ({ what: `${expr.slice(from, to) || "(nothing)"} → ${text || "(nothing)"} at ${from}`, expr: expr.slice(0, from) + text + expr.slice(to) }))
    .filter(({ expr: other }) => parses(other) && other !== expr)
    .map(({ what, expr: other }): Mutant => ({ what, rule: { ...rule, expr: other } }));
  return rule.kind === "alert" ? [...changed, ...holds(rule)] : changed;
}

/** `for` twice as long, and half as long. */
const holds = (rule: Extract<Rule, { kind: "alert" }>): Mutant[] =>
  seconds(rule.for) === 0
    ? [{ what: "for 0s → 1m", rule: { ...rule, for: "1m" } }]
    : [2, 0.5].map((factor) => duration(seconds(rule.for) * factor)).map((hold) => ({ what: `for ${rule.for} → ${hold}`, rule: { ...rule, for: hold } }));

const parses = (expr: string): boolean => {
  let good = true;
  parser.parse(expr).iterate({ enter: (n) => void (n.type.isError && (good = false)) });
  return good;
};

function editsOf(node: SyntaxNode, expr: string): Edit[] {
  const { from, to, name } = node;
  const text = expr.slice(from, to);
  if (operators[name]) return operators[name].map((other) => ({ from, to, text: other }));
  if (name === "FunctionIdentifier") return functions[text] ? [{ from, to, text: functions[text] }] : [];
  if (name === "NumberDurationLiteral") return [{ from, to, text: nudged(Number(text)) }];
  // The second duration of a subquery is its resolution.
  if (name === "DurationExpr" && node.prevSibling?.name === "DurationExpr") return [];
  if (name === "DurationExpr" || name === "OffsetDurationExpr") return [{ from, to, text: duration(seconds(text) * 2) }];
  if (name === "UnquotedLabelMatcher") return [without(node, expr)];
  if (name === "AggregateModifier" || name === "MatchingModifierClause") return [{ from, to, text: "" }];
  if (name === "Or") return [eitherSide(node)];
  return [];
}

/** The next whole number, or a little more. */
const nudged = (value: number): string => String(Number.isInteger(value) && value < 100 ? value + 1 : value * 1.01);

/** One matcher less, with the comma next to it. */
function without({ from, to }: SyntaxNode, expr: string): Edit {
  if (expr[to] === ",") return { from, to: to + 1, text: "" };
  return { from: expr[from - 1] === "," ? from - 1 : from, to, text: "" };
}

/** `a or b` without `b`. */
function eitherSide(or: SyntaxNode): Edit {
  const whole = or.parent!;
  return { from: or.from, to: whole.to, text: "" };
}
