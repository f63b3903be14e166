/** Rule files as stock Prometheus loads them. */
import { stringify } from "yaml";
import type { Settings } from "../components/settings/schema.ts";
import { duration, timingOf } from "../components/settings/timing.ts";
import { assertSound } from "./checks.ts";
import { ruleGroups } from "./index.ts";
import { routing } from "./routing.ts";
import { requiredLabels, type Alert, type Labels, type Rule, type RuleGroup } from "./types.ts";

/**
 * File name to text, one file per subject.
 * @throws Error when rules or routes do not pass `checks.ts`
 */
export function ruleFiles(s: Settings): Record<string, string> {
  const groups = ruleGroups(s);
  assertSound({ settings: s, groups, routing: routing(s) });
  return renderGroups(s, groups);
}

/** The same for any groups, unchecked. */
export function renderGroups(s: Settings, groups: readonly RuleGroup[]): Record<string, string> {
  const files = new Map<string, RuleGroup[]>();
  for (const group of groups) files.set(group.file, [...(files.get(group.file) ?? []), group]);
  return Object.fromEntries([...files].map(([file, groups]) => [`${file}.yml`, stringify({ groups: groups.map((g) => groupYaml(s, g)) }, { lineWidth: 0 })]));
}

const groupYaml = (s: Settings, g: RuleGroup): object => ({
  name: g.name,
  interval: g.interval ?? duration(timingOf(s).evaluationSeconds),
  rules: g.rules.map(ruleYaml),
});

/** Labels that routes need and the series bring along: named here too, so that a reader of the file finds them on every alert. */
const carried = (rule: Alert): Labels => Object.fromEntries(requiredLabels.filter((name) => rule.derived[name] !== undefined).map((name) => [name, `{{ $labels.${name} }}`]));

function ruleYaml(rule: Rule): object {
  if (rule.kind === "record") return { record: rule.record, expr: rule.expr, ...(rule.labels ? { labels: rule.labels } : {}) };
  return {
    alert: rule.alert,
    expr: rule.expr,
    ...(rule.for === "0s" ? {} : { for: rule.for }),
    labels: { ...carried(rule), ...rule.labels },
    annotations: { summary: rule.summary, description: rule.description, runbook_url: rule.runbookUrl, dashboard_url: rule.dashboardUrl },
  };
}
