/** What a rule, an alert and a group of them are, before they become YAML. */

export type Severity = "critical" | "warning" | "none";
export type Labels = Readonly<Record<string, string>>;

/** A series that Prometheus computes and stores. */
export interface RecordingRule {
  readonly kind: "record";
  /** Name of the recorded series. */
  readonly record: string;
  readonly expr: string;
  readonly labels?: Labels;
  /** What the value is and its unit, in one line. */
  readonly help: string;
}

/** Labels that every alert carries: routes and inhibitions decide by them. */
export const requiredLabels = ["service", "team", "product", "severity"] as const;

/** How far the value that an alert compares can go, so that a threshold beyond it is refused. */
export interface Reach {
  readonly op: "<" | ">";
  readonly threshold: number;
  /** The least value for `<`, the greatest for `>`. */
  readonly extreme: number;
  /** Why the value cannot go further. */
  readonly because: string;
  /** The setting that holds the threshold. */
  readonly key: string;
}

/** A condition that people hear of. */
export interface Alert {
  readonly kind: "alert";
  readonly alert: string;
  readonly expr: string;
  /** How long the condition must hold, under the stack's timing profile. */
  readonly for: string;
  /** Labels that are the same each time. */
  readonly labels: Labels;
  /** Labels that the expression's series bring along, with values that they can take in this stack. */
  readonly derived: Readonly<Record<string, readonly string[]>>;
  readonly reach?: Reach;
  /** Other severities under which the same name may fire on the same subject, on purpose. */
  readonly otherSeverities: readonly Severity[];
  readonly summary: string;
  readonly description: string;
  readonly runbookUrl: string;
  readonly dashboardUrl: string;
}

export type Rule = RecordingRule | Alert;

/** Rules that Prometheus evaluates one after the other at the same time stamp. */
export interface RuleGroup {
  readonly name: string;
  /** Base name of the file that it is rendered to. */
  readonly file: string;
  /** Prometheus duration; the profile's evaluation interval when absent. */
  readonly interval?: string;
  readonly rules: readonly Rule[];
}
