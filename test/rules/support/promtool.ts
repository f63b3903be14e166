/** Runs rule cases through the real `promtool test rules`. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { ensureTool } from "../../../airgap/tools.ts";
import { alerts, ruleGroups } from "../../../rules/index.ts";
import { metricsOf } from "../../../rules/expressions.ts";
import { renderGroups } from "../../../rules/render.ts";
import type { Rule, RuleGroup } from "../../../rules/types.ts";
import { seconds } from "../../../components/settings/timing.ts";
import { caseSettings, type RuleCase, type Series } from "../cases/case.ts";

/** Path of promtool, or why there is none. */
export async function findPromtool(): Promise<{ program: string } | { missing: string }> {
  try {
    return { program: await ensureTool("promtool") };
  } catch (error) {
    return { missing: (error as Error).message };
  }
}

/** The rules that a rule needs, itself included, in their groups: promtool evaluates everything that it loads. */
export function neededBy(rule: string, groups: readonly RuleGroup[]): RuleGroup[] {
  const needed = new Set<string>([rule]);
  const rules = groups.flatMap((g) => g.rules);
  for (const name of needed) for (const r of rules) if (nameOf(r) === name) for (const metric of metricsOf(r.expr)) needed.add(metric);
  return groups.map((g) => ({ ...g, rules: g.rules.filter((r) => needed.has(nameOf(r))) })).filter((g) => g.rules.length > 0);
}

const nameOf = (r: Rule): string => (r.kind === "alert" ? r.alert : r.record);

/** What must fire when, with given samples of what the rules read. */
export interface Timeline {
  /** Samples every 30 seconds, which is the interval of the rules as well. */
  readonly series: Series;
  /** Names of all alerts that fire at a time, one per alert. */
  readonly firing: ReadonlyMap<string, readonly string[]>;
}

/**
 * Follows several alerts through time, without the recording rules that they read: `series` has those as well.
 * @param names of the alerts
 * @returns what promtool printed when something else fires; empty when all is as said
 */
export async function followAlerts(program: string, names: readonly string[], { series, firing }: Timeline): Promise<string> {
  const groups = ruleGroups(caseSettings)
    .map((g) => ({ ...g, rules: g.rules.filter((r) => r.kind === "alert" && names.includes(r.alert)) }))
    .filter((g) => g.rules.length > 0);
  const promql_expr_test = [...firing].map(([at, all]) => ({
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: at,
    exp_samples: [...Map.groupBy(all, (name) => name)].map(([name, some]) => ({ labels: `{alertname="${name}"}`, value: some.length })),
  }));
  const input_series = Object.entries(series).map(([name, values]) => ({ series: name, values }));
  return await inFolder(groups, async (folder, files) => {
    const path = join(folder, "cases", "timeline.yml");
    writeFileSync(path, stringify({ rule_files: files, evaluation_interval: "30s", group_eval_order: groups.map((g) => g.name), tests: [{ interval: "30s", input_series, promql_expr_test }] }));
    return await promtool(program, [path]);
  });
}

/** Gives `use` a temporary folder with rendered groups, an empty folder `cases`, and the rule files' paths from there. */
async function inFolder(groups: readonly RuleGroup[], use: (folder: string, files: readonly string[]) => Promise<string>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "rule-cases-"));
  try {
    mkdirSync(join(folder, "cases"));
    const files = Object.entries(renderGroups(caseSettings, groups)).map(([file, text]) => {
      writeFileSync(join(folder, file), text);
      return `../${file}`;
    });
    return await use(folder, files);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the cases of one rule.
 * @param groups the stack's own, or changed ones
 * @param exact values must agree to the last bit
 * @returns what promtool printed for cases that failed; empty when all hold
 */
export async function runCases(program: string, cases: readonly RuleCase[], groups: readonly RuleGroup[] = ruleGroups(caseSettings), exact = false): Promise<string> {
  const needed = neededBy(cases[0]!.rule, groups);
  return await inFolder(needed, async (folder, files) => {
    const tests = [...Map.groupBy(cases, (c) => c.evaluation)].map(([evaluation, some]) => {
      const path = join(folder, "cases", `${evaluation}.yml`);
      writeFileSync(path, stringify(testFile(files, needed, evaluation, some, exact), { lineWidth: 0 }));
      return path;
    });
    return await promtool(program, tests);
  });
}

const promtool = (program: string, files: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile("nice", ["-n", "5", program, "test", "rules", ...files], { maxBuffer: 64 << 20 }, (error, stdout, stderr) => resolve(error ? `${stdout}${stderr}` || error.message : ""));
  });

const testFile = (files: readonly string[], groups: readonly RuleGroup[], evaluation: string, cases: readonly RuleCase[], exact: boolean) => ({
  rule_files: files,
  evaluation_interval: evaluation,
  // Sums of rates differ in the last bits.
  fuzzy_compare: !exact,
  // Else promtool evaluates groups in an order that changes from run to run.
  group_eval_order: groups.map((g) => g.name),
  tests: cases.map(testGroup),
});

function testGroup(c: RuleCase) {
  const firing = Object.entries(c.firing).map(([at, count]) => ({
    expr: `count(ALERTS{alertname="${c.rule}", alertstate="firing"}) or vector(0)`,
    eval_time: at,
    exp_samples: [{ labels: "{}", value: count }],
  }));
  const values = c.values.map(({ at, expr, is }) => ({ expr, eval_time: at, exp_samples: is.map(({ labels, value }) => ({ labels: labels === "" ? "{}" : labels, value })) }));
  return {
    name: `${c.rule}: ${c.what}`,
    interval: c.step,
    input_series: Object.entries(c.series).map(([series, text]) => ({ series, values: text })),
    promql_expr_test: [...firing, ...values].sort((a, b) => seconds(a.eval_time) - seconds(b.eval_time)),
    ...(c.message ? { alert_rule_test: [alertTest(c.rule, c.message)] } : {}),
  };
}

/** Labels and annotations exactly as the rules say; the rendered description is given by the case. */
function alertTest(rule: string, message: NonNullable<RuleCase["message"]>) {
  const alert = alerts(caseSettings).find((a) => a.alert === rule && Object.entries(message.labels).every(([name, value]) => (a.labels[name] ?? value) === value))!;
  return {
    eval_time: message.at,
    alertname: rule,
    exp_alerts: [
      {
        exp_labels: { ...alert.labels, ...message.labels },
        exp_annotations: { summary: alert.summary, description: message.description, runbook_url: alert.runbookUrl, dashboard_url: alert.dashboardUrl },
      },
    ],
  };
}
