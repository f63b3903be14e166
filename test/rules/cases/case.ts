/** What a rule must do with given samples; rendered to `promtool test rules` by `test/rules/support/promtool.ts`. */
import { alerts, recordings } from "../../../rules/index.ts";
import { sampleSettings } from "../../support/settings.ts";

/** Series in promtool's notation, such as `{ 'up{job="crm_api"}': "1x4 0x30" }`. */
export type Series = Readonly<Record<string, string>>;

/** A value that an expression must have: `labels` in the form `{a="b"}`, empty for none. */
export interface Sample {
  readonly labels: string;
  readonly value: number;
}

export interface RuleCase {
  /** The rule that is judged: an alert's name or a recorded series. */
  readonly rule: string;
  readonly what: string;
  readonly kind: "edge" | "silent" | "absent" | "nan" | "reset" | "label" | "value";
  readonly series: Series;
  /** Interval of the samples. @default 30s */
  readonly step: string;
  /** Interval of the rules. @default 30s */
  readonly evaluation: string;
  /** How many alerts of `rule` fire at a time. */
  readonly firing: Readonly<Record<string, number>>;
  /** Values at a time, by expression. */
  readonly values: readonly { readonly at: string; readonly expr: string; readonly is: readonly Sample[] }[];
  /** The whole alert as people get it, at a time. */
  readonly message?: { readonly at: string; readonly description: string; readonly labels: Readonly<Record<string, string>> };
}

/** The stack that the cases are written for: all alerts are there, one of several replicas can be down. */
export const caseSettings = sampleSettings({ httpsTargets: [{ url: "https://shop.example.com/health", insecure: false }], replicas: { crmApi: 2, crmEvents: 2, alertmanager: 3 } });

interface AlertArgs {
  readonly step?: string;
  readonly evaluation?: string;
  /** Fires at `at`, not yet at `before`. */
  readonly fires: { readonly series: Series; readonly before: string; readonly at: string; readonly count?: number; readonly description: string; readonly labels?: Readonly<Record<string, string>> };
  /** Does not fire at `at`, each for the reason that is its key. */
  readonly silent: Readonly<Record<string, { readonly series: Series; readonly at?: string; readonly step?: string }>>;
  /** Further series with which it fires at a time, by what they show. */
  readonly also?: Readonly<Record<string, { readonly series: Series; readonly before?: string; readonly at: string; readonly count?: number; readonly step?: string }>>;
  /** Counters that start again: they must not make it fire. */
  readonly reset?: { readonly series: Series; readonly at: string };
  /** How many fire when every series is missing, is NaN, or has other values of the labels that the rule selects by. @default 0 */
  readonly absent?: number;
  readonly nan?: number;
  readonly label?: number;
}

const base = { step: "30s", evaluation: "30s", firing: {}, values: [] } as const;

/** All cases of one alert; those for missing series, NaN and other labels follow from the case in which it fires. */
export function alertCases(rule: string, args: AlertArgs): RuleCase[] {
  const { fires } = args;
  const times = { step: args.step ?? base.step, evaluation: args.evaluation ?? base.evaluation };
  const make = (kind: RuleCase["kind"], what: string, series: Series, firing: RuleCase["firing"], step = times.step): RuleCase => ({ ...base, ...times, step, rule, kind, what, series, firing });
  const cases = [
    {
      ...make("edge", `fires at ${fires.at}, not before`, fires.series, { [fires.before]: 0, [fires.at]: fires.count ?? 1 }),
      message: { at: fires.at, description: fires.description, labels: fires.labels ?? {} },
    },
    ...Object.entries(args.silent).map(([what, c]) => make("silent", what, c.series, { [c.at ?? fires.at]: 0 }, c.step)),
    ...Object.entries(args.also ?? {}).map(([what, c]) => make("edge", what, c.series, { ...(c.before ? { [c.before]: 0 } : {}), [c.at]: c.count ?? 1 }, c.step)),
    make("absent", "nothing is scraped", {}, { [fires.at]: args.absent ?? 0 }),
    make("nan", "every value is NaN", withNaN(fires.series), { [fires.at]: args.nan ?? 0 }),
  ];
  if (args.reset) cases.push(make("reset", "a counter starts again", args.reset.series, { [args.reset.at]: 0 }));
  const other = withOtherLabels(rule, fires.series);
  if (other !== undefined) cases.push(make("label", "the series have other labels", other, { [fires.at]: args.label ?? 0 }));
  return cases;
}

/** One recorded value. */
export const valueCase = (rule: string, what: string, series: Series, values: RuleCase["values"], times: { step?: string; evaluation?: string } = {}): RuleCase => ({
  ...base,
  ...times,
  rule,
  what,
  kind: "value",
  series,
  values,
});

/** One sample without labels. */
export const one = (value: number): Sample[] => [{ labels: "", value }];
/** Samples by the value of one label. */
export const by = (label: string, values: Readonly<Record<string, number>>): Sample[] => Object.entries(values).map(([v, value]) => ({ labels: `{${label}="${v}"}`, value }));
/** The recorded series without its name, as `is` at each time. */
export const at = (rule: string, times: Readonly<Record<string, Sample[]>>) => Object.entries(times).map(([time, is]) => ({ at: time, expr: `${rule} + 0`, is }));

/** The series with every sample NaN, as many as before. */
const withNaN = (series: Series): Series => Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.replace(/-?\d[\w.]*(?:e[+-]?\d+)?(?:[+-][\w.]+)?x(\d+)/g, (_, n) => Array(Number(n) + 1).fill("NaN").join(" ")).replace(/(?<![\w.x_])-?\d[\w.]*(?![\w.])/g, "NaN")]));

/** The series with other values in the labels that the alert's rules compare with `=`; `undefined` when there are none. */
function withOtherLabels(rule: string, series: Series): Series | undefined {
  const exprs = alerts(caseSettings).filter((a) => a.alert === rule).map((a) => a.expr);
  const upstream = recordings(caseSettings).filter((r) => exprs.some((e) => e.includes(r.record))).map((r) => r.expr);
  const selected = [...[...exprs, ...upstream].join("\n").matchAll(/(\w+)=~?"([^"]*)"/g)].map((m) => m[1]!);
  const changed = Object.fromEntries(Object.entries(series).map(([name, values]) => [name.replace(/(\w+)="([^"]*)"/g, (whole, label, value) => (selected.includes(label) ? `${label}="other-${value}-other"` : whole)), values]));
  return JSON.stringify(changed) === JSON.stringify(series) ? undefined : changed;
}
