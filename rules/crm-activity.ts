/** Recording rules of what leads up to an invoice: leads, proposals, payments. Only dashboards ask for them. */
import { record } from "./alert.ts";
import { counterSeries, gainByOrg, type DurableCounter } from "./finance-windows.ts";
import { crmApi } from "./metrics.ts";
import type { RuleGroup } from "./types.ts";

const counters: readonly (DurableCounter & { readonly what: string })[] = [
  { metric: crmApi.leads, stem: "crm:leads", what: "Leads created" },
  { metric: crmApi.proposals, stem: "crm:proposals", what: "Proposals created" },
  { metric: crmApi.payments, stem: "crm:payments", what: "Payments received" },
];

/** Exact 24 h sums per organisation, as the finance figures have them. */
export const activityRecording = (): RuleGroup => ({
  name: "crm_activity.recording",
  file: "crm-activity",
  rules: counters.flatMap((counter) => [
    ...counterSeries(counter),
    record(`${counter.stem}_24h:by_org`, `${counter.what} in the last 24 h, by organisation.`, gainByOrg(counter, "24h")),
  ]),
});
