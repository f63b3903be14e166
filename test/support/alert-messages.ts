/** What the running stack says about alerts: messages in the Slack stand-in, and what Alertmanager mutes. */
import { expect } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import { alerts } from "../../rules/index.ts";
import { worstCaseSeconds } from "../../rules/latency.ts";
import type { Alert } from "../../rules/types.ts";
import { at, getJson, query, until, type SlackMessage } from "./stack.ts";

/** Seconds beyond an alert's computed worst case: a machine with many other things to do, and the cause's own start. */
const slackSeconds = 60;

/** Names of the alerts that fire, without the Watchdog. */
export const firingNow = async (): Promise<string[]> => (await query('ALERTS{alertstate="firing",alertname!="Watchdog"}')).map((s) => s.metric.alertname!);

/**
 * Waits until nothing fires and Alertmanager holds nothing but the Watchdog.
 * @param seconds limit; by default a little longer than the windows of 5 minutes that must empty
 */
export async function silence(seconds = 330): Promise<void> {
  await until("silence", seconds, async () => {
    const held = (await alertmanagerAlerts()).map((a) => a.labels.alertname).filter((name) => name !== "Watchdog");
    const all = [...new Set([...(await firingNow()), ...held])];
    if (all.length > 0) throw new Error(`still ${all.join(", ")}`);
    return true;
  });
}

/** Id of the newest message; `expectMessage` looks at later ones. */
export const mark = async (): Promise<number> => (await messagesSince(0)).at(-1)?.id ?? 0;

export const messagesSince = async (id: number): Promise<SlackMessage[]> => (await getJson(at("slack-standin", `/messages?since=${id}`))).messages;

/** The part of a message that is about one alert: first line, summary, description, links. */
interface Part {
  readonly alert: string;
  readonly resolved: boolean;
  readonly lines: readonly string[];
}

/** Parts of a message's text; each begins with the alert's name in bold. */
function partsOf(message: SlackMessage): Part[] {
  const text = message.payload.attachments?.[0]?.text ?? "";
  return text
    .split(/^(?=\*\w+\*)/m)
    .filter((part) => part.startsWith("*"))
    .map((part) => {
      const lines = part.split("\n");
      return { alert: /^\*(\w+)\*/.exec(lines[0]!)![1]!, resolved: lines[0]!.includes(" · resolved"), lines };
    });
}

/** Firing parts about an alert in messages after `since`. */
export async function firingParts(name: string, since: number): Promise<{ message: SlackMessage; part: Part }[]> {
  return (await messagesSince(since)).flatMap((message) => partsOf(message).filter((part) => part.alert === name && !part.resolved).map((part) => ({ message, part })));
}

export interface Expected {
  /** Text of the part's first line, such as a tenant or an instance. */
  readonly about?: string;
  /** @default the one of the alert's team */
  readonly channel?: string;
  /** Seconds on top of the alert's worst case, for a window that has to fill. */
  readonly windowSeconds?: number;
}

/**
 * Waits for an alert's message and checks all that people are to read: channel, colour, title, summary, description with
 * its value, runbook and dashboard link.
 * @param since id from `mark`
 */
export async function expectMessage(s: Settings, name: string, since: number, { about = "", channel, windowSeconds = 0 }: Expected = {}): Promise<SlackMessage> {
  const found = await until(`${name} ${about} in Slack`, worstCaseSeconds(s, name) + windowSeconds + slackSeconds, async () => {
    const [first] = (await firingParts(name, since)).filter(({ part }) => part.lines[0]!.includes(about));
    if (first === undefined) throw new Error(`firing: ${(await firingNow()).join(", ")}`);
    return first;
  });
  checkMessage(s, name, found.message, found.part, channel);
  return found.message;
}

function checkMessage(s: Settings, name: string, message: SlackMessage, part: Part, channel: string | undefined): void {
  const [head = "", summary = "", description = ""] = part.lines;
  // Several rules may have one name, each with words of its own.
  const rule = alerts(s).find((a) => a.alert === name && pattern(a.summary).test(summary) && pattern(a.description).test(description));
  expect(rule, `summary and description of ${name}: ${summary} / ${description}`).toBeDefined();
  expect(description).not.toMatch(/NaN|Inf|no value|%!|\{\{/);
  expect(head).toContain(` · ${rule!.labels.severity}`);
  expect(part.lines[3]).toContain(`<${escaped(rule!.runbookUrl)}|Runbook>`);
  expect(part.lines[3]).toContain(`<${escaped(rule!.dashboardUrl)}|Dashboard>`);
  expect(part.lines[3]).toContain("|Silence>");
  expect(message.channel).toBe(channel ?? channelOf(rule!));
  const [attachment] = message.payload.attachments ?? [];
  expect(attachment?.title).toMatch(new RegExp(`^\\[FIRING(:\\d+)?\\] ${name} \\(.+\\)$`));
  expect(attachment?.color).toBe("danger");
  expect(attachment?.title_link).toContain(encodeURIComponent(name));
}

/** The CRM team reads its own channel, all others the operations team's. */
const channelOf = (rule: Alert): string => (rule.labels.team === "crm" ? "#crm-alerts" : "#ops-alerts");

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** What a template may become: its own words, with something in each of its places, and one side of each `if`. */
function pattern(template: string): RegExp {
  const words = (text: string) => escaped(text).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const action = (text: string) => (text.startsWith("if ") ? "(?:" : text === "else" ? "|" : text === "end" ? ")" : ".+?");
  // Every other piece stood in braces.
  const pieces = template.split(/\{\{\s*(.*?)\s*\}\}/);
  return new RegExp(`^${pieces.map((piece, i) => (i % 2 === 0 ? words(piece) : action(piece))).join("")}$`);
}

/** Waits for the green message that an alert is over. */
export async function expectResolved(name: string, since: number, seconds = 120): Promise<SlackMessage> {
  const message = await until(`${name} resolved in Slack`, seconds, async () =>
    (await messagesSince(since)).find((m) => m.payload.attachments?.[0]?.title?.startsWith(`[RESOLVED] ${name} (`)),
  );
  expect(message.payload.attachments?.[0]?.color).toBe("good");
  expect(partsOf(message).some((part) => part.alert === name && part.resolved)).toBe(true);
  return message;
}

/** An alert as Alertmanager has it. */
interface HeldAlert {
  readonly fingerprint: string;
  readonly labels: Record<string, string>;
  readonly status: { readonly state: string; readonly inhibitedBy: readonly string[] };
}

const alertmanagerAlerts = (): Promise<HeldAlert[]> => getJson(at("alertmanager", "/api/v2/alerts?active=true&inhibited=true&silenced=true"));

/**
 * Waits until Alertmanager holds an alert that is muted by another one.
 * @param labels that the muted alert must have, such as a tenant
 */
export async function expectMuted(name: string, source: string, labels: Readonly<Record<string, string>> = {}, seconds = 120): Promise<void> {
  await until(`${name} ${JSON.stringify(labels)} muted by ${source}`, seconds, async () => {
    const all = await alertmanagerAlerts();
    const sources = all.filter((a) => a.labels.alertname === source).map((a) => a.fingerprint);
    const targets = all.filter((a) => a.labels.alertname === name && Object.entries(labels).every(([label, value]) => a.labels[label] === value));
    if (targets.length === 0) throw new Error(`Alertmanager has no ${name}; it has ${all.map((a) => a.labels.alertname).join(", ")}`);
    return targets.every((a) => a.status.inhibitedBy.some((by) => sources.includes(by)));
  });
}

/** Nothing was said about an alert since `since`; `about` narrows it to a tenant or an instance. */
export async function expectNoMessage(name: string, since: number, about = ""): Promise<void> {
  const said = (await firingParts(name, since)).map(({ part }) => part.lines[0]!).filter((line) => line.includes(about));
  expect(said, `messages about ${name} ${about}`).toEqual([]);
}
