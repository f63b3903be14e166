/** PeakPro CRM — SLO & Uptime: is the payment SLO met, how much of its budget is left, and is what says so alive. */
import { budgetPct } from "../components/settings/reachable.ts";
import type { Settings } from "../components/settings/schema.ts";
import { sloWindows } from "../rules/finance.ts";
import { crmApi, stack } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import { dashboard, labelVariable, type Dashboard, type Line } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { budgetLeft, firing, firingCount, groupAge, hoursToFloor, paymentRate, paymentRateOverTime, probesTls, recorded, sumOfOrgs } from "./queries.ts";
import { atLeast, atMost, bands, colours, never, states, upDown } from "./style.ts";

const burnAlerts = ["PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"];
/** Points of a graph that reads every organisation at each of them. */
const fewPoints = 60;

export function crmSlo(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "peakpro_crm_slo",
    title: "PeakPro CRM — SLO & Uptime",
    folder: "PeakPro",
    description: `The payment SLO (${s.thresholds.paymentSloPct} % of invoices paid), its error budget and how fast it burns; uptime of every probed endpoint.`,
    from: "now-24h",
    variables: [labelVariable("org", "Organisation", crmApi.invoicesGenerated.name, "org_id")],
    alerts: 'service="crm-api"',
    sections: [{ lines: [now(s, panels), budget(s, panels), burn(s, panels), uptime(s, panels)] }],
  });
}

function now(s: Settings, { stat }: Panels): Line {
  const { paymentSloPct: slo, paymentFloorPct: floor } = s.thresholds;
  return {
    height: 5,
    panels: [
      stat({
        id: 1,
        title: "Payment rate (30 d)",
        description: `Invoices paid over invoices created in the last 30 days, of the chosen organisations together. SLO ${slo} %; under ${floor} % the colour is the worst.`,
        unit: "percent",
        decimals: 1,
        width: 6,
        filled: true,
        steps: bands(slo, floor),
        noValue: "No invoices in 30 d",
        queries: [{ expr: paymentRate, legend: "Payment rate" }],
        alerts: ["LowInvoicePaymentRate"],
      }),
      stat({
        id: 2,
        title: "Revenue (last 24 h)",
        description: "Payments received in the last 24 hours by the chosen organisations, in US dollars.",
        unit: "currencyUSD",
        decimals: 2,
        width: 6,
        queries: [{ expr: sumOfOrgs(recorded.revenue), legend: "Revenue" }],
        alerts: ["RevenueZeroStreak", "RevenueFlatlineFast", "RevenueFlatlineSlow"],
      }),
      stat({
        id: 5,
        title: "Active critical alerts",
        description: "Critical alerts that fire now in the whole stack, muted ones included. 0 is the healthy state.",
        unit: "none",
        decimals: 0,
        width: 6,
        filled: true,
        steps: atMost(1),
        mappings: [states({ "0": ["0: none", colours.good] })],
        queries: [{ expr: firingCount('severity="critical"'), legend: "Critical alerts" }],
      }),
      stat({
        id: 6,
        title: "Recording rules fresh (≤ 5 m)",
        description: "Time since Prometheus last evaluated the rules that the figures of this page come from. It goes on growing when they stand still.",
        unit: "s",
        decimals: 0,
        width: 6,
        filled: true,
        steps: atMost(300),
        queries: [{ expr: groupAge("crm_finance.recording"), legend: "Since the last evaluation" }],
        alerts: ["CrmRecordingRulesStale", "CrmMetricsScrapeStale"],
      }),
    ],
  };
}

function budget(s: Settings, { stat, timeseries }: Panels): Line {
  const { paymentSloPct: slo, paymentFloorPct: floor } = s.thresholds;
  return {
    height: 8,
    panels: [
      stat({
        id: 7,
        title: "Error budget left",
        description: `Payment rate minus the SLO of ${slo} %, in percentage points. Negative: the SLO is missed by so much.`,
        unit: "suffix: pp",
        decimals: 1,
        width: 6,
        steps: atLeast(0),
        noValue: "No invoices in 30 d",
        queries: [{ expr: budgetLeft(s, paymentRate), legend: "Budget left" }],
        alerts: burnAlerts,
      }),
      timeseries({
        id: 8,
        title: "Error budget history",
        description: `The payment rate of the chosen organisations minus the SLO of ${slo} %, over time. Under the dashed line at 0 the SLO is missed.`,
        unit: "suffix: pp",
        decimals: 1,
        width: 12,
        steps: atLeast(0),
        limits: true,
        maxDataPoints: fewPoints,
        queries: [{ expr: budgetLeft(s, paymentRateOverTime), legend: "Budget left", colour: colours.second }],
        alerts: burnAlerts,
      }),
      stat({
        id: 9,
        title: `Projected hours to ${floor} %`,
        description: `Hours until the payment rate is at ${floor} % if it goes on as over the last 6 hours; 0 when it is there already.`,
        unit: "suffix: h",
        decimals: 1,
        width: 6,
        steps: [
          { value: null, color: colours.bad },
          { value: 24, color: colours.degraded },
          { value: 168, color: colours.good },
        ],
        mappings: [never("Not falling")],
        noValue: "No invoices in 30 d",
        queries: [{ expr: hoursToFloor(s), legend: `Hours to ${floor} %` }],
        alerts: burnAlerts,
      }),
    ],
  };
}

function burn(s: Settings, { timeseries }: Panels): Line {
  const { paymentSloPct: slo, paymentBurnFast: fast, paymentBurnSlow: slow } = s.thresholds;
  const allowed = budgetPct(slo) / 100;
  const windows = [...sloWindows.fast, ...sloWindows.slow];
  const lines = [colours.bad, colours.degraded, colours.second, colours.neutral];
  return {
    height: 8,
    panels: [
      timeseries({
        id: 3,
        title: "Burn-rate alerts (fast & slow)",
        description: `When the alerts on the payment SLO fired. Fast: over ${fast} times the allowed rate in ${sloWindows.fast.join(" and ")}; slow: over ${slow} times in ${sloWindows.slow.join(" and ")}.`,
        unit: "none",
        min: 0,
        max: 1,
        width: 12,
        stepped: true,
        steps: atMost(1),
        mappings: [states({ "0": ["quiet", colours.good], "1": ["firing", colours.bad] })],
        queries: [
          { expr: firing("PaymentRateSLOBurnFast"), legend: "Fast", colour: colours.bad },
          { expr: firing("PaymentRateSLOBurnSlow"), legend: "Slow", colour: colours.second },
        ],
        alerts: burnAlerts,
      }),
      timeseries({
        id: 10,
        title: "Burn rate of the payment SLO",
        description: `Share of the invoices due in each window that were not paid by their due date, over the allowed ${budgetPct(slo)} %; 1 uses the budget up exactly. All organisations. No line while no invoice was due.`,
        unit: "suffix: ×",
        decimals: 2,
        min: 0,
        width: 12,
        queries: windows.map((window, i) => ({ expr: promql`${`crm:overdue_ratio:${window}`} / ${allowed}`, legend: `over ${window}`, colour: lines[i] })),
        alerts: burnAlerts,
      }),
    ],
  };
}

const uptime = (s: Settings, { timeseries }: Panels): Line => ({
  height: 9,
  panels: [
    timeseries({
      id: 4,
      title: "Uptime probes (probe_success)",
      description: "Whether each endpoint answered its probe, by job and address: HTTP, HTTPS and TCP.",
      unit: "none",
      min: 0,
      max: 1,
      width: 12,
      stepped: true,
      steps: atLeast(1),
      mappings: [upDown],
      queries: [{ expr: stack.probeSuccess.name, legend: "{{job}} {{instance}}" }],
      alerts: ["UptimeProbeFailing", ...(probesTls(s) ? ["TlsCertificateExpiring", "TlsCertificateExpiresNow"] : [])],
    }),
    timeseries({
      id: 11,
      title: "Probe duration",
      description: "How long each probe took, from connecting to the whole answer.",
      unit: "s",
      min: 0,
      width: 12,
      queries: [{ expr: stack.probeDuration.name, legend: "{{job}} {{instance}}" }],
      alerts: ["UptimeProbeFailing"],
    }),
  ],
});
