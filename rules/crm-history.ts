/** Sparse copies of what dashboards show over time for every organisation: a graph reads every sample of its range. */
import { record } from "./alert.ts";
import { promql } from "./promql.ts";
import type { RuleGroup } from "./types.ts";

/** A quarter of the samples; an interval near the 5-minute look-back would leave gaps. */
export const historyRecording = (): RuleGroup => ({
  name: "crm_finance.history",
  file: "crm-activity",
  interval: "2m",
  rules: [record("crm:payment_rate_30d_pct:by_org:sparse", "The payment rate over 30 d by organisation, every 2 minutes.", promql`crm:payment_rate_30d_pct:by_org`)],
});
