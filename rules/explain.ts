/** Says in plain lines what happens to alerts: who is told, how they are grouped, what is muted by what, and when. */
import { duration } from "../components/settings/timing.ts";
import type { Settings } from "../components/settings/schema.ts";
import { destinations, evaluate, mutedBy, type Destination } from "./evaluate.ts";
import { alerts } from "./index.ts";
import { routedLabels, sampleLabels } from "./labels.ts";
import { latency, worstCaseSeconds } from "./latency.ts";
import { probes, type Probe } from "./probes.ts";
import { type Receiver, matcherText, routing } from "./routing.ts";
import type { Alert, Labels } from "./types.ts";

/** How a receiver reaches people, such as `slack #crm-alerts`. */
function way(r: Receiver): string {
  const ways = [r.slack && `Slack ${r.slack.channel}`, r.webhook && "dead-man webhook", r.pagerduty && "PagerDuty", r.mail && `mail to ${r.mail.to}`].filter(Boolean);
  return ways.length > 0 ? ways.join(" and ") : "nobody";
}

/** Where one destination leads. */
const channel = (s: Settings, d: Destination): string => way(routing(s).receivers.find((r) => r.name === d.receiver)!);

/** Columns of text, padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd()).join("\n");
}

const valuesOf = (a: Alert, label: string): string => {
  const values = a.labels[label] ? [a.labels[label]] : (a.derived[label] ?? []);
  return values.length > 2 ? "its target's" : values.join("|");
};

/** One line per rule: name, severity, owner, `for`, channels, worst case. */
export function listAlerts(s: Settings): string {
  const rows = alerts(s).map((a) => {
    const channels = new Set(routedLabels(a, routing(s)).flatMap((labels) => destinations(routing(s).root, labels)).map((d) => channel(s, d)));
    return [a.alert, valuesOf(a, "severity"), valuesOf(a, "team"), valuesOf(a, "service"), a.for, [...channels].join(", "), duration(latency(s, a).first)];
  });
  return table([["ALERT", "SEVERITY", "TEAM", "SERVICE", "FOR", "TO", "WORST CASE"], ...rows]);
}

/** One line per rule: the parts of its worst case, in seconds. */
export function listLatencies(s: Settings): string {
  const rows = alerts(s).map((a) => {
    const l = latency(s, a);
    const evaluations = `${1 + l.upstreamGroups} x ${l.evaluation}`;
    return [a.alert, String(l.scrape), evaluations, String(l.hold), String(l.groupWait), String(l.send), String(l.first), String(l.joining)];
  });
  return table([["ALERT", "SCRAPE", "EVALUATION", "FOR", "GROUP WAIT", "SEND", "FIRST MESSAGE", "JOINING A GROUP"], ...rows]);
}

/** One line per person on call, in the order of the settings. */
export function listContacts(s: Settings): string {
  if (s.onCall.length === 0) return `stack "${s.stack}" names nobody; set it with: pulumi config set --path 'onCall[0].role' primary (and name, reach)`;
  return table([["ROLE", "NAME", "REACH"], ...s.onCall.map((c) => [c.role, c.name, c.reach])]);
}

/**
 * Labels of an alert as given on a command line: a name of the stack's, or `label=value,label=value`.
 * @throws Error when the name is no alert of the stack
 */
export function parseAlert(s: Settings, text: string): Labels {
  const given = text.includes("=") ? parsePairs(text) : { alertname: text };
  const known = alerts(s).filter((a) => a.alert === given.alertname);
  if (known.length === 0 && !text.includes("=")) throw new Error(`the stack has no alert ${text}; "list" shows those that it has`);
  if (known.length === 0) return given;
  const rule = known.find((a) => canHave(a, given)) ?? known[0]!;
  return { ...sampleLabels(rule), ...ofProbe(s, rule, given), ...given };
}

/** Whether nothing that is given contradicts the labels that a rule has. */
const canHave = (a: Alert, given: Labels): boolean =>
  Object.entries(given).every(([name, value]) => {
    const values = a.labels[name] ? [a.labels[name]] : a.derived[name];
    return values === undefined || name === "alertname" || values.includes(value);
  });

/** Where the owner follows from a probe, its labels go together: those of the first probe that has what is given. */
function ofProbe(s: Settings, rule: Alert, given: Labels): Labels {
  if (rule.derived.team === undefined) return {};
  const all = Object.entries(probes(s)).flatMap(([job, list]: [string, readonly Probe[]]) => list.map((p) => ({ ...p.owner, job, instance: p.target })));
  const carried = all.map((labels) => Object.fromEntries(Object.entries(labels).filter(([name]) => rule.derived[name])));
  return carried.find((labels) => canHave(rule, labels) && Object.entries(labels).every(([name, value]) => (given[name] ?? value) === value)) ?? {};
}

function parsePairs(text: string): Labels {
  const pairs = text.split(",").map((part) => /^(\w+)=(.*)$/.exec(part.trim()));
  if (pairs.includes(null)) throw new Error(`"${text}" is neither an alert nor label=value,…`);
  return Object.fromEntries(pairs.map((m) => [m![1]!, m![2]!]));
}

/** What happens when these alerts fire at one time. */
export function explain(s: Settings, firing: readonly Labels[]): string {
  const { notifications, muted } = evaluate(routing(s), firing);
  const lines = notifications.flatMap((n) => [
    `One message to ${channel(s, n.destination)} by route "${n.destination.route.name}"${n.destination.route.matchers.length > 0 ? ` (${n.destination.route.matchers.map(matcherText).join(", ")})` : ""}`,
    `  group: ${show(n.group)}; wait ${n.destination.groupWait}, then every ${n.destination.groupInterval} when something changed, repeated after ${n.destination.repeatInterval}`,
    ...n.alerts.map((a) => `  ${show(a)}; ${delay(s, a)}`),
  ]);
  const silent = muted.map((m) => `${m.alert.alertname} is muted by ${m.source.alertname} (inhibition ${m.inhibition.name}: equal ${m.inhibition.equal.map((l) => `${l}=${m.source[l] ?? ""}`).join(", ")})`);
  return [...lines, ...silent, ...couldMute(s, firing), ...couldBeMuted(s, firing)].join("\n");
}

const show = (labels: Labels): string => Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(" ");

function delay(s: Settings, a: Labels): string {
  const known = alerts(s).some((rule) => rule.alert === a.alertname);
  return known ? `at most ${duration(worstCaseSeconds(s, a.alertname!))} after the condition holds` : "not an alert of this stack";
}

/** For a single alert: which others would mute it. */
function couldMute(s: Settings, firing: readonly Labels[]): string[] {
  if (firing.length !== 1) return [];
  const one = firing[0]!;
  const sources = routing(s).inhibitions.filter((i) => i.targets.includes(one.alertname ?? ""));
  const muting = sources.filter((i) => alerts(s).some((a: Alert) => a.alert === i.source && mutedBy([i], [{ ...sampleLabels(a), ...equalOf(one, i.equal), ...a.labels }], one) !== undefined));
  return muting.map((i) => `Muted while ${i.source} fires with the same ${i.equal.join(" and ")} (inhibition ${i.name})`);
}

/** For a single alert: what it would mute. */
function couldBeMuted(s: Settings, firing: readonly Labels[]): string[] {
  if (firing.length !== 1) return [];
  const one = firing[0]!;
  return routing(s)
    .inhibitions.filter((i) => i.source === one.alertname)
    .map((i) => `While it fires it mutes ${i.targets.join(", ")} with the same ${i.equal.join(" and ")} (inhibition ${i.name})`);
}

const equalOf = (labels: Labels, names: readonly string[]): Labels => Object.fromEntries(names.map((name) => [name, labels[name] ?? ""]));
