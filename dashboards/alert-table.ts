/** Tables of alerts: what is pending or fires, since when, and the way to its runbook. */
import { stack } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import type { Panels, Placed } from "./panels.ts";
import { cellColour, colours, states } from "./style.ts";

export interface AlertTableOptions {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly width: number;
  /** Label matchers of the alerts, such as `team="crm"`. */
  readonly matchers: string;
  /** Base URL of the runbooks. */
  readonly runbooks: string;
}

/** Labels that are columns, in this order, with their titles. */
const columns: readonly [label: string, title: string][] = [
  ["alertname", "Alert"],
  ["alertstate", "State"],
  ["severity", "Severity"],
  ["service", "Service"],
  ["org_id", "Organisation"],
  ["tenant", "Tenant"],
  ["instance", "Instance"],
  ["partition", "Partition"],
  ["Value", "Since"],
];
/** Labels that say nothing here. */
const hidden = ["Time", "__name__", "team", "product", "job", "sla", "consumergroup", "topic"];

/** One row per alert; empty, with a text that says so, when all is well. */
export function alertTable(panels: Panels, o: AlertTableOptions): Placed {
  const runbook = [{ title: "Open the runbook", url: `${o.runbooks}/\${__value.raw}.md`, targetBlank: true }];
  return panels.table({
    ...o,
    unit: "none",
    noValue: "No active alerts",
    queries: [{ expr: promql`${stack.alerts}{${o.matchers}} * ignoring (alertstate) group_left () ${stack.alertsForState} * 1000`, legend: "{{alertname}}" }],
    transformations: [
      {
        id: "organize",
        options: {
          excludeByName: Object.fromEntries(hidden.map((name) => [name, true])),
          indexByName: Object.fromEntries(columns.map(([label], index) => [label, index])),
          renameByName: Object.fromEntries(columns),
        },
      },
    ],
    overrides: [
      { column: "Alert", properties: [{ id: "links", value: runbook }] },
      { column: "Since", properties: [{ id: "unit", value: "dateTimeFromNow" }] },
      coloured("State", { firing: ["firing", colours.bad], pending: ["pending", colours.notice] }),
      coloured("Severity", { critical: ["critical", colours.bad], warning: ["warning", colours.degraded], none: ["none", colours.off] }),
    ],
  });
}

const coloured = (column: string, texts: Parameters<typeof states>[0]) => ({
  column,
  properties: [
    { id: "mappings", value: [states(texts)] },
    cellColour,
  ],
});
