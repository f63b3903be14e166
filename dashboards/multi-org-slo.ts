/** Payment SLO per organisation: who misses it, by how much, and how many invoices that is. */
import type { Settings } from "../components/settings/schema.ts";
import { crmApi } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import { dashboard, labelVariable, type Dashboard, type Line } from "./dashboard.ts";
import { panelsFor, type Panels } from "./panels.ts";
import { budgetLeft, paymentRateOf, perOrg, recorded } from "./queries.ts";
import { atLeast, atMost, bands, cellColour, colours } from "./style.ts";

/** Organisations in a ranking. */
const ranked = 10;
/** Rows of the table: more would make the page slow before anybody reads them. */
const listed = 200;

export function multiOrgSlo(s: Settings): Dashboard {
  const panels = panelsFor(s.urls.runbooks);
  return dashboard({
    uid: "peakpro-multi-org-slo",
    title: "PeakPro CRM — SLO by organisation",
    folder: "PeakPro",
    description: `The payment SLO (${s.thresholds.paymentSloPct} %) of each organisation, the worst first.`,
    from: "now-24h",
    variables: [labelVariable("org", "Organisation", crmApi.invoicesGenerated.name, "org_id")],
    alerts: 'service="crm-api"',
    sections: [{ lines: [counts(s, panels), worst(s, panels), table(s, panels)] }],
  });
}

function counts(s: Settings, { stat }: Panels): Line {
  const { paymentSloPct: slo, paymentFloorPct: floor } = s.thresholds;
  const number = (id: number, title: string, description: string, expr: string, steps = atMost(1), alerts: string[] = []) =>
    stat({ id, title, description, unit: "locale", decimals: 0, width: 6, steps, queries: [{ expr, legend: title }], alerts });
  const none = [{ value: null, color: colours.neutral }];
  return {
    height: 5,
    panels: [
      number(1, "Organisations", "Organisations chosen, with invoices or without.", promql`count(${perOrg(recorded.created30d)})`, none),
      number(2, `Below the SLO (${slo} %)`, `Chosen organisations whose payment rate over 30 days is below ${slo} %.`, promql`count(${paymentRateOf} < ${slo}) or vector(0)`, atMost(1), ["LowInvoicePaymentRate"]),
      number(3, `Below the floor (${floor} %)`, `Chosen organisations whose payment rate over 30 days is below ${floor} %.`, promql`count(${paymentRateOf} < ${floor}) or vector(0)`, atMost(1), ["LowInvoicePaymentRate"]),
      number(4, "Without invoices in 30 d", "Chosen organisations that created no invoice in 30 days and so have no rate.", promql`count(${perOrg(recorded.created30d)} == 0) or vector(0)`, none),
    ],
  };
}

function worst(s: Settings, { bars, timeseries }: Panels): Line {
  const history = perOrg(recorded.rate30dHistory);
  const { paymentSloPct: slo, paymentFloorPct: floor } = s.thresholds;
  return {
    height: 9,
    panels: [
      bars({
        id: 5,
        title: `Lowest payment rates (${ranked})`,
        description: `The chosen organisations with the lowest payment rate over 30 days. SLO ${slo} %.`,
        unit: "percent",
        decimals: 1,
        min: 0,
        max: 100,
        width: 12,
        steps: bands(slo, floor),
        queries: [{ expr: promql`sort(bottomk(${ranked}, ${paymentRateOf}))`, legend: "{{org_id}}" }],
        alerts: ["LowInvoicePaymentRate"],
      }),
      timeseries({
        id: 6,
        title: `Error budget history, lowest ${ranked}`,
        description: `Payment rate minus the SLO of ${slo} %, in percentage points, of the chosen organisations that are lowest at the end of the shown time.`,
        unit: "suffix: pp",
        decimals: 1,
        width: 12,
        steps: atLeast(0),
        limits: true,
        maxDataPoints: 60,
        queries: [{ expr: budgetLeft(s, promql`(${history} and on (org_id) bottomk(${ranked}, ${history} @ end()))`), legend: "{{org_id}}" }],
        alerts: ["PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"],
      }),
    ],
  };
}

/** One row per organisation, joined over the queries. */
function table(s: Settings, panels: Panels): Line {
  const { paymentSloPct: slo, paymentFloorPct: floor } = s.thresholds;
  const columns: [title: string, expr: string, unit: string, decimals: number][] = [
    ["Payment rate (30 d)", paymentRateOf, "percent", 1],
    ["Budget left", budgetLeft(s, paymentRateOf), "suffix: pp", 1],
    ["Invoices created (30 d)", perOrg(recorded.created30d), "locale", 0],
    ["Invoices paid (30 d)", perOrg(recorded.paid30d), "locale", 0],
    ["Revenue (24 h)", perOrg(recorded.revenue), "currency:financial:$", 2],
  ];
  // Organisations without invoices have no rate; 1000 puts them last.
  const rows = promql`bottomk(${listed}, ${paymentRateOf} or (${perOrg(recorded.created30d)} == 0) + 1000)`;
  const refIds = columns.map((_, i) => String.fromCharCode(65 + i));
  return {
    height: 12,
    panels: [
      panels.table({
        id: 7,
        title: "Organisations",
        description: `Payment rate, budget against the SLO of ${slo} %, invoices and revenue of the chosen organisations, the lowest rate first; at most ${listed}.`,
        unit: "locale",
        width: 24,
        queries: columns.map(([title, expr]) => ({ expr: promql`${expr} and on (org_id) ${rows}`, legend: title })),
        transformations: [
          { id: "joinByField", options: { byField: "org_id", mode: "outer" } },
          {
            id: "organize",
            options: {
              // Each query brings its own time and metric name; after the join they are numbered.
              excludeByName: Object.fromEntries(["Time", "__name__", ...refIds.flatMap((_, i) => [`Time ${i + 1}`, `__name__ ${i + 1}`])].map((name) => [name, true])),
              renameByName: { org_id: "Organisation", ...Object.fromEntries(columns.map(([title], i) => [`Value #${refIds[i]}`, title])) },
              indexByName: {},
            },
          },
          { id: "sortBy", options: { fields: {}, sort: [{ field: columns[0]![0] }] } },
        ],
        overrides: columns.map(([title, , unit, decimals], i) => ({
          column: title,
          properties: [
            { id: "unit", value: unit },
            { id: "decimals", value: decimals },
            ...(i === 0
              ? [
                  { id: "thresholds", value: { mode: "absolute", steps: bands(slo, floor) } },
                  cellColour,
                ]
              : []),
          ],
        })),
      }),
    ],
  };
}
