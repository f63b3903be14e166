/** Recording rules of invoices, payments and revenue. */
import type { Settings } from "../components/settings/schema.ts";
import { record } from "./alert.ts";
import { counterSeries, gainByOrg, type DurableCounter } from "./finance-windows.ts";
import { crmApi } from "./metrics.ts";
import { promql } from "./promql.ts";
import type { RecordingRule, RuleGroup } from "./types.ts";

const invoicesGenerated: DurableCounter = { metric: crmApi.invoicesGenerated, stem: "crm:invoices_generated" };
const invoicesPaid: DurableCounter = { metric: crmApi.invoicesPaid, stem: "crm:invoices_paid" };
const paymentsCents: DurableCounter = { metric: crmApi.paymentsCents, stem: "crm:payments_cents" };
const invoicesDue: DurableCounter = { metric: crmApi.invoicesDue, stem: "crm:invoices_due" };
const invoicesOverdue: DurableCounter = { metric: crmApi.invoicesOverdue, stem: "crm:invoices_overdue" };

/** `name:by_org` and its sum over all organisations, `name`. */
const withSum = (name: string, help: string, byOrg: string): RecordingRule[] => [
  record(`${name}:by_org`, `${help}, by organisation.`, byOrg),
  record(name, `${help}.`, promql`sum(${name}:by_org)`),
];

/** Share of invoices that reached their due date unpaid, 0 to 1; absent when none was due. */
const overdueRatio = (window: string): RecordingRule =>
  record(
    `crm:overdue_ratio:${window}`,
    `Share of the invoices due in the last ${window} that were not paid by then, 0 to 1.`,
    promql`
      sum(${gainByOrg(invoicesOverdue, window)})
        / (sum(${gainByOrg(invoicesDue, window)}) > 0)`,
  );

const rate30d: RecordingRule[] = [
  ...withSum("crm:invoices_created_30d", "Invoices created in the last 30 d", gainByOrg(invoicesGenerated, "30d")),
  ...withSum("crm:invoices_paid_30d", "Invoices paid in the last 30 d", gainByOrg(invoicesPaid, "30d")),
  record(
    "crm:payment_rate_30d_pct:by_org",
    "Invoices paid over invoices created in the last 30 d, percent, by organisation; absent without invoices.",
    promql`100 * crm:invoices_paid_30d:by_org / (crm:invoices_created_30d:by_org > 0)`,
  ),
  record(
    "crm:payment_rate_30d_pct",
    "Invoices paid over invoices created in the last 30 d, percent; absent without invoices.",
    promql`100 * crm:invoices_paid_30d / (crm:invoices_created_30d > 0)`,
  ),
];

/** Windows of the payment SLO: long and short of the fast pair, then of the slow one. */
export const sloWindows = { fast: ["1d", "2h"], slow: ["3d", "6h"] } as const;

/** The group with every finance window. */
export function financeRecording(_s: Settings): RuleGroup {
  return {
    name: "crm_finance.recording",
    file: "crm-finance",
    rules: [
      ...[invoicesGenerated, invoicesPaid, paymentsCents, invoicesDue, invoicesOverdue].flatMap(counterSeries),
      ...withSum("crm:invoices_created_24h", "Invoices created in the last 24 h", gainByOrg(invoicesGenerated, "24h")),
      ...withSum("crm:invoices_paid_24h", "Invoices paid in the last 24 h", gainByOrg(invoicesPaid, "24h")),
      ...withSum("crm:revenue_usd", "Payments received in the last 24 h, USD", promql`${gainByOrg(paymentsCents, "24h")} / 100`),
      ...rate30d,
      record("crm:revenue_usd:2h", "Payments received in the last 2 h, USD.", promql`sum(${gainByOrg(paymentsCents, "2h")}) / 100`),
      record("crm:revenue_usd:48h", "Payments received in the last 48 h, USD.", promql`sum(${gainByOrg(paymentsCents, "48h")}) / 100`),
      record("crm:revenue_usd:7d", "Payments received in the last 7 d, USD.", promql`sum(${gainByOrg(paymentsCents, "7d")}) / 100`),
      ...[...sloWindows.fast, ...sloWindows.slow].map(overdueRatio),
    ],
  };
}
