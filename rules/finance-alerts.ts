/** Alerts on invoices, payments and revenue, and on what they are computed from. */
import type { Settings } from "../components/settings/schema.ts";
import { parts } from "../components/topology.ts";
import { budgetPct } from "../components/settings/reachable.ts";
import { alert, firing, percentReach, type AlertArgs, type OwnedAlertArgs } from "./alert.ts";
import { sloWindows } from "./finance.ts";
import { crmApi, stack, type MetricSpec } from "./metrics.ts";
import { owners } from "./owners.ts";
import { compared, promql } from "./promql.ts";
import type { Alert, RuleGroup } from "./types.ts";

/** 1 when the recorded series goes back at least that far; a gap of up to a day at that point does not matter. */
const historyOf = (series: string, age: string): string => promql`present_over_time(${series}[1d] offset ${age})`;

const finance = (s: Settings, name: string, args: OwnedAlertArgs): Alert =>
  alert(s, name, { owner: owners.crmApi, dashboard: "peakpro-crm-kpis", ...args });

/** The group of alerts that follow from crm-api: in one group, so that an outage's alerts come and go at one time. */
export function financeAlerts(s: Settings): RuleGroup {
  return {
    name: "crm_finance.rules",
    file: "crm-finance",
    rules: [apiDown(s), ...invoiceAlerts(s), ...revenueAlerts(s), ...paymentSlo(s), ...freshness(s), drift(s)],
  };
}

/** Whether each replica answered its last scrape. */
const apiUp = promql`${stack.up}{job="${parts["crm-api"].job}"}`;

const apiDown = (s: Settings): Alert =>
  finance(s, "CrmApiDown", {
    // vector(0) stands for a target that is gone, under the same (empty) labels, so that the clock of `for` runs on.
    expr: promql`(max(${apiUp}) or vector(0)) == 0`,
    for: "5m",
    severity: "critical",
    summary: "The CRM API does not answer",
    description: 'No replica of crm-api has answered a scrape for 5 minutes ({{ $value | printf "%.0f" }} answered the last one): no invoice, payment or QuickBooks sync is processed.',
  });

const invoiceAlerts = (s: Settings): Alert[] => [
  finance(s, "LowInvoicePaymentRate", {
    expr: promql`crm:payment_rate_30d_pct < ${s.thresholds.paymentRatePct}`,
    reach: percentReach("<", s.thresholds.paymentRatePct, "thresholds.paymentRatePct"),
    for: "24h",
    severity: "warning",
    summary: `Fewer than ${s.thresholds.paymentRatePct} % of invoices are paid`,
    description: `Of the invoices of the last 30 days {{ $value | printf "%.1f" }} % are paid; the limit is ${s.thresholds.paymentRatePct} %.`,
  }),
  finance(s, "InvoiceGenerationStalled", {
    expr: promql`crm:invoices_created_24h == 0 and ${historyOf("crm:invoices_created_24h", "24h")}`,
    for: "5m",
    severity: "warning",
    summary: "No invoice was created in 24 hours",
    description: `{{ $value | printf "%.0f" }} invoices were created in the last 24 hours, over all organisations.`,
  }),
];

/**
 * Holds when the API is back and has answered for less than three quarters of a window: revenue is small then because of
 * the outage. Only when people were told of that: scrapes that fail now and then never last until CrmApiDown. While it
 * lasts CrmApiDown mutes what follows, so that a flatline told before can still end in a message.
 */
const afterOutage = (window: string): string => promql`
  (max(${apiUp}) == 1 and max(avg_over_time(${apiUp}[${window}])) < 0.75
    and on () last_over_time(${firing("CrmApiDown")}[${window}]))`;

function revenueAlerts(s: Settings): Alert[] {
  const flatline = (speed: "Fast" | "Slow", window: string, hours: number, series: string, pct: number, hold: string) =>
    finance(s, `RevenueFlatline${speed}`, {
      // Percent of what the same length of time brings on average over the last 7 days.
      expr: promql`
        ${compared(`100 * ${series} / (crm:revenue_usd:7d * ${hours} / 168 > 0)`)} < ${pct}
          and ${historyOf("crm:revenue_usd", "7d")}
          unless on () ${afterOutage(`${hours}h`)}`,
      reach: percentReach("<", pct, `thresholds.revenueFlatline${speed}Pct`),
      for: hold,
      severity: "warning",
      summary: `Revenue of the last ${window} is far below its 7-day mean`,
      description: `Revenue of the last ${window} is {{ $value | printf "%.1f" }} % of what ${window} bring on average over 7 days; the limit is ${pct} %.`,
    });
  return [
    finance(s, "RevenueZeroStreak", {
      expr: promql`crm:revenue_usd:48h == 0 and ${historyOf("crm:revenue_usd", "48h")}`,
      for: "5m",
      severity: "critical",
      summary: "No revenue in 48 hours",
      description: `Payments of {{ $value | printf "%.2f" }} USD were received in the last 48 hours, over all organisations.`,
    }),
    flatline("Fast", "2 h", 2, "crm:revenue_usd:2h", s.thresholds.revenueFlatlineFastPct, "15m"),
    flatline("Slow", "24 h", 24, "crm:revenue_usd", s.thresholds.revenueFlatlineSlowPct, "1h"),
  ];
}

/**
 * Burn rate = share of due invoices that are overdue / error budget. Both windows of a pair must burn: the long one
 * shows that it matters, the short one that it goes on. A burn cannot exceed 1 / budget, which settings check.
 */
function paymentSlo(s: Settings): Alert[] {
  const budget = budgetPct(s.thresholds.paymentSloPct) / 100;
  const burn = (speed: "Fast" | "Slow", [long, short]: readonly [string, string], factor: number, rest: Pick<AlertArgs, "severity" | "for">) =>
    finance(s, `PaymentRateSLOBurn${speed}`, {
      expr: promql`
        ${compared(`crm:overdue_ratio:${long} / ${budget}`)} > ${factor}
          and ${compared(`crm:overdue_ratio:${short} / ${budget}`)} > ${factor}`,
      reach: { op: ">", threshold: factor, extreme: 1 / budget, because: `with a target of ${s.thresholds.paymentSloPct} % all invoices overdue burn no faster`, key: `thresholds.paymentBurn${speed}` },
      ...rest,
      dashboard: "peakpro_crm_slo",
      summary: `Invoices become overdue more than ${factor} times as fast as the payment SLO allows`,
      description:
        `The error budget of the payment SLO (${s.thresholds.paymentSloPct} % paid by their due date) burns ` +
        `{{ $value | printf "%.2f" }} times too fast over ${long} and over ${short}; the limit is ${factor}.`,
    });
  return [
    burn("Fast", sloWindows.fast, s.thresholds.paymentBurnFast, { severity: "critical", for: "2m" }),
    burn("Slow", sloWindows.slow, s.thresholds.paymentBurnSlow, { severity: "warning", for: "15m" }),
  ];
}

const freshness = (s: Settings): Alert[] => [
  finance(s, "CrmMetricsScrapeStale", {
    // 5 minutes of look-back and 5 of `for`: 10 minutes after the last sample, and never at a first start. Times 0, so
    // that the value is the number of samples. A CRM without organisations has no such series; its outbox shows then
    // that it is scraped.
    expr: promql`0 * absent_over_time(${crmApi.invoicesGenerated}[5m]) unless on () group(${crmApi.outboxDepth})`,
    for: "5m",
    severity: "warning",
    dashboard: "peakpro_crm_slo",
    summary: "The CRM's business metrics are not scraped",
    description: `{{ $value | printf "%.0f" }} samples of ${crmApi.invoicesGenerated.name} were scraped in 10 minutes: finance figures stand still.`,
  }),
  finance(s, "CrmRecordingRulesStale", {
    // Prometheus says 0 until a group's first evaluation, so the first minutes after its own start do not count.
    expr: promql`
      time() - max(${stack.promRuleLastEvaluation}{rule_group=~"(.*;)?crm_finance\\\\.recording"}) > 300
        unless time() - max(${stack.processStart}{job="${parts.prometheus.job}"}) < 300`,
    severity: "warning",
    dashboard: "peakpro_crm_slo",
    summary: "The finance recording rules are not evaluated",
    description: "The group crm_finance.recording was last evaluated {{ $value | humanizeDuration }} ago.",
  }),
];

/** Compares only while the window's start was scraped: with less history, or a gap there, the sums must differ. */
function drift(s: Settings): Alert {
  const off = (figure: string, recorded: string, store: MetricSpec) => promql`
    label_replace(
      abs(${recorded} - sum(max by (org_id) (${store}))) > ${s.thresholds.driftPct / 100} * sum(max by (org_id) (${store})),
      "figure", "${figure}", "", "")`;
  return finance(s, "CrmFinanceDrift", {
    expr: promql`
      (
        ${off("invoices created", "crm:invoices_created_24h", crmApi.storeInvoicesCreated24h)}
        or
        ${off("invoices paid", "crm:invoices_paid_24h", crmApi.storeInvoicesPaid24h)}
        or
        ${off("revenue in cents", "100 * crm:revenue_usd", crmApi.storeRevenueCents24h)}
      )
      and on () (count(${crmApi.invoicesGenerated} offset 24h) > 0)`,
    for: "15m",
    severity: "warning",
    derived: { figure: ["invoices created", "invoices paid", "revenue in cents"] },
    summary: "Recorded finance figures differ from the store's own",
    description: `{{ $labels.figure }} of the last 24 hours: recorded and stored sum are {{ $value | printf "%.2f" }} apart; the limit is ${s.thresholds.driftPct} %.`,
  });
}
