/** Sparse copies of what dashboards show over time for every organisation: a graph reads every sample of its range. */
import type { Settings } from "../components/settings/schema.ts";
import { scaled } from "../components/settings/timing.ts";
import { record } from "./alert.ts";
import { promql } from "./promql.ts";
import type { RuleGroup } from "./types.ts";

/** A quarter of the samples; an interval near the 5-minute look-back would leave gaps. */
export const historyRecording = (s: Settings): RuleGroup => ({
  name: "crm_finance.history",
  file: "crm-activity",
  interval: scaled(s, "2m"),
  rules: [record("crm:payment_rate_30d_pct:by_org:sparse", "The payment rate over 30 d by organisation, every 2 minutes.", promql`crm:payment_rate_30d_pct:by_org`)],
});
