/** The newest messages of the Slack stand-in, as far as the page shows them. */
import { z } from "zod";
import { httpAddress, parseMrkdwn, toneOf, type Span } from "../../shared/mrkdwn.ts";
import { cut } from "../cut.ts";
import type { Inbox, InboxMessage } from "../state.ts";
import { getJson } from "./get-json.ts";

const text = z.string().nullish();
const attachment = z.object({ title: text, title_link: text, text, fallback: text, color: text });
const messages = z.object({ messages: z.array(z.object({ id: z.number(), at: z.string(), channel: z.string(), payload: z.object({ text, attachments: z.array(attachment).nullish() }) })) });
const deadMan = z.object({ state: z.string(), last_beat_at: z.string().nullable() });

const shown = 20;
const textLimit = 400;

/** @param url of the Slack stand-in */
export async function readInbox(url: string, timeoutMs: number): Promise<Inbox> {
  const [list, beat] = await Promise.all([getJson(`${url}/messages`, messages, timeoutMs), getJson(`${url}/deadman`, deadMan, timeoutMs)]);
  return {
    messages: list.messages.slice(-shown).reverse().map(toMessage),
    deadMan: { state: beat.state, lastBeatAt: beat.last_beat_at },
  };
}

function toMessage({ id, at, channel, payload }: z.infer<typeof messages>["messages"][number]): InboxMessage {
  const first = payload.attachments?.[0];
  const body = [payload.text, ...(payload.attachments ?? []).map((a) => a.text ?? a.fallback)].filter(Boolean).join("\n");
  return {
    id,
    at,
    channel,
    tone: toneOf(first?.color) ?? null,
    title: parseMrkdwn(first?.title ?? "").map((s) => s.text).join(""),
    link: httpAddress(first?.title_link) ?? null,
    text: cutSpans(parseMrkdwn(body)),
  };
}

/** As many runs as fit, the last one cut short. */
function cutSpans(spans: readonly Span[]): Span[] {
  let left = textLimit;
  const kept: Span[] = [];
  for (const span of spans) {
    if (span.text.length > left) return [...kept, { ...span, text: cut(span.text, left) }];
    kept.push(span);
    left -= span.text.length;
  }
  return kept;
}
