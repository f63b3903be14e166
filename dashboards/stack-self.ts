/** Self-monitoring: does the stack that watches everything else work, and does it have room. */
import type { Settings } from "../components/settings/schema.ts";
import { stack } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import { dashboard, type Dashboard, type Line, type Section } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { orZero, probesTls, rateBy } from "./queries.ts";
import { serviceSections } from "./stack-services.ts";
import { atLeast, atMost, colours, states, upDown } from "./style.ts";

export function stackSelf(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "stack-self",
    title: "Stack self-monitoring",
    folder: "Operations",
    description: "Prometheus, Alertmanager, the services' own health, and what each of them uses.",
    from: "now-3h",
    // Watchdog fires all the time.
    alerts: 'team="ops", alertname!="Watchdog"',
    sections: [
      { heading: [101, "Prometheus and Alertmanager"], lines: [health(s, panels), targets(panels), rules(panels), storage(s, panels)] },
      ...serviceSections(s, panels),
      { heading: [105, "Resources"], lines: [resources(panels), scrapes(panels)] },
      ...certificates(s, panels),
    ],
  });
}

const loaded = states({ "1": ["loaded", colours.good], "0": ["REFUSED", colours.bad] });

function health(s: Settings, { stat }: Panels): Line {
  const used = promql`100 * sum(${stack.promStorageBytes} + ${stack.promWalBytes}) / ${s.storageGiB * 2 ** 30}`;
  const common = { width: 4, filled: true } as const;
  return {
    height: 4,
    panels: [
      stat({ ...common, id: 1, title: "Targets down", description: "Scrape targets that do not answer.", unit: "none", decimals: 0, steps: atMost(1), queries: [{ expr: promql`count(${stack.up} == 0) or vector(0)`, legend: "Targets down" }], alerts: ["TargetDown", "ServiceReplicaDown"] }),
      stat({ ...common, id: 2, title: "Prometheus configuration", description: "Whether Prometheus took its configuration at the last reload.", unit: "none", mappings: [loaded], queries: [{ expr: promql`min(${stack.promReloadOk})`, legend: "Last reload" }], alerts: ["PrometheusConfigReloadFailed"] }),
      stat({ ...common, id: 3, title: "Alertmanager configuration", description: "Whether every Alertmanager took its configuration at the last reload.", unit: "none", mappings: [loaded], queries: [{ expr: promql`min(${stack.amReloadOk})`, legend: "Last reload" }], alerts: ["AlertmanagerConfigReloadFailed"] }),
      stat({ ...common, id: 4, title: "Alertmanagers known", description: `Alertmanagers that Prometheus sends alerts to; the stack runs ${s.replicas.alertmanager}.`, unit: "none", decimals: 0, steps: atLeast(s.replicas.alertmanager), queries: [{ expr: promql`max(${stack.promAlertmanagers})`, legend: "Alertmanagers" }], alerts: ["PrometheusNoAlertmanager", "AlertmanagerNotificationsFailing", "Watchdog"] }),
      stat({ ...common, id: 5, title: "Storage used", description: `Share of the ${s.storageGiB} GiB of Prometheus's volume that blocks and write-ahead log take.`, unit: "percent", decimals: 1, steps: atMost(80, 60), queries: [{ expr: used, legend: "Used" }], alerts: ["PrometheusStorageFilling"] }),
      stat({ ...common, id: 6, title: "Slowest rule group", description: "Duration of the last evaluation over the group's interval, of the worst group. At 1 evaluations are skipped.", unit: "percentunit", decimals: 1, steps: atMost(1, 0.5), queries: [{ expr: promql`max(${stack.promRuleLastDuration} / ${stack.promRuleInterval})`, legend: "Share of the interval" }], alerts: ["PrometheusRuleGroupSlow"] }),
    ],
  };
}

const targets = ({ timeline }: Panels): Line => ({
  height: 10,
  panels: [
    timeline({
      id: 7,
      title: "Targets",
      description: "Whether the scrape of each target answered, by job and address.",
      unit: "none",
      min: 0,
      max: 1,
      width: 24,
      steps: atLeast(1),
      mappings: [upDown],
      queries: [{ expr: stack.up.name, legend: "{{job}} {{instance}}" }],
      alerts: ["TargetDown", "ServiceReplicaDown"],
    }),
  ],
});

const rules = ({ timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 8,
      title: "Rule evaluation time",
      description: "Duration of the last evaluation of each rule group.",
      unit: "s",
      min: 0,
      width: 8,
      queries: [{ expr: promql`label_replace(${stack.promRuleLastDuration}, "group", "$1", "rule_group", ".*;(.+)")`, legend: "{{group}}" }],
      alerts: ["PrometheusRuleGroupSlow"],
    }),
    timeseries({
      id: 9,
      title: "Failed rule evaluations",
      description: "Rule evaluations that failed per minute, all groups. Anything above 0 is a rule that gives wrong or no results.",
      unit: "suffix: /min",
      min: 0,
      width: 8,
      queries: [{ expr: promql`60 * sum(rate(${stack.promRuleFailures}[$__rate_interval]))`, legend: "failed", colour: colours.bad }],
      alerts: ["PrometheusRuleFailures"],
    }),
    timeseries({
      id: 10,
      title: "Query time (p90)",
      description: "Nine of ten queries were faster, by phase of the query.",
      unit: "s",
      min: 0,
      width: 8,
      queries: [{ expr: promql`${stack.promQuerySeconds}{quantile="0.9"}`, legend: "{{slice}}" }],
    }),
  ],
});

const storage = (s: Settings, { timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 11,
      title: "Series in memory",
      description: "Time series that Prometheus keeps in memory; its use of memory follows them.",
      unit: "short",
      min: 0,
      width: 6,
      queries: [{ expr: promql`sum(${stack.promHeadSeries})`, legend: "series", colour: colours.second }],
    }),
    timeseries({
      id: 12,
      title: "Samples written",
      description: "Samples that scrapes and rules write per second.",
      unit: "cps",
      min: 0,
      width: 6,
      queries: [{ expr: promql`sum(rate(${stack.promSamplesAppended}[$__rate_interval]))`, legend: "samples", colour: colours.second }],
    }),
    timeseries({
      id: 13,
      title: "Storage",
      description: `Bytes of blocks and of the write-ahead log on a volume of ${s.storageGiB} GiB; retention ${s.retention}.`,
      unit: "bytes",
      min: 0,
      width: 6,
      queries: [
        { expr: promql`sum(${stack.promStorageBytes})`, legend: "blocks", colour: colours.second },
        { expr: promql`sum(${stack.promWalBytes})`, legend: "write-ahead log", colour: colours.degraded },
      ],
      alerts: ["PrometheusStorageFilling"],
    }),
    timeseries({
      id: 14,
      title: "Alerts lost on the way",
      description: "Alerts per minute that Prometheus dropped because no Alertmanager took them.",
      unit: "suffix: /min",
      min: 0,
      width: 6,
      queries: [{ expr: orZero(promql`60 * sum(rate(${stack.promNotificationsDropped}[$__rate_interval]))`, "prometheus"), legend: "dropped", colour: colours.bad }],
      alerts: ["PrometheusNoAlertmanager"],
    }),
  ],
});

const resources = ({ timeseries }: Panels): Line => ({
  height: 9,
  panels: [
    timeseries({
      id: 15,
      title: "Memory",
      description: "Resident memory of each process that reports it.",
      unit: "bytes",
      min: 0,
      width: 12,
      queries: [{ expr: stack.residentMemory.name, legend: "{{job}} {{instance}}" }],
    }),
    timeseries({
      id: 16,
      title: "CPU",
      description: "Cores that each process uses.",
      unit: "suffix: cores",
      min: 0,
      width: 12,
      queries: [{ expr: rateBy(stack.processCpu, "job, instance"), legend: "{{job}} {{instance}}" }],
    }),
  ],
});

const scrapes = ({ timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 17,
      title: "Scrape duration",
      description: "How long the last scrape of each job's slowest target took.",
      unit: "s",
      min: 0,
      width: 12,
      queries: [{ expr: promql`max by (job) (${stack.scrapeDuration})`, legend: "{{job}}" }],
    }),
    timeseries({
      id: 18,
      title: "Samples per scrape",
      description: "Samples that each job's targets expose; a jump is a label with too many values.",
      unit: "short",
      min: 0,
      width: 12,
      queries: [{ expr: promql`sum by (job) (${stack.scrapeSamples})`, legend: "{{job}}" }],
    }),
  ],
});

/** Only where something is probed over HTTPS. */
function certificates(s: Settings, { bars }: Panels): Section[] {
  if (!probesTls(s)) return [];
  const { certWarningDays: warning, certCriticalDays: critical } = s.thresholds;
  const panel = bars({
    id: 19,
    title: "Certificates",
    description: `Days until the first certificate of each HTTPS target's chain expires. Alerts follow at ${warning} and at ${critical} days.`,
    unit: "suffix: d",
    decimals: 0,
    min: 0,
    width: 24,
    steps: [
      { value: null, color: colours.bad },
      { value: critical, color: colours.degraded },
      { value: warning, color: colours.good },
    ],
    queries: [{ expr: promql`(${stack.probeCertExpiry} - time()) / 86400`, legend: "{{instance}}" }],
    alerts: ["TlsCertificateExpiring", "TlsCertificateExpiresNow"],
  });
  return [{ heading: [106, "Certificates"], lines: [{ height: 7, panels: [panel] }] }];
}
