/** Makes feed items of what crm-events sends: short, and with nothing but text inside. */
import { z } from "zod";
import { cut } from "./cut.ts";
import type { SseMessage } from "./sse-parser.ts";
import type { FeedItem } from "./state.ts";

const eventSchema = z.object({
  id: z.string(),
  type: z.string(),
  ts: z.string(),
  org_id: z.string(),
  aggregate: z.object({ type: z.string(), id: z.string() }),
  data: z.record(z.string(), z.unknown()),
});
const historySchema = z.object({ events: z.array(z.unknown()), last_event_id: z.string().optional() });

const nameLimit = 120;
const dataLimit = 1000;
/** A part of a string keeps all of it in memory, so the part is copied. */
const copy = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le");
const short = (text: string, limit: number): string => (text.length > limit ? copy(cut(text, limit)) : cut(text, limit));

let gaps = 0;

/** A note that events are missing at this place. */
export function gapItem(reason: string): FeedItem {
  return { kind: "gap", id: `gap-${++gaps}`, at: new Date().toISOString(), reason: short(reason, nameLimit) };
}

/** @returns no item for a message that is neither an event nor a gap */
export function toFeedItem({ event, data }: SseMessage): FeedItem[] {
  if (event !== "message" && event !== "gap") return [];
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return [];
  }
  if (event === "message") return eventItem(value);
  const reason = z.object({ reason: z.string() }).safeParse(value).data?.reason ?? "unknown";
  return [gapItem(reason)];
}

/** @returns the events of a history answer, oldest first, and the position behind them when it is given */
export function toHistory(answer: unknown): { items: FeedItem[]; position: string | undefined } {
  const { events, last_event_id } = historySchema.safeParse(answer).data ?? { events: [] };
  return { items: events.flatMap(eventItem), position: last_event_id };
}

function eventItem(value: unknown): FeedItem[] {
  const parsed = eventSchema.safeParse(value);
  if (!parsed.success) return [];
  const { id, type, ts, org_id, aggregate, data } = parsed.data;
  // A payment's event is about its invoice, whose amount it has beside its own.
  const amount = data["payment_cents"] ?? data["amount_cents"];
  return [
    {
      kind: "event",
      id: short(id, nameLimit),
      type: short(type, nameLimit),
      at: short(ts, nameLimit),
      org: short(org_id, nameLimit),
      aggregate: short(`${aggregate.type} ${aggregate.id}`, nameLimit),
      amountCents: typeof amount === "number" && Number.isSafeInteger(amount) ? amount : null,
      data: short(textOf(data), dataLimit),
    },
  ];
}

/** One event that cannot be shown must not end the stream, which would begin with it again for ever. */
function textOf(data: unknown): string {
  try {
    return JSON.stringify(data);
  } catch {
    return "(too deep to show)";
  }
}
