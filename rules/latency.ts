/**
 * The longest time from a condition coming true to the message leaving, per alert, computed from the same data as the
 * rendered files.
 *
 * `scrape + (1 + d) * evaluation + ceil(for / evaluation) * evaluation + group wait + send`, where d is the number of
 * recording groups between the metric and the alert: rules of one group run one after the other and add nothing.
 * Where the group of an alert is open already, because another alert of it fires, the group interval takes the place of
 * the group wait. The time that an expression's own window needs to fill is part of the condition, not of this.
 */
import type { Settings } from "../components/settings/schema.ts";
import { seconds, timingOf } from "../components/settings/timing.ts";
import { destinations } from "./evaluate.ts";
import { metricsOf } from "./expressions.ts";
import { ruleGroups } from "./index.ts";
import { routedLabels } from "./labels.ts";
import { routing } from "./routing.ts";
import type { Alert, RuleGroup } from "./types.ts";

/** Seconds that one attempt to send may take (the time limit of a Slack request). */
export const sendSeconds = 10;

export interface Latency {
  readonly scrape: number;
  readonly upstreamGroups: number;
  readonly evaluation: number;
  readonly hold: number;
  readonly groupWait: number;
  readonly groupInterval: number;
  readonly send: number;
  /** First alert of its group. */
  readonly first: number;
  /** Alert that joins a group which is open already. */
  readonly joining: number;
}

const intervalOf = (s: Settings, g: RuleGroup): number => (g.interval ? seconds(g.interval) : timingOf(s).evaluationSeconds);

/** Seconds that recording groups upstream of `expr` add, and how many there are on the slowest way. */
function upstream(s: Settings, groups: readonly RuleGroup[], from: RuleGroup, expr: string): { seconds: number; count: number } {
  const ways = metricsOf(expr).flatMap((name) => {
    const home = groups.find((g) => g.rules.some((r) => r.kind === "record" && r.record === name));
    if (home === undefined) return [];
    return home.rules
      .filter((r) => r.kind === "record" && r.record === name && r.expr !== expr && !metricsOf(r.expr).includes(name))
      .map((r) => {
        const rest = upstream(s, groups, home, r.expr);
        return home === from ? rest : { seconds: rest.seconds + intervalOf(s, home), count: rest.count + 1 };
      });
  });
  return ways.reduce((worst, way) => (way.seconds > worst.seconds ? way : worst), { seconds: 0, count: 0 });
}

/** The parts and the sum for one alert. */
export function latency(s: Settings, alert: Alert): Latency {
  const groups = ruleGroups(s);
  const home = groups.find((g) => g.rules.some((r) => r.kind === "alert" && r.alert === alert.alert && r.expr === alert.expr));
  if (home === undefined) throw new Error(`no rule group has the alert ${alert.alert}`);
  const { scrapeSeconds: scrape } = timingOf(s);
  const evaluation = intervalOf(s, home);
  const before = upstream(s, groups, home, alert.expr);
  const hold = Math.ceil(seconds(alert.for) / evaluation) * evaluation;
  const routes = routing(s);
  const to = routedLabels(alert, routes).flatMap((labels) => destinations(routes.root, labels));
  const groupWait = Math.max(...to.map((d) => seconds(d.groupWait)));
  const groupInterval = Math.max(...to.map((d) => seconds(d.groupInterval)));
  const decided = scrape + before.seconds + evaluation + hold;
  return {
    scrape,
    upstreamGroups: before.count,
    evaluation,
    hold,
    groupWait,
    groupInterval,
    send: sendSeconds,
    first: decided + groupWait + sendSeconds,
    joining: decided + Math.max(groupWait, groupInterval) + sendSeconds,
  };
}

/**
 * Longest time from an alert's condition coming true to its first message leaving, seconds.
 * @param alert its name, or one rule of it; of several rules with one name the slowest counts
 * @throws Error when the stack has no such alert
 */
export function worstCaseSeconds(s: Settings, alert: string | Alert): number {
  if (typeof alert !== "string") return latency(s, alert).first;
  const rules = ruleGroups(s).flatMap((g) => g.rules.filter((r) => r.kind === "alert" && r.alert === alert)) as Alert[];
  if (rules.length === 0) throw new Error(`the stack has no alert ${alert}`);
  return Math.max(...rules.map((rule) => latency(s, rule).first));
}
