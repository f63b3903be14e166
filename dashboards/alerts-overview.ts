/** Alert overview: what fires, what is muted by what, and whether people hear of it. */
import type { Settings } from "../components/settings/schema.ts";
import { stack } from "../rules/metrics.ts";
import { promql, quoted } from "../rules/promql.ts";
import { routing, type Inhibition } from "../rules/routing.ts";
import { alertTable } from "./alert-table.ts";
import { dashboard, type Dashboard, type Line } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { firing, firingCount, orZero } from "./queries.ts";
import { atMost, colours, states } from "./style.ts";

/** Everything but the heartbeat. */
const real = 'alertname!="Watchdog"';

export function alertsOverview(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "stack-alerts",
    title: "Alerts",
    folder: "Operations",
    description: "Every alert of the stack: what fires, since when, what is muted by what, and whether messages leave.",
    from: "now-6h",
    alerts: real,
    sections: [
      { lines: [counts(panels), active(s, panels)] },
      { heading: [101, "What mutes what"], lines: [muted(s, panels)] },
      { heading: [102, "Over time"], lines: [history(panels)] },
      { heading: [103, "Messages"], lines: [messages(panels)] },
    ],
  });
}

function counts({ stat }: Panels): Line {
  const number = (id: number, title: string, description: string, expr: string, steps = atMost(1)) =>
    stat({ id, title, description, unit: "none", decimals: 0, width: 6, filled: true, steps, queries: [{ expr, legend: title }] });
  const warn = [
    { value: null, color: colours.good },
    { value: 1, color: colours.degraded },
  ];
  return {
    height: 4,
    panels: [
      number(1, "Critical, firing", "Critical alerts that fire now, muted ones included.", firingCount('severity="critical"')),
      number(2, "Warning, firing", "Warnings that fire now, muted ones included.", firingCount('severity="warning"'), warn),
      number(3, "Pending", "Alerts whose condition holds, but not for long enough yet.", promql`count(${stack.alerts}{alertstate="pending"}) or vector(0)`, warn),
      stat({
        id: 4,
        title: "Heartbeat (Watchdog)",
        description: "The alert that always fires. When it is missing, no alert of this stack can be trusted to arrive.",
        unit: "none",
        width: 6,
        filled: true,
        mappings: [states({ "1": ["alive", colours.good], "0": ["MISSING", colours.bad] })],
        queries: [{ expr: firing("Watchdog"), legend: "Watchdog" }],
        alerts: ["Watchdog"],
      }),
    ],
  };
}

const active = (s: Settings, panels: Panels): Line => ({
  height: 10,
  panels: [
    alertTable(panels, {
      id: 5,
      title: "Active alerts",
      description: "Alerts that are pending or fire, muted ones included. Each name leads to its runbook.",
      width: 24,
      matchers: real,
      runbooks: s.urls.runbooks,
    }),
  ],
});

/** Alerts that fire while an alert fires that mutes them, named in `muted_by`. */
export function mutedAlerts(inhibitions: readonly Inhibition[]): string {
  const fires = (matcher: string) => promql`${stack.alerts}{alertstate="firing", ${matcher}}`;
  const one = ({ source, targets, equal }: Inhibition) => promql`
    label_replace(
      ${fires(`alertname=~${quoted(targets.join("|"))}`)} and on (${equal.join(", ")}) ${fires(`alertname=${quoted(source)}`)},
      "muted_by", ${quoted(source)}, "", ""
    )`;
  return inhibitions.map(one).join("\nor\n");
}

function muted(s: Settings, { table, text }: Panels): Line {
  const { inhibitions } = routing(s);
  const shown = ["alertname", "muted_by", "severity", "service", "tenant"];
  const titles = ["Muted alert", "Muted by", "Severity", "Service", "Tenant"];
  return {
    height: 11,
    panels: [
      table({
        id: 6,
        title: "Muted now",
        description: "Alerts that fire but are not told to anybody, because the alert that causes them fires too.",
        unit: "none",
        width: 12,
        noValue: "Nothing is muted",
        queries: [{ expr: mutedAlerts(inhibitions), legend: "{{alertname}}" }],
        transformations: [
          {
            id: "organize",
            options: {
              excludeByName: Object.fromEntries(["Time", "Value", "__name__", "alertstate", "team", "product", "job", "instance", "sla", "cause"].map((name) => [name, true])),
              indexByName: Object.fromEntries(shown.map((label, index) => [label, index])),
              renameByName: Object.fromEntries(shown.map((label, index) => [label, titles[index]])),
            },
          },
        ],
      }),
      text({
        id: 7,
        title: "Inhibitions",
        description: "Which alert mutes which, as Alertmanager is configured.",
        width: 12,
        markdown: inhibitionTable(inhibitions),
      }),
    ],
  };
}

const inhibitionTable = (inhibitions: readonly Inhibition[]): string =>
  [
    "| While this fires | these are not told | for the same |",
    "| --- | --- | --- |",
    ...inhibitions.map((i) => `| ${i.source} | ${i.targets.join(", ")} | ${i.equal.join(", ")} |`),
  ].join("\n");

const history = ({ timeseries, timeline }: Panels): Line => ({
  height: 9,
  panels: [
    timeline({
      id: 8,
      title: "Firing alerts",
      description: "Each alert that fired in the shown time, and when.",
      unit: "none",
      decimals: 0,
      width: 16,
      noValue: "Nothing fired",
      steps: [{ value: null, color: colours.bad }],
      queries: [{ expr: promql`count by (alertname) (${stack.alerts}{alertstate="firing", ${real}})`, legend: "{{alertname}}" }],
    }),
    timeseries({
      id: 9,
      title: "Firing by severity",
      description: "How many critical alerts and warnings fired at each time.",
      unit: "none",
      min: 0,
      decimals: 0,
      width: 8,
      stepped: true,
      queries: [
        { expr: firingCount('severity="critical"'), legend: "critical", colour: colours.bad },
        { expr: firingCount('severity="warning"'), legend: "warning", colour: colours.degraded },
      ],
    }),
  ],
});

const messages = ({ timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 10,
      title: "Alerts in Alertmanager",
      description: "Alerts that Alertmanager knows by state; suppressed ones are muted or silenced. The replica that knows most.",
      unit: "none",
      min: 0,
      decimals: 0,
      width: 8,
      queries: [{ expr: promql`max by (state) (${stack.amAlerts})`, legend: "{{state}}" }],
    }),
    timeseries({
      id: 11,
      title: "Notifications",
      description: "Messages that Alertmanager tried to send per minute, by way, over all replicas.",
      unit: "suffix: /min",
      min: 0,
      width: 8,
      queries: [{ expr: promql`60 * sum by (integration) (rate(${stack.amNotifications}{integration=~"slack|webhook|pagerduty|email"}[$__rate_interval]))`, legend: "{{integration}}" }],
      alerts: ["AlertmanagerNotificationsFailing"],
    }),
    timeseries({
      id: 12,
      title: "Failed notifications",
      description: "Messages per minute that could not be sent; Alertmanager repeats them.",
      unit: "suffix: /min",
      min: 0,
      width: 8,
      queries: [{ expr: orZero(promql`60 * sum(rate(${stack.amNotificationsFailed}[$__rate_interval]))`, "alertmanager"), legend: "failed", colour: colours.bad }],
      alerts: ["AlertmanagerNotificationsFailing"],
    }),
  ],
});
