/** PeakPro CRM KPIs: the cash loop from lead to revenue, and the health of the API and of the QuickBooks sync. */
import type { Settings } from "../components/settings/schema.ts";
import { crmApi } from "../rules/metrics.ts";
import { dashboard, labelVariable, type Dashboard, type Line } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { apiErrors, apiRate, paymentRate, qboSyncAge, recorded, sumOfOrgs } from "./queries.ts";
import { atMost, bands, colours } from "./style.ts";

export function crmKpis(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "peakpro-crm-kpis",
    title: "PeakPro CRM KPIs",
    folder: "PeakPro",
    description: "Leads, proposals, payments, invoices and revenue of the chosen organisations; API and QuickBooks sync of all.",
    from: "now-24h",
    variables: [labelVariable("org", "Organisation", crmApi.invoicesGenerated.name, "org_id")],
    alerts: 'service="crm-api"',
    sections: [{ lines: [sales(panels), finance(s, panels), api(panels)] }],
  });
}

/** A count of the last 24 hours. */
const count = ({ stat }: Panels, id: number, title: string, description: string, series: string, alerts: string[] = []) =>
  stat({ id, title, description, unit: "locale", decimals: 0, width: 6, queries: [{ expr: sumOfOrgs(series), legend: title }], alerts });

const sales = (panels: Panels): Line => ({
  height: 5,
  panels: [
    count(panels, 1, "Leads (24 h)", "Leads created in the last 24 hours.", recorded.leads24h),
    count(panels, 2, "Proposals (24 h)", "Proposals created in the last 24 hours.", recorded.proposals24h),
    count(panels, 3, "Payments (24 h)", "Payments received in the last 24 hours; several can belong to one invoice.", recorded.payments24h),
    panels.stat({
      id: 6,
      title: "QuickBooks sync age",
      description: "Time since QuickBooks was last read without a fault. No value while no company is connected.",
      unit: "s",
      decimals: 0,
      width: 6,
      steps: atMost(3600, 1800),
      noValue: "Not connected",
      queries: [{ expr: qboSyncAge, legend: "Age of the last good sync" }],
      alerts: ["QboSyncStale", "QboTokenExpiring", "QboRateLimited"],
    }),
  ],
});

function finance(s: Settings, panels: Panels): Line {
  const { paymentSloPct: slo, paymentRatePct: limit } = s.thresholds;
  return {
    height: 5,
    panels: [
      count(panels, 7, "Invoices created (24 h)", "Invoices created in the last 24 hours, by the store's own counter.", recorded.created24h, ["InvoiceGenerationStalled", "CrmFinanceDrift"]),
      count(panels, 8, "Invoices paid (24 h)", "Invoices that became fully paid in the last 24 hours, whenever they were created.", recorded.paid24h, ["CrmFinanceDrift"]),
      panels.stat({
        id: 9,
        title: "Revenue (24 h)",
        description: "Payments received in the last 24 hours, in US dollars. Refunds are counted apart and not taken off.",
        unit: "currencyUSD",
        decimals: 2,
        width: 6,
        queries: [{ expr: sumOfOrgs(recorded.revenue), legend: "Revenue" }],
        alerts: ["RevenueZeroStreak", "RevenueFlatlineFast", "RevenueFlatlineSlow", "CrmFinanceDrift"],
      }),
      panels.stat({
        id: 10,
        title: "Payment rate (30 d)",
        description: `Invoices paid over invoices created in the last 30 days; each organisation weighs as many invoices as it has. The SLO is ${slo} %.`,
        unit: "percent",
        decimals: 1,
        width: 6,
        filled: true,
        steps: bands(slo, limit),
        noValue: "No invoices in 30 d",
        queries: [{ expr: paymentRate, legend: "Payment rate" }],
        alerts: ["LowInvoicePaymentRate"],
      }),
    ],
  };
}

const api = ({ timeseries }: Panels): Line => ({
  height: 8,
  panels: [
    timeseries({
      id: 4,
      title: "API requests",
      description: "Requests that the CRM's API answers per second, all replicas and organisations together, scrapes left out.",
      unit: "reqps",
      min: 0,
      width: 12,
      queries: [{ expr: apiRate, legend: "Requests", colour: colours.second }],
      alerts: ["CrmApiDown"],
    }),
    timeseries({
      id: 5,
      title: "API errors",
      description: "Share of requests that the CRM's API answers with a status of 500 or above; 0 when there are no requests.",
      unit: "percent",
      min: 0,
      width: 12,
      queries: [{ expr: apiErrors, legend: "Errors", colour: colours.bad }],
      alerts: ["CrmApiDown"],
    }),
  ],
});
