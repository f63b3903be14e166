/** The rule cases leave nothing out. */
import { describe, expect, it } from "vitest";
import { alerts, recordings } from "../../rules/index.ts";
import { caseSettings } from "./cases/case.ts";
import { allCases } from "./cases/index.ts";

const kinds = (rule: string) => new Set(allCases.filter((c) => c.rule === rule).map((c) => c.kind));
const names = [...new Set(alerts(caseSettings).map((a) => a.alert))];
const exprs = (name: string) => alerts(caseSettings).filter((a) => a.alert === name).map((a) => a.expr).join("\n");

describe("rule cases", () => {
  it.each(names.filter((n) => n !== "Watchdog"))("%s: edge, silence, missing series and NaN", (name) => {
    expect([...kinds(name)]).toEqual(expect.arrayContaining(["edge", "silent", "absent", "nan"]));
    const edge = allCases.find((c) => c.rule === name && c.kind === "edge" && c.message)!;
    expect(Object.values(edge.firing)).toEqual([0, expect.any(Number)]);
  });

  it.each(names.filter((n) => /\b(rate|increase)\(/.test(exprs(n))))("%s: a counter that starts again", (name) => {
    expect([...kinds(name)]).toContain("reset");
  });

  // Alerts that an expression looks at are not among the series with which it fires; they have cases of their own.
  it.each(names.filter((n) => /[{,]\s*\w+="[^"]+"/.test(exprs(n).replace(/ALERTS\{[^}]*\}/g, ""))))("%s: other labels", (name) => {
    expect([...kinds(name)]).toContain("label");
  });

  it.each(recordings(caseSettings).map((r) => r.record))("%s: its value", (name) => {
    expect([...kinds(name)]).toContain("value");
  });
});
