/** What is refused when rules and routes are rendered: mistakes that Prometheus and Alertmanager would load in silence. */
import type { Settings } from "../components/settings/schema.ts";
import { seconds } from "../components/settings/timing.ts";
import { destinations } from "./evaluate.ts";
import { lookBackSeconds, metricsOf } from "./expressions.ts";
import { routedLabels } from "./labels.ts";
import { allMetrics } from "./metrics.ts";
import { flatten, type Routing } from "./routing.ts";
import { requiredLabels, type Alert, type Labels, type RuleGroup } from "./types.ts";

/** What is checked together. */
export interface Checked {
  readonly groups: readonly RuleGroup[];
  readonly routing: Routing;
  readonly settings: Settings;
}

type Check = (all: Checked, alerts: readonly Alert[]) => string[];

/** Every mistake, each as one sentence with its reason; none when all is well. */
export function problems(all: Checked): string[] {
  const alerts = all.groups.flatMap((g) => g.rules.filter((r) => r.kind === "alert"));
  return [labelled, documented, distinct, reachable, knownMetrics, keptWindows, inhibitions, routes].flatMap((check) => check(all, alerts));
}

/** @throws Error with every mistake on a line of its own */
export function assertSound(all: Checked): void {
  const found = problems(all);
  if (found.length > 0) throw new Error(`rules and routes are refused:\n${found.map((p) => `  ${p}`).join("\n")}`);
}

const has = (a: Alert, label: string): boolean => Boolean(a.labels[label]) || (a.derived[label]?.length ?? 0) > 0 || label === "alertname";
const values = (a: Alert, label: string): readonly string[] => (a.labels[label] ? [a.labels[label]] : (a.derived[label] ?? []));

const labelled: Check = (_all, alerts) =>
  alerts.flatMap((a) => requiredLabels.filter((name) => !has(a, name)).map((name) => `${a.alert} has no label ${name}: routes and inhibitions decide by it`));

const documented: Check = (_all, alerts) =>
  alerts.flatMap((a) => {
    const missing: string[] = [];
    if (!a.runbookUrl.endsWith(`/${a.alert}.md`)) missing.push(`${a.alert} has no runbook: its link must end in /${a.alert}.md`);
    if (!/\/d\/\S+$/.test(a.dashboardUrl)) missing.push(`${a.alert} has no dashboard link`);
    for (const text of ["summary", "description"] as const) if (a[text].trim() === "") missing.push(`${a.alert} has no ${text}: its message would say nothing`);
    if (a.description.trim() !== "" && !/\{\{[^}]*\$value\b/.test(a.description)) missing.push(`${a.alert} has no value in its description: put {{ $value | printf … }} into it`);
    return missing;
  });

/** Alerts of one name are told apart by a label, or have one severity. */
const distinct: Check = (_all, alerts) =>
  alerts.flatMap((a, i) =>
    alerts.slice(i + 1).flatMap((b) => {
      if (a.alert !== b.alert) return [];
      if (sameLabels(a.labels, b.labels)) return [`${a.alert} stands twice with the same labels: Prometheus could not tell the two apart`];
      const sameSubject = values(a, "service").some((service) => values(b, "service").includes(service));
      const [first, second] = [a.labels.severity, b.labels.severity];
      const declared = a.otherSeverities.some((s) => s === second) && b.otherSeverities.some((s) => s === first);
      if (first === second || !sameSubject || declared) return [];
      return [`${a.alert} can fire on the same subject as ${first} and as ${second}: declare it with otherSeverities on both, or give one another name`];
    }),
  );

const sameLabels = (a: Labels, b: Labels) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

const reachable: Check = (_all, alerts) =>
  alerts.flatMap(({ alert, reach }) => {
    if (reach === undefined) return [];
    const { op, threshold, extreme, because, key } = reach;
    const never = op === ">" ? threshold >= extreme : threshold <= extreme;
    return never ? [`${alert} can never fire: ${key} is ${threshold}, but the value is ${op === ">" ? "at most" : "at least"} ${Number(extreme.toFixed(2))} (${because})`] : [];
  });

const knownMetrics: Check = ({ groups }) => {
  const known = new Set(allMetrics.flatMap((m) => (m.type === "histogram" ? [`${m.name}_bucket`, `${m.name}_sum`, `${m.name}_count`] : [m.name])));
  const recorded = new Set(groups.flatMap((g) => g.rules.flatMap((r) => (r.kind === "record" ? [r.record] : []))));
  return groups.flatMap((g) =>
    g.rules.flatMap((r) =>
      metricsOf(r.expr)
        .filter((name) => !known.has(name) && !recorded.has(name))
        .map((name) => `${r.kind === "alert" ? r.alert : r.record} uses ${name}, which no service or exporter exports and no rule records`),
    ),
  );
};

const keptWindows: Check = ({ groups, settings }) => {
  const kept = seconds(settings.retention);
  return groups.flatMap((g) =>
    g.rules
      .filter((r) => lookBackSeconds(r.expr) > kept)
      .map((r) => `${r.kind === "alert" ? r.alert : r.record} looks back ${lookBackSeconds(r.expr) / 86_400} d, but only ${settings.retention} are kept (retention)`),
  );
};

const inhibitions: Check = ({ routing }, alerts) => {
  const byName = new Map<string, Alert[]>();
  for (const a of alerts) byName.set(a.alert, [...(byName.get(a.alert) ?? []), a]);
  return routing.inhibitions.flatMap((rule) =>
    [rule.source, ...rule.targets].flatMap((name) => {
      const rules = byName.get(name);
      if (rules === undefined) return [`inhibition ${rule.name} names ${name}, which is no alert of this stack`];
      if (name === rule.source && rule.targets.includes(name)) return [`inhibition ${rule.name} would let ${name} mute itself`];
      if (name !== rule.source && mutes(routing, name, rule.source)) return [`inhibitions let ${rule.source} and ${name} mute each other: nobody would be told`];
      return rule.equal.filter((label) => rules.some((a) => !has(a, label))).map((label) => `inhibition ${rule.name} compares ${label}, which ${name} does not have: absent labels count as equal`);
    }),
  );
};

const mutes = ({ inhibitions: all }: Routing, source: string, target: string) => all.some((i) => i.source === source && i.targets.includes(target));

const routes: Check = ({ routing }, alerts) => {
  const used = new Set(alerts.flatMap((a) => routedLabels(a, routing)).flatMap((labels) => destinations(routing.root, labels).map((d) => d.route)));
  const receivers = new Set(routing.receivers.map((r) => r.name));
  return flatten(routing.root).flatMap((route) => {
    const found: string[] = [];
    if (!receivers.has(route.receiver)) found.push(`route "${route.name}" sends to ${route.receiver}, which is no receiver`);
    if (!used.has(route) && route.routes === undefined) found.push(`route "${route.name}" matches no alert of this stack: nothing would ever take it`);
    return found;
  });
};
