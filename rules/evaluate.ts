/**
 * Alertmanager's routing and inhibition, offline: labels of firing alerts in, notifications out.
 *
 * Follows the documented semantics (Alertmanager configuration: route, matchers, inhibit_rule): regular expressions are
 * anchored; a label that is absent equals an empty one; a route's children are tried in order and the first that
 * matches ends the search unless it says `continue`; an alert that matches both sides of an inhibition is not muted by
 * others that do. Tests run the same cases against the real program.
 */
import type { Inhibition, Matcher, ReceiverName, RootRoute, Route, Routing } from "./routing.ts";
import type { Labels } from "./types.ts";

/** Where an alert goes: one route with everything that it inherits. */
export interface Destination {
  readonly route: Route;
  readonly receiver: ReceiverName;
  readonly groupBy: readonly string[];
  readonly groupWait: string;
  readonly groupInterval: string;
  readonly repeatInterval: string;
}

/** A firing alert that is not told, and what mutes it. */
export interface Muted {
  readonly alert: Labels;
  readonly inhibition: Inhibition;
  readonly source: Labels;
}

/** One message: a group of alerts to one receiver. */
export interface Notification {
  readonly destination: Destination;
  readonly group: Labels;
  readonly alerts: readonly Labels[];
}

const label = (alert: Labels, name: string): string => alert[name] ?? "";

/** Whether an alert has what a matcher wants. */
export function matches(alert: Labels, { label: name, op, value }: Matcher): boolean {
  const actual = label(alert, name);
  const positive = op === "=" || op === "!=" ? actual === value : new RegExp(`^(?:${value})$`, "s").test(actual);
  return positive === (op === "=" || op === "=~");
}

/** Every place that an alert goes to, in the order of the tree. */
export function destinations(root: RootRoute, alert: Labels): Destination[] {
  const top: Destination = { route: root, receiver: root.receiver, groupBy: root.groupBy, groupWait: root.groupWait, groupInterval: root.groupInterval, repeatInterval: root.repeatInterval };
  return below(root, top, alert);
}

function below(route: Route, here: Destination, alert: Labels): Destination[] {
  const found: Destination[] = [];
  for (const child of route.routes ?? []) {
    if (!child.matchers.every((m) => matches(alert, m))) continue;
    const destination: Destination = {
      route: child,
      receiver: child.receiver,
      groupBy: child.groupBy ?? here.groupBy,
      groupWait: child.groupWait ?? here.groupWait,
      groupInterval: child.groupInterval ?? here.groupInterval,
      repeatInterval: child.repeatInterval ?? here.repeatInterval,
    };
    found.push(...below(child, destination, alert));
    if (!child.continue) break;
  }
  return found.length > 0 ? found : [here];
}

const isSource = (rule: Inhibition, alert: Labels) => label(alert, "alertname") === rule.source;
const isTarget = (rule: Inhibition, alert: Labels) => rule.targets.includes(label(alert, "alertname"));

/** What mutes an alert among the firing ones; `undefined` when nothing does. */
export function mutedBy(inhibitions: readonly Inhibition[], firing: readonly Labels[], alert: Labels): Muted | undefined {
  for (const inhibition of inhibitions) {
    if (!isTarget(inhibition, alert)) continue;
    const bothSides = isSource(inhibition, alert);
    const source = firing.find(
      (other) => isSource(inhibition, other) && !(bothSides && isTarget(inhibition, other)) && inhibition.equal.every((name) => label(other, name) === label(alert, name)),
    );
    if (source) return { alert, inhibition, source };
  }
  return undefined;
}

/**
 * Everything that people are told when these alerts fire together, and what they are not told.
 * @param firing labels of each firing alert, `alertname` included
 */
export function evaluate({ root, inhibitions }: Routing, firing: readonly Labels[]): { notifications: Notification[]; muted: Muted[] } {
  const muted = firing.map((alert) => mutedBy(inhibitions, firing, alert)).filter((m) => m !== undefined);
  const groups = new Map<string, { destination: Destination; group: Labels; alerts: Labels[] }>();
  for (const alert of firing) {
    if (muted.some((m) => m.alert === alert)) continue;
    for (const destination of destinations(root, alert)) {
      const group = Object.fromEntries(destination.groupBy.filter((name) => alert[name] !== undefined).map((name) => [name, alert[name]!]));
      const key = JSON.stringify([destination.route.name, Object.entries(group).sort()]);
      const entry = groups.get(key) ?? { destination, group, alerts: [] };
      entry.alerts.push(alert);
      groups.set(key, entry);
    }
  }
  return { notifications: [...groups.values()], muted };
}
