/** Alerts on the observability stack itself. */
import type { Settings } from "../components/settings/schema.ts";
import { addressesOf, parts, type PartName } from "../components/topology.ts";
import { alert, type AlertArgs } from "./alert.ts";
import { stack } from "./metrics.ts";
import { ownerOf, owners, type Owner } from "./owners.ts";
import { probes } from "./probes.ts";
import { compared, literal, promql, quoted } from "./promql.ts";
import type { Alert, RuleGroup } from "./types.ts";

/** The group of the stack's own alerts. */
export function metaAlerts(s: Settings): RuleGroup {
  return { name: "meta.rules", file: "meta", rules: [watchdog(s), ...replicaDown(s), targetDown(s), ...prometheus(s), storageFilling(s), ...alertmanager(s)] };
}

const own = (s: Settings, name: string, owner: Owner, args: Omit<AlertArgs, "owner" | "dashboard">): Alert => alert(s, name, { owner, dashboard: "stack-self", ...args });

const watchdog = (s: Settings): Alert =>
  own(s, "Watchdog", owners.prometheus, {
    expr: promql`vector(1)`,
    severity: "none",
    summary: "The alerting pipeline works",
    description: 'Fires all the time, with the value {{ $value | printf "%.0f" }}. Its receiver raises the alarm when it stops coming.',
  });

/** Parts that can have several replicas; the jobs of the first two have an alert of their own for all replicas. */
const replicated = ["crm-api", "crm-events", "alertmanager"] as const satisfies PartName[];
const withOwnDownAlert = ["crm-api", "crm-events"] as const;

const replicaDown = (s: Settings): Alert[] =>
  replicated.map((part) => {
    const up = promql`${stack.up}{job="${parts[part].job}"}`;
    return own(s, "ServiceReplicaDown", ownerOf(part), {
      expr: promql`${up} == 0 and on () max(${up}) == 1`,
      for: "5m",
      severity: "warning",
      derived: { job: [parts[part].job], instance: addressesOf(s, part) },
      summary: `A replica of ${part} is down`,
      description: '{{ $labels.instance }} has not answered a scrape for 5 minutes (up is {{ $value | printf "%.0f" }}); other replicas do.',
    });
  });

/** Targets that no other alert reports. */
function targetDown(s: Settings): Alert {
  const elsewhere = withOwnDownAlert.map((part) => literal(parts[part].job)).join("|");
  const up = stack.up.name;
  const single = promql`${up}{job!~${quoted(`${elsewhere}|blackbox_.*`)}} == 0`;
  const other = promql`${up}{job="${parts.alertmanager.job}"}`;
  // Probe jobs fail all together with the blackbox exporter, which is a target itself.
  const probe = promql`${up}{job=~"blackbox_.*"} == 0 unless on () max(${up}{job="${parts.blackbox.job}"}) == 0`;
  return alert(s, "TargetDown", {
    expr: promql`
      label_replace(
        (${single} unless (${other} == 0 and on () max(${other}) == 1))
          or (${probe}),
        "service", "$1", "job", "(.+)")`,
    for: "5m",
    severity: "warning",
    dashboard: "stack-self",
    labels: { team: "ops", product: "observability" },
    derived: { service: [...Object.keys(parts), ...Object.keys(probes(s))], job: [...partJobs(), ...Object.keys(probes(s))], instance: ["kafka-exporter:9308"] },
    summary: "A scrape target is down",
    description: 'The scrape of {{ $labels.instance }} (job {{ $labels.job }}) has failed for 5 minutes (up is {{ $value | printf "%.0f" }}).',
  });
}

const partJobs = (): string[] => Object.values(parts).flatMap((p) => ("job" in p ? [p.job] : []));

const prometheus = (s: Settings): Alert[] => [
  own(s, "PrometheusConfigReloadFailed", owners.prometheus, {
    // The maximum over 5 minutes bridges a failed scrape, which would start `for` again.
    expr: promql`max_over_time(${stack.promReloadOk}[5m]) == 0`,
    for: "10m",
    severity: "warning",
    summary: "Prometheus did not load its new configuration",
    description: `The last reload of Prometheus's configuration failed (${stack.promReloadOk.name} is {{ $value | printf "%.0f" }}); it goes on with the old one and would not start with the new.`,
  }),
  own(s, "PrometheusRuleFailures", owners.prometheus, {
    expr: promql`increase(${stack.promRuleFailures}[5m]) > 0`,
    for: "5m",
    severity: "warning",
    derived: { rule_group: ["/etc/prometheus/current/rules/meta.yml;meta.rules"] },
    summary: "Rules fail when they are evaluated",
    description: '{{ $value | printf "%.0f" }} evaluations of the group {{ $labels.rule_group }} failed in 5 minutes.',
  }),
  own(s, "PrometheusRuleGroupSlow", owners.prometheus, {
    expr: promql`${stack.promRuleLastDuration} / ${stack.promRuleInterval} > 1`,
    for: "5m",
    severity: "warning",
    derived: { rule_group: ["/etc/prometheus/current/rules/meta.yml;meta.rules"] },
    summary: "A rule group takes longer than its interval",
    description: 'The last evaluation of {{ $labels.rule_group }} took {{ $value | printf "%.1f" }} times its interval: evaluations are skipped.',
  }),
  own(s, "PrometheusNoAlertmanager", owners.prometheus, {
    expr: promql`${stack.promAlertmanagers} < 1`,
    for: "5m",
    severity: "warning",
    summary: "Prometheus knows no Alertmanager",
    description: 'Prometheus knows {{ $value | printf "%.0f" }} Alertmanagers to send alerts to: nobody hears of any.',
  }),
];

const storageFilling = (s: Settings): Alert => {
  const pct = 80;
  return own(s, "PrometheusStorageFilling", owners.prometheus, {
    expr: promql`100 * (${stack.promStorageBytes} + ${stack.promWalBytes}) / ${s.storageGiB * 2 ** 30} > ${pct}`,
    for: "10m",
    severity: "warning",
    summary: `Prometheus's storage is filled over ${pct} %`,
    description: `{{ $value | printf "%.1f" }} % of ${s.storageGiB} GiB are used. At 90 % Prometheus deletes its oldest blocks, and windows of 30 days become wrong.`,
  });
};

const alertmanager = (s: Settings): Alert[] => [
  own(s, "AlertmanagerNotificationsFailing", owners.alertmanager, {
    expr: promql`${compared(promql`
      100 * sum by (integration) (rate(${stack.amNotificationsFailed}[15m]))
        / sum by (integration) (rate(${stack.amNotifications}[15m]))`)} > 1`,
    for: "5m",
    severity: "critical",
    derived: { integration: ["slack", "webhook"] },
    summary: "Notifications do not arrive",
    description: '{{ $value | printf "%.1f" }} % of the notifications by {{ $labels.integration }} failed in the last 15 minutes.',
  }),
  own(s, "AlertmanagerConfigReloadFailed", owners.alertmanager, {
    expr: promql`max_over_time(${stack.amReloadOk}[5m]) == 0`,
    for: "10m",
    severity: "warning",
    derived: { instance: addressesOf(s, "alertmanager") },
    summary: "Alertmanager did not load its new configuration",
    description: `The last reload of {{ $labels.instance }} failed (${stack.amReloadOk.name} is {{ $value | printf "%.0f" }}); it goes on with the old configuration and would not start with the new.`,
  }),
];
