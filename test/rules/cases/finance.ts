/** Invoices, payments, revenue, and what they are computed from. */
import { alertCases, type RuleCase } from "./case.ts";

const up = (replica: number) => `up{job="crm_api",instance="crm-api-${replica}:8080"}`;
const generated = 'crm_invoices_generated_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const paid = 'crm_invoices_paid_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const cents = 'crm_invoice_payments_cents_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const due = 'crm_invoices_due_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const overdue = 'crm_invoices_overdue_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const outbox = 'crm_outbox_depth{job="crm_api",instance="crm-api-1:8080"}';
const coarse = { step: "5m", evaluation: "5m" } as const;

/** CrmApiDown in a state, from one sample to another one. */
const apiDown = (state: "firing" | "pending", from: number, to: number, name = "CrmApiDown") => ({ [`ALERTS{alertname="${name}",alertstate="${state}",service="crm-api"}`]: `_x${from} 1x${to - from} stale` });

/** Revenue as always, 3 h without an answer and without revenue, and as always again from 178h5m on. */
const outageOf3h = { 'up{job="prometheus",instance="prometheus:9090"}': "1x2300", [cents]: "0+12x2100 _x36 25200+12x100", [up(1)]: "1x2100 0x35 1x100", ...apiDown("firing", 2101, 2135) };
/** Revenue ends after 7 days, and scrapes fail every second time from an hour before that on. */
const flapping = { [cents]: "0+12x2100 25202+2x100", [up(1)]: `1x2088 ${"0 1 ".repeat(60)}` };

export const financeCases: RuleCase[] = [
  ...alertCases("CrmApiDown", {
    fires: {
      series: { [up(1)]: "1x4 0x30", [up(2)]: "1x2 0x30", 'up{job="prometheus",instance="prometheus:9090"}': "1x40" },
      before: "7m",
      at: "7m30s",
      description: "No replica of crm-api has answered a scrape for 5 minutes (0 answered the last one): no invoice, payment or QuickBooks sync is processed.",
    },
    silent: { "one replica answers": { series: { [up(1)]: "0x40", [up(2)]: "1x40" } }, "it answered in between": { series: { [up(1)]: "1x4 0x5 1 0x30" }, at: "10m" } },
    also: {
      "the target is gone": { series: { [up(1)]: "1x4 stale" }, before: "7m", at: "7m30s" },
      "the target goes while it is down": { series: { [up(1)]: "1x4 0x4 stale" }, before: "7m", at: "7m30s" },
    },
    absent: 1,
    label: 1,
  }),
  ...alertCases("LowInvoicePaymentRate", {
    ...coarse,
    fires: {
      series: { [generated]: "0+100x400", [paid]: "0+49x400" },
      before: "24h",
      at: "24h5m",
      description: "Of the invoices of the last 30 days 49.0 % are paid; the limit is 50 %.",
    },
    silent: {
      "exactly 50 %": { series: { [generated]: "0+100x400", [paid]: "0+50x400" } },
      "no invoice at all": { series: { [generated]: "0x400", [paid]: "0x400" } },
      "organisations together are over the limit": { series: { [generated]: "0+100x400", [paid]: "0+10x400", [generated.replace('"1"', '"2"')]: "0+1000x400", [paid.replace('"1"', '"2"')]: "0+900x400" } },
    },
  }),
  ...alertCases("InvoiceGenerationStalled", {
    ...coarse,
    fires: { series: { [generated]: "5+1x3 8x600" }, before: "24h15m", at: "24h20m", description: "0 invoices were created in the last 24 hours, over all organisations." },
    silent: {
      "less than 24 h of history": { series: { [generated]: "5x600" }, at: "23h55m" },
      "the store was put back to a state of days ago": { series: { [generated]: "5000+1x600 4000+1x100" }, at: "52h" },
      "one invoice of another organisation": { series: { [generated]: "5x600", [generated.replace('"1"', '"2"')]: "5x20 6x600" } },
    },
    also: { "24 h of history": { series: { [generated]: "5x600" }, before: "24h", at: "24h5m" }, "the API has been down since": { series: { [generated]: "5x20 stale" }, at: "25h" } },
  }),
  ...alertCases("RevenueZeroStreak", {
    ...coarse,
    fires: { series: { [cents]: "100+100x3 400x1200" }, before: "48h15m", at: "48h20m", description: "Payments of 0.00 USD were received in the last 48 hours, over all organisations." },
    silent: {
      "less than 48 h of history": { series: { [cents]: "400x700" }, at: "47h55m" },
      "the store was put back to a state of days ago": { series: { [cents]: "50000+100x800 10000+100x100" }, at: "70h" },
      "one cent": { series: { [cents]: "400x20 401x700" } },
    },
    also: { "48 h of history": { series: { [cents]: "400x700" }, before: "48h", at: "48h5m" } },
  }),
  ...alertCases("RevenueFlatlineFast", {
    ...coarse,
    fires: {
      series: { [cents]: "0+12x2100 25202+2x100" },
      before: "177h10m",
      at: "177h15m",
      description: "Revenue of the last 2 h is 16.9 % of what 2 h bring on average over 7 days; the limit is 20 %.",
    },
    silent: {
      "less than 7 d of history": { series: { [cents]: "0+12x1900 22802+2x100" }, at: "165h" },
      "no revenue in 7 d": { series: { [cents]: "100x2200" } },
      "as much as always": { series: { [cents]: "0+12x2200" } },
      "exactly 20 %": { series: { [cents]: "0+1x1000 9065+1x1200" }, at: "177h15m" },
      "scrapes fail every second time after an outage that was told": { series: { ...flapping, ...apiDown("firing", 2104, 2110) } },
      "an outage of 3 h has just ended": { series: outageOf3h, at: "178h5m" },
      "an outage of 3 h ended 85 minutes ago": { series: outageOf3h, at: "179h30m" },
      "an outage of 3 h ended 2 h ago": { series: outageOf3h, at: "180h5m" },
    },
    also: {
      "during an outage": { series: outageOf3h, at: "178h" },
      "a replica was away": { series: { [cents]: "0+12x2100 25202+2x100", [up(1)]: "1x2200", [up(2)]: "1x2090 0x100" }, before: "177h10m", at: "177h15m" },
      "scrapes fail every second time, and no outage of these 2 h was told": { series: { ...flapping, ...apiDown("firing", 2080, 2091), ...apiDown("pending", 2100, 2180), ...apiDown("firing", 2100, 2180, "Other") }, before: "177h10m", at: "177h15m" },
      "an outage of 3 h ended 100 minutes before, with little revenue since": { series: { [cents]: "0+12x2100 25202+2x100", [up(1)]: "1x2070 0x34 1x100", ...apiDown("firing", 2072, 2105) }, before: "177h10m", at: "177h15m" },
    },
    label: 1,
  }),
  ...alertCases("RevenueFlatlineSlow", {
    ...coarse,
    fires: {
      series: { [cents]: "0+12x2100 25205+5x400" },
      before: "198h5m",
      at: "198h10m",
      description: "Revenue of the last 24 h is 47.5 % of what 24 h bring on average over 7 days; the limit is 50 %.",
    },
    silent: { "an outage of 14 h has just ended": { series: { [cents]: "0+12x2100 _x168 25200+12x100", [up(1)]: "1x2100 0x167 1x100", ...apiDown("firing", 2101, 2267) }, at: "189h5m" }, "half of it": { series: { [cents]: "0+12x2100 25206+6x400" }, at: "198h10m" }, "less than 7 d of history": { series: { [cents]: "0+12x1500 18005+5x400" }, at: "150h" } },
    also: { "scrapes fail every second time, and no outage was told": { series: { [cents]: "0+12x2100 25205+5x400", [up(1)]: `1x2000 ${"0 1 ".repeat(200)}` }, before: "198h5m", at: "198h10m" } },
    label: 1,
  }),
  ...alertCases("PaymentRateSLOBurnFast", {
    fires: {
      series: { [due]: "0+100x40", [overdue]: "0+46x40" },
      before: "2m",
      at: "2m30s",
      description: "The error budget of the payment SLO (85 % paid by their due date) burns 3.07 times too fast over 1d and over 2h; the limit is 3.",
    },
    silent: {
      "exactly three times": { series: { [due]: "0+100x40", [overdue]: "0+45x40" }, at: "10m" },
      "a batch of invoices that are not due yet": { series: { [generated]: "0 1000x40", [due]: "0x40", [overdue]: "0x40" } },
    },
    also: { "barely more than three times": { series: { [due]: "0+1000x40", [overdue]: "0+452x40" }, at: "10m" } },
  }),
  ...alertCases("PaymentRateSLOBurnSlow", {
    fires: {
      series: { [due]: "0+100x60", [overdue]: "0+16x60" },
      before: "15m",
      at: "15m30s",
      description: "The error budget of the payment SLO (85 % paid by their due date) burns 1.07 times too fast over 3d and over 6h; the limit is 1.",
    },
    silent: { "exactly as allowed": { series: { [due]: "0+100x60", [overdue]: "0+15x60" }, at: "20m" } },
  }),
  ...burnWindows(),
  ...alertCases("CrmMetricsScrapeStale", {
    fires: { series: { [generated]: "5x4 _x40" }, before: "11m30s", at: "12m", description: "0 samples of crm_invoices_generated_total were scraped in 10 minutes: finance figures stand still." },
    silent: { "a gap of 9 minutes": { series: { [generated]: "5x4 _x18 5x40" }, at: "12m" }, "a CRM without organisations is scraped": { series: { [outbox]: "0x60" }, at: "15m" } },
    also: { "a CRM without organisations was scraped until 2 minutes": { series: { [outbox]: "0x4 _x40" }, before: "11m30s", at: "12m" } },
    absent: 1,
    nan: 1,
  }),
  ...alertCases("CrmRecordingRulesStale", {
    fires: {
      series: {
        'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/etc/prometheus/current/rules/crm-finance.yml;crm_finance.recording"}': "0x40",
        'process_start_time_seconds{job="prometheus",instance="prometheus:9090"}': "0x40",
        'process_start_time_seconds{job="crm_api",instance="crm-api:8080"}': "200x40",
      },
      before: "5m",
      at: "5m30s",
      description: "The group crm_finance.recording was last evaluated 5m 30s ago.",
    },
    silent: {
      "evaluated again": { series: { 'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "0+30x40" } },
      "one of two Prometheus has just started": {
        series: {
          'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "0x40",
          'process_start_time_seconds{job="prometheus",instance="prometheus-1:9090"}': "0x40",
          'process_start_time_seconds{job="prometheus",instance="prometheus-2:9090"}': "31x40",
        },
      },
      "evaluated under another path": {
        series: {
          'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/old/crm-finance.yml;crm_finance.recording"}': "0x40",
          'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "0+30x40",
        },
      },
      "another group stands still": { series: { 'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.rules"}': "0x40" } },
      "Prometheus has just started": {
        series: {
          'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "0x40",
          'process_start_time_seconds{job="prometheus",instance="prometheus:9090"}': "31x40",
        },
      },
      "a group with a longer name stands still": { series: { 'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/x.yml;crm_financeXrecording"}': "0x40" } },
    },
    also: {
      "just over 5 minutes": { series: { 'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "28x40" }, at: "5m30s" },
      "5 minutes after Prometheus started": {
        series: {
          'prometheus_rule_group_last_evaluation_timestamp_seconds{rule_group="/rules/crm-finance.yml;crm_finance.recording"}': "0x40",
          'process_start_time_seconds{job="prometheus",instance="prometheus:9090"}': "30x40",
        },
        at: "5m30s",
      },
    },
  }),
  ...drift(),
];

/** Both windows of a pair must burn. */
function burnWindows(): RuleCase[] {
  const over = (long: number, short: number, step: number) => ({ [due]: `0+10x${long + short}`, [overdue]: `0+${step}x${long} ${step * long}x${short}` });
  const late = (good: number, bad: number, step: number) => ({ [due]: `0+10x${good + bad}`, [overdue]: `0x${good - 1} 0+${step}x${bad}` });
  const fires = (rule: string, series: Record<string, string>, at: string, count: number, what: string): RuleCase => ({ rule, what, kind: count ? "edge" : "silent", series, ...coarse, firing: { [at]: count }, values: [] });
  return [
    fires("PaymentRateSLOBurnFast", over(120, 60, 9), "13h", 0, "over by now: the short window is clean"),
    fires("PaymentRateSLOBurnFast", { [due]: "0+100x400", [overdue]: "0+60x300 18045+45x100" }, "28h", 0, "over by now: the short window is exactly at the limit"),
    fires("PaymentRateSLOBurnFast", { [due]: "0+100x400", [overdue]: "0+44x264 11672+56x23 13004+44x100" }, "24h30m", 0, "the long window is exactly at the limit"),
    fires("PaymentRateSLOBurnFast", late(280, 24, 9), "25h", 0, "just begun: the long window is clean"),
    fires("PaymentRateSLOBurnFast", late(280, 200, 9), "38h", 1, "burns in both windows"),
    fires("PaymentRateSLOBurnSlow", over(400, 100, 9), "41h", 0, "over by now: the short window is clean"),
    fires("PaymentRateSLOBurnSlow", { [due]: "0+100x500", [overdue]: "0+20x400 8015+15x100" }, "41h", 0, "over by now: the short window is exactly as allowed"),
    fires("PaymentRateSLOBurnSlow", { [due]: "0+100x1000", [overdue]: "0+14x792 11114+26x71 12974+14x100" }, "72h45m", 0, "the long window is exactly as allowed"),
    fires("PaymentRateSLOBurnSlow", late(860, 72, 1.7), "77h", 0, "just begun: the long window is clean"),
    fires("PaymentRateSLOBurnSlow", late(500, 500, 4), "80h", 1, "burns in both windows"),
  ];
}

/** Recorded sums against the store's own; `recorded` is what the counter gained shortly before. */
function drift(): RuleCase[] {
  const store = { created: 'crm_store_invoices_created_24h{org_id="1",instance="a"}', paid: 'crm_store_invoices_paid_24h{org_id="1",instance="a"}', cents: 'crm_store_revenue_cents_24h{org_id="1",instance="a"}' };
  const series = (created: number, paidCount: number, revenue: number, recorded = 1010) => ({
    [generated]: `0x100 ${recorded}x600`,
    [paid]: `0x100 ${recorded}x600`,
    [cents]: `0x100 ${recorded}x600`,
    [store.created]: `${created}x700`,
    [store.created.replace('"a"', '"b"')]: `${created - 3}x700`,
    [store.paid]: `${paidCount}x700`,
    [store.paid.replace('"a"', '"b"')]: `${paidCount - 3}x700`,
    [store.cents]: `${revenue}x700`,
    [store.cents.replace('"a"', '"b"')]: `${revenue - 3}x700`,
  });
  const ofOrg2 = (all: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(all).map(([name, values]) => [name.replace('org_id="1"', 'org_id="2"'), values]));
  const figure = (name: string) => ({ figure: name });
  return [
    ...alertCases("CrmFinanceDrift", {
      ...coarse,
      fires: {
        series: series(999, 1000, 1000),
        before: "24h10m",
        at: "24h15m",
        description: "invoices created of the last 24 hours: recorded and stored sum are 11.00 apart; the limit is 1 %.",
        labels: figure("invoices created"),
      },
      silent: {
        "exactly 1 %": { series: series(1000, 1000, 1000) },
        "two organisations, together within 1 %": { series: { ...series(1010, 1010, 1010), ...ofOrg2(series(992, 992, 992)) } },
        "history of less than 24 h": { series: series(900, 900, 900), at: "23h55m" },
        "nothing was scraped a day ago": { series: Object.fromEntries(Object.entries(series(900, 900, 900)).map(([name, values]) => [name, name.includes("_store_") ? values : "0x90 _x30 1010x600"])), at: "8h" },
      },
      also: { "barely more than 1 %": { series: series(100_000, 100_000, 100_000, 101_005), at: "24h15m", count: 3 }, "paid invoices differ": { series: series(1010, 999, 1010), before: "24h10m", at: "24h15m" }, "revenue differs": { series: series(1010, 1010, 999), before: "24h10m", at: "24h15m" }, "the store has more": { series: series(1021, 1010, 1010), before: "24h10m", at: "24h15m" } },
    }),
  ];
}
