/** The newest messages, in memory, within a number and a size. */
import type { SlackPayload } from "./message-check.ts";

/** A message as the API gives it. */
export interface Message {
  /** Grows by one per message, from 1 at the start of the process. */
  readonly id: number;
  /** ISO 8601 time of reception. */
  readonly at: string;
  readonly channel: string;
  readonly payload: SlackPayload;
}

/** Limits of an inbox. */
export interface InboxLimits {
  readonly messages: number;
  /** Size of all messages together, as JSON. */
  readonly bytes: number;
}

const defaultLimits: InboxLimits = { messages: 500, bytes: 1024 * 1024 };

/** Drops the oldest when a limit is passed; the newest message always stays. */
export class Inbox {
  readonly #limits: InboxLimits;
  readonly #now: () => Date;
  #kept: { message: Message; bytes: number }[] = [];
  #bytes = 0;
  #lastId = 0;

  constructor(limits: InboxLimits = defaultLimits, now: () => Date = () => new Date()) {
    this.#limits = limits;
    this.#now = now;
  }

  add(channel: string, payload: SlackPayload): Message {
    const message = { id: ++this.#lastId, at: this.#now().toISOString(), channel, payload };
    const bytes = Buffer.byteLength(JSON.stringify(message));
    this.#kept.push({ message, bytes });
    this.#bytes += bytes;
    while (this.#kept.length > this.#limits.messages || (this.#bytes > this.#limits.bytes && this.#kept.length > 1)) {
      this.#bytes -= this.#kept.shift()?.bytes ?? 0;
    }
    return message;
  }

  /**
   * @param channel only this channel
   * @param since only messages after this id, or received after this time
   * @returns oldest first
   */
  list(channel?: string, since?: number | Date): Message[] {
    return this.#kept
      .map((entry) => entry.message)
      .filter((m) => channel === undefined || m.channel === channel)
      .filter((m) => since === undefined || (since instanceof Date ? new Date(m.at) > since : m.id > since));
  }

  clear(): void {
    this.#kept = [];
    this.#bytes = 0;
  }
}
