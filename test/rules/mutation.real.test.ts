/**
 * Mutation: each small mistake in a rule is put to the rule's own cases under promtool, which must notice it. CI takes
 * every 25th mutant; `LONG=1` takes all and writes what survives to bench/results/rule-mutation.json.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ruleGroups } from "../../rules/index.ts";
import type { Rule } from "../../rules/types.ts";
import { caseSettings } from "./cases/case.ts";
import { allCases } from "./cases/index.ts";
import { mutants, type Mutant } from "./support/mutants.ts";
import { findPromtool, runCases } from "./support/promtool.ts";

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);
const long = process.env["LONG"] === "1";
const groups = ruleGroups(caseSettings);
const nameOf = (r: Rule) => (r.kind === "alert" ? r.alert : r.record);
/** Leads, proposals and payments have the same text as the finance windows. */
const twins = /^crm:(leads|proposals|payments)[:_]|^crm:(invoices_paid|payments_cents|invoices_due|invoices_overdue):/;

describe("mutants", () => {
  it("are made of every part of an expression", () => {
    const rule: Rule = { kind: "record", record: "r", help: "", expr: 'sum by (a) (rate(x{b="c",d!="e"}[5m] offset 1h)) > 3 or on () y * 0' };
    expect(mutants(rule).map((m) => m.rule.expr)).toEqual(
      expect.arrayContaining([
        'max by (a) (rate(x{b="c",d!="e"}[5m] offset 1h)) > 3 or on () y * 0',
        'sum  (rate(x{b="c",d!="e"}[5m] offset 1h)) > 3 or on () y * 0',
        'sum by (a) (increase(x{b="c",d!="e"}[5m] offset 1h)) > 3 or on () y * 0',
        'sum by (a) (rate(x{d!="e"}[5m] offset 1h)) > 3 or on () y * 0',
        'sum by (a) (rate(x{b="c"}[5m] offset 1h)) > 3 or on () y * 0',
        'sum by (a) (rate(x{b="c",d!="e"}[10m] offset 1h)) > 3 or on () y * 0',
        'sum by (a) (rate(x{b="c",d!="e"}[5m] offset 2h)) > 3 or on () y * 0',
        'sum by (a) (rate(x{b="c",d!="e"}[5m] offset 1h)) >= 3 or on () y * 0',
        'sum by (a) (rate(x{b="c",d!="e"}[5m] offset 1h)) > 3 ',
        'sum by (a) (rate(x{b="c",d!="e"}[5m] offset 1h)) > 3 or on () y * 1',
      ]),
    );
  });
});

describe.skipIf("missing" in promtool)("the rule cases", () => {
  const program = "program" in promtool ? promtool.program : "";
  const all = groups.flatMap((g) => g.rules.filter((r) => !twins.test(nameOf(r))).flatMap((rule) => mutants(rule).map((mutant) => ({ rule, mutant }))));
  const chosen = all.filter((_, i) => long || i % 25 === 0);

  /** Whether the cases of the rule notice the mutant. */
  async function killed(rule: Rule, mutant: Mutant): Promise<boolean> {
    const changed = groups.map((g) => ({ ...g, rules: g.rules.map((r) => (r === rule ? mutant.rule : r)) }));
    return (await runCases(program, allCases.filter((c) => c.rule === nameOf(rule)), changed)) !== "";
  }

  it(`notice at least 90 % of ${chosen.length} mutants`, { timeout: long ? 14_400_000 : 900_000 }, async () => {
    const survivors: string[] = [];
    for (const { rule, mutant } of chosen) if (!(await killed(rule, mutant))) survivors.push(`${nameOf(rule)}: ${mutant.what}`);
    const score = 1 - survivors.length / chosen.length;
    if (long) {
      mkdirSync("bench/results", { recursive: true });
      writeFileSync("bench/results/rule-mutation.json", `${JSON.stringify({ mutants: chosen.length, survived: survivors.length, score: Number(score.toFixed(4)), survivors }, null, 2)}\n`);
    }
    console.log(`${chosen.length - survivors.length} of ${chosen.length} mutants noticed; not: ${survivors.join("; ") || "none"}`);
    expect(score).toBeGreaterThanOrEqual(0.9);
  });
});
