/** Builds alerts, so that none can be written without owner, runbook and dashboard. */
import type { Settings } from "../components/settings/schema.ts";
import { scaled } from "../components/settings/timing.ts";
import { stack } from "./metrics.ts";
import type { Owner } from "./owners.ts";
import { panelOf } from "./panels.ts";
import type { Alert, Reach, RecordingRule, Severity } from "./types.ts";

/** Dashboards that alerts link to, by uid. */
export type DashboardUid =
  | "peakpro-crm-kpis"
  | "peakpro_crm_slo"
  | "aetherlink_rag_tenant_metrics_enhanced"
  | "crm-events-pipeline"
  | "stack-alerts"
  | "stack-self";

/** An alert as its author writes it. */
export interface AlertArgs {
  readonly expr: string;
  /** Time of the standard profile, such as `5m`. @default 0s */
  readonly for?: string;
  readonly severity: Severity;
  /** Absent when the series themselves say whose they are (`derived`). */
  readonly owner?: Owner;
  readonly dashboard: DashboardUid;
  /** Further fixed labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Labels that the series bring along, with possible values. */
  readonly derived?: Readonly<Record<string, readonly string[]>>;
  /** Threshold and the furthest possible value, where there is one. */
  readonly reach?: Reach;
  /** Other severities under which this name fires on the same subject, on purpose. */
  readonly otherSeverities?: readonly Severity[];
  /** One line without the value, so that it stays the same while the alert fires. */
  readonly summary: string;
  /** What is seen, with the value formatted. */
  readonly description: string;
}

/** The same where the group knows the owner, and a dashboard that most of its alerts link to. */
export type OwnedAlertArgs = Omit<AlertArgs, "owner" | "dashboard"> & Partial<Pick<AlertArgs, "dashboard">>;

/**
 * An alert under the stack's timing profile.
 * @param name PascalCase; also the name of its runbook
 */
export function alert(s: Settings, name: string, args: AlertArgs): Alert {
  return {
    kind: "alert",
    alert: name,
    expr: args.expr,
    for: scaled(s, args.for ?? "0s"),
    labels: { ...args.owner, severity: args.severity, ...args.labels },
    derived: args.derived ?? {},
    reach: args.reach,
    otherSeverities: args.otherSeverities ?? [],
    summary: args.summary,
    description: args.description,
    runbookUrl: `${s.urls.runbooks}/${name}.md`,
    dashboardUrl: `${s.urls.grafana}/d/${args.dashboard}${view(name)}`,
  };
}

/** Opens the alert's own panel; Grafana takes its id. */
const view = (name: string) => (panelOf[name] === undefined ? "" : `?viewPanel=${panelOf[name]}`);

/** A recorded series. */
export const record = (name: string, help: string, expr: string, labels?: RecordingRule["labels"]): RecordingRule => ({ kind: "record", record: name, help, expr, labels });

/** A percentage lies between 0 and 100. */
export const percentReach = (op: Reach["op"], threshold: number, key: string): Reach => ({ op, threshold, key, extreme: op === "<" ? 0 : 100, because: "it is a percentage" });

/**
 * Selector of an alert that people are told of.
 * @param cause of several alerts of one name the one with this label. @default any
 */
export const firing = (name: string, cause?: string): string =>
  `${stack.alerts.name}{alertname="${name}",${cause === undefined ? "" : `cause="${cause}",`}alertstate="firing"}`;
