import { describe, expect, it } from "vitest";
import { lookBackSeconds, metricsOf } from "../../rules/expressions.ts";
import { ruleGroups } from "../../rules/index.ts";
import { allMetrics } from "../../rules/metrics.ts";
import { promql, quoted } from "../../rules/promql.ts";
import { caseSettings } from "./cases/case.ts";
import { namedLabels, parseErrors, selectedMetrics } from "./grammar.ts";

const rules = ruleGroups(caseSettings).flatMap((g) => g.rules);
const nameOf = (r: (typeof rules)[number]) => (r.kind === "alert" ? r.alert : r.record);

describe("expressions of the rules", () => {
  it.each(rules.map((r) => [nameOf(r), r.expr]))("%s parses", (_name, expr) => {
    expect(parseErrors(expr)).toEqual([]);
  });

  it("are read alike by the small reader and by the grammar", () => {
    for (const { expr } of rules) expect(metricsOf(expr).sort(), expr).toEqual(selectedMetrics(expr).sort());
  });

  it("name only labels that a metric has", () => {
    const target = ["job", "instance", "service", "alertname", "alertstate"];
    const known = new Set([...target, ...allMetrics.flatMap((m) => m.labels)]);
    for (const { expr } of rules) expect(namedLabels(expr).filter((name) => !known.has(name)), expr).toEqual([]);
  });

  it("do not parse when they are broken", () => {
    expect(parseErrors("sum(up")).not.toEqual([]);
    expect(parseErrors("up{job=}")).not.toEqual([]);
  });
});

describe("metricsOf", () => {
  it.each([
    ["sum by (job) (rate(a_total{b=\"c{d}\"}[5m] offset 1h)) / on (job) group_left () x:y:z > bool 3", ["a_total", "x:y:z"]],
    ["a unless on (b) c and ignoring (d) e or f", ["a", "c", "e", "f"]],
    ["quantile by (g) (0.95, h) * Inf", ["h"]],
    ["time() - vector(1) + 1e3", []],
    ["sum(x) by (y)", ["x"]],
  ])("%s", (expr, names) => {
    expect(metricsOf(expr)).toEqual(names);
    expect(selectedMetrics(expr)).toEqual(names);
  });
});

describe("lookBackSeconds", () => {
  it.each([
    ["a", 0],
    ["rate(a[5m])", 300],
    ["a offset 1d", 86_400],
    ["last_over_time(a[7m] offset 30d) or min_over_time(b[30d])", 30 * 86_400 + 420],
    ["avg_over_time(up[5m:15s])", 300],
    ['a{tenant=~"[Vv]ip-.*|vip[60d]|gold offset x"}', 0],
    ['rate(a{b="\\"[9d]"}[5m] offset 1h) / c{d="[1y]"}', 3900],
  ])("%s", (expr, expected) => {
    expect(lookBackSeconds(expr)).toBe(expected);
  });
});

describe("promql", () => {
  it("writes metrics by name and numbers in plain form", () => {
    expect(promql`rate(${allMetrics[0]!}[5m]) > ${0.5}`).toBe(`rate(${allMetrics[0]!.name}[5m]) > 0.5`);
  });

  it("removes the template's indentation and keeps that of inner texts", () => {
    const inner = promql`
      sum(
        a
      )`;
    expect(promql`
      clamp_min(
        ${inner},
        0)`).toBe("clamp_min(\n  sum(\n    a\n  ),\n  0)");
  });

  it.each([["", "empty"], ["  ", "empty"], [NaN, "NaN"], [Infinity, "Infinity"], [undefined as unknown as string, "empty"]])("refuses %j", (piece, message) => {
    expect(() => promql`up > ${piece}`).toThrow(message);
  });

  it("quotes text", () => {
    expect(quoted('a"b\\c\n')).toBe('"a\\"b\\\\c\\n"');
  });
});
