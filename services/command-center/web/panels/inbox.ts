/** What was sent to Slack, as the development stand-in has it. */
import type { Inbox, InboxMessage } from "../../state.ts";
import { ago, badge, el, externalLink, spanOf, type Child, type Tone } from "../dom.ts";

const tones: Readonly<Record<string, [Tone, string]>> = { danger: ["critical", "Firing"], good: ["ok", "Resolved"], warning: ["warning", "Warning"] };
const beats: Readonly<Record<string, [Tone, string]>> = { alive: ["ok", "Alive"], dead: ["critical", "Dead"], waiting: ["unknown", "No beat yet"] };

export function inboxPanel({ messages, deadMan }: Inbox): Child[] {
  const beat = deadMan && beats[deadMan.state];
  return [
    beat && el("p", {}, badge(...beat), " Dead man's switch", deadMan.lastBeatAt !== null && ": last beat ", deadMan.lastBeatAt !== null && ago(deadMan.lastBeatAt)),
    messages.length === 0 ? el("p", { class: "soft" }, "No messages.") : el("ul", { class: "plain messages scroll", tabindex: 0, "data-key": "inbox", "aria-label": "Messages, newest first" }, ...messages.map(message)),
  ];
}

function message({ id, at, channel, tone, title, link, text }: InboxMessage): HTMLElement {
  const mark = tone === null ? undefined : tones[tone];
  return el(
    "li",
    {},
    el("p", { class: "soft" }, mark && badge(...mark), " ", el("bdi", {}, channel), " · ", ago(at)),
    title !== "" && el("p", {}, el("strong", {}, externalLink(title, link, `message-${id}`))),
    text.length > 0 && el("p", { class: "pre" }, ...text.map((span, i) => spanOf(span, `message-${id}-${i}`))),
  );
}
