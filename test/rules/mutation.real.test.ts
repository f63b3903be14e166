/**
 * Mutation: each small mistake in a rule is put to the rule's own cases under promtool, which must notice it. CI takes
 * every 25th mutant; `LONG=1` takes all and writes what survives to bench/results/rule-mutation.json.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ruleGroups } from "../../rules/index.ts";
import type { Rule } from "../../rules/types.ts";
import { seconds } from "../../components/settings/timing.ts";
import { caseSettings, type RuleCase } from "./cases/case.ts";
import { allCases } from "./cases/index.ts";
import { mutants, type Mutant } from "./support/mutants.ts";
import { findPromtool, runCases } from "./support/promtool.ts";

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);
const long = process.env["LONG"] === "1";
const groups = ruleGroups(caseSettings);
const nameOf = (r: Rule) => (r.kind === "alert" ? r.alert : r.record);
/** Seconds from the start of a case to the last time that it looks at. */
const lastLook = (c: RuleCase) => Math.max(0, ...[...Object.keys(c.firing), ...c.values.map((v) => v.at)].map(seconds));
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

  /** Whether the cases of the rule notice the mutant: one by one, those first that cover the least time. */
  async function killed(rule: Rule, mutant: Mutant): Promise<boolean> {
    const changed = groups.map((g) => ({ ...g, rules: g.rules.map((r) => (r === rule ? mutant.rule : r)) }));
    for (const c of allCases.filter((one) => one.rule === nameOf(rule)).sort((a, b) => lastLook(a) - lastLook(b))) {
      if ((await runCases(program, [c], changed)) !== "") return true;
    }
    return false;
  }

  it(`notice at least 90 % of ${chosen.length} mutants`, { timeout: long ? 14_400_000 : 900_000 }, async () => {
    const survivors: string[] = [];
    const left = chosen.values();
    const work = async () => {
      for (const { rule, mutant } of left) if (!(await killed(rule, mutant))) survivors.push(`${nameOf(rule)}: ${mutant.what}`);
    };
    await Promise.all([work(), work()]);
    const score = 1 - survivors.length / chosen.length;
    if (long) {
      mkdirSync("bench/results", { recursive: true });
      writeFileSync("bench/results/rule-mutation.json", `${JSON.stringify({ mutants: chosen.length, survived: survivors.length, score: Number(score.toFixed(4)), survivors }, null, 2)}\n`);
    }
    console.log(`${chosen.length - survivors.length} of ${chosen.length} mutants noticed; not: ${survivors.join("; ") || "none"}`);
    expect(score).toBeGreaterThanOrEqual(0.9);
  });
});
