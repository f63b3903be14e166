/**
 * What Slack's incoming webhooks take and refuse: answers and limits as Slack documents them for incoming webhooks, Block
 * Kit and message attachments.
 */
import { z } from "zod";
import { isDeeperThan } from "../shared/nesting.ts";
import { blocksAreValid } from "./block-check.ts";

/** A message as it was sent; fields that nobody here reads are kept. */
export type SlackPayload = z.infer<typeof payloadSchema>;

/** Slack's refusal: its status and the word in its body. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
}

/** Longer message text is cut by Slack, not refused. */
export const textLimit = 40_000;
const attachmentsLimit = 100;
/** Far above what any message needs, far below what the stack takes. */
const levelsLimit = 100;

const text = z.string().nullish();
const attachment = z.looseObject({
  text,
  fallback: text,
  pretext: text,
  title: text,
  title_link: text,
  color: text,
  footer: text,
  fields: z.array(z.looseObject({ title: text, value: z.union([z.string(), z.number(), z.boolean()]).nullish(), short: z.boolean().nullish() })).nullish(),
  actions: z.array(z.looseObject({ type: text, text: z.unknown(), url: text })).nullish(),
  blocks: z.array(z.unknown()).nullish(),
});
const payloadSchema = z.looseObject({
  text,
  channel: text,
  username: text,
  icon_emoji: text,
  blocks: z.array(z.unknown()).nullish(),
  attachments: z.array(attachment).nullish(),
});

const refuse = (status: number, code: string): Refusal => ({ status, code });

/**
 * @param body the request's body
 * @param contentType decides between JSON (also when absent) and a form with the field `payload`
 * @returns the message, its text cut at Slack's limit, or Slack's refusal
 */
export function readMessage(body: string, contentType: string): { payload: SlackPayload } | { refusal: Refusal } {
  const json = contentType.startsWith("application/x-www-form-urlencoded") ? (new URLSearchParams(body).get("payload") ?? body) : body;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { refusal: refuse(400, "invalid_payload") };
  }
  if (isDeeperThan(value, levelsLimit)) return { refusal: refuse(400, "invalid_payload") };
  const parsed = payloadSchema.safeParse(value);
  if (!parsed.success) return { refusal: refuse(400, "invalid_payload") };
  const refusal = checkContent(parsed.data);
  return refusal ? { refusal } : { payload: cutText(parsed.data) };
}

function checkContent(payload: SlackPayload): Refusal | undefined {
  const blocks = payload.blocks ?? [];
  const attachments = payload.attachments ?? [];
  if (!payload.text && blocks.length === 0) {
    if (attachments.length === 0) return refuse(400, "no_text");
    if (!attachments.some(hasContent)) return refuse(400, "missing_text_or_fallback_or_attachments");
  }
  if (attachments.length > attachmentsLimit) return refuse(400, "too_many_attachments");
  if (!blocksAreValid(blocks)) return refuse(400, "invalid_blocks");
  if (!attachments.every((a) => blocksAreValid(a.blocks ?? []))) return refuse(400, "invalid_attachments");
  return undefined;
}

function hasContent(a: z.infer<typeof attachment>): boolean {
  return Boolean(a.text || a.fallback || a.pretext || a.title || a.fields?.length || a.blocks?.length);
}

function cutText(payload: SlackPayload): SlackPayload {
  if ((payload.text?.length ?? 0) <= textLimit) return payload;
  return { ...payload, text: Array.from(payload.text ?? "").slice(0, textLimit).join("") };
}

/**
 * @param named the message's own `channel`, if any; a modern webhook is bound to a channel and ignores another that exists
 * @param known the channels that exist
 * @returns Slack's refusal of a channel or user that does not exist
 */
export function checkChannel(named: string | null | undefined, known: readonly string[]): Refusal | undefined {
  if (!named) return undefined;
  if (named.startsWith("@")) return refuse(400, "user_not_found");
  // Slack's own ids (C0123ABCD) say nothing here and mean the bound channel.
  if (/^[CG][A-Z0-9]{8,}$/.test(named)) return undefined;
  return known.includes(named.startsWith("#") ? named : `#${named}`) ? undefined : refuse(404, "channel_not_found");
}
