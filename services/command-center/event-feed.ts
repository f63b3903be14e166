/**
 * Follows crm-events over one connection for all pages, for as long as the process runs: reconnects by itself, resumes
 * where it was, and keeps the newest events.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../shared/log.ts";
import { EventRing, type Resumed } from "./event-ring.ts";
import { getEvents, jsonOf, type EventsAddress } from "./events-request.ts";
import { gapItem, toFeedItem, toHistory } from "./feed-item.ts";
import { AnswerTooLarge, reasonOf, SourceProblem } from "./sources/get-json.ts";
import { SseParser, SseTooLarge } from "./sse-parser.ts";
import type { Feed, FeedItem, Section } from "./state.ts";

export interface FeedOptions extends EventsAddress {
  readonly log: Logger;
  /** Events kept for pages that open or come back. */
  readonly keep?: number;
  /** A stream without a byte for so long is given up; crm-events sends a comment every 15 s. */
  readonly silenceMs?: number;
  /** Waits between attempts: the first, and the longest. */
  readonly backoffMs?: readonly [number, number];
}

type Listener = (items: readonly FeedItem[]) => void;

export class EventFeed {
  readonly #options: FeedOptions & Required<Omit<FeedOptions, keyof EventsAddress>>;
  readonly #ring: EventRing;
  readonly #listeners = new Set<Listener>();
  readonly #stopped = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #lastEventId = "";
  #retryMs = 0;
  #connected = false;
  #readAt: string | null = null;
  #problem: string | null = "was not reached yet";
  #lastEventAt: string | null = null;

  constructor(options: FeedOptions) {
    this.#options = { keep: 200, silenceMs: 45_000, backoffMs: [500, 10_000], ...options };
    this.#ring = new EventRing(randomBytes(6).toString("hex"), this.#options.keep);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get position(): string {
    return this.#ring.position;
  }

  resume(position: string | undefined): Resumed {
    return this.#ring.resume(position);
  }

  section(): Section<Feed> {
    return {
      source: "crm-events",
      ok: this.#connected,
      readAt: this.#connected ? new Date().toISOString() : this.#readAt,
      problem: this.#connected ? null : this.#problem,
      value: { connected: this.#connected, lastEventAt: this.#lastEventAt },
    };
  }

  async #run(): Promise<void> {
    const [first, longest] = this.#options.backoffMs;
    const { signal } = this.#stopped;
    let wait = first;
    while (!signal.aborted) {
      const startedAt = Date.now();
      try {
        if (this.#lastEventId === "") await this.#loadHistory();
        await this.#follow();
        this.#problem = "ended the stream";
      } catch (error) {
        this.#problem = reasonOf(error);
        if (error instanceof SseTooLarge) this.#skipAhead();
      }
      if (signal.aborted) break;
      // A stream that held for a while was a good one: a server that only greets and ends is not asked ever faster.
      if (Date.now() - startedAt > longest) wait = first;
      const pause = Math.max(wait, this.#retryMs) * (0.5 + Math.random() / 2);
      this.#options.log.warn({ reason: this.#problem, waitMs: Math.round(pause) }, "event stream lost");
      this.#connected = false;
      await sleep(pause, undefined, { signal }).catch(() => undefined);
      wait = Math.min(wait * 2, longest);
    }
    this.#connected = false;
  }

  /** Older events for the first page, fewer when they are large; the stream starts at the present without them. */
  async #loadHistory(): Promise<void> {
    for (let count = Math.min(100, this.#options.keep); count >= 1; count >>= 1) {
      try {
        return await this.#loadNewest(count);
      } catch (error) {
        if (!(error instanceof AnswerTooLarge)) throw error;
      }
    }
  }

  async #loadNewest(count: number): Promise<void> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(5000)]);
    const body = await getEvents(this.#options, `/crm-events/history?n=${count}`, {}, signal);
    const { items, position } = toHistory(await jsonOf(body));
    this.#publish(items);
    this.#lastEventId = position ?? "";
  }

  async #follow(): Promise<void> {
    const gaveUp = new AbortController();
    const watchdog = setTimeout(() => gaveUp.abort(new SourceProblem("fell silent")), this.#options.silenceMs);
    try {
      const headers = { accept: "text/event-stream", ...(this.#lastEventId !== "" && { "last-event-id": this.#lastEventId }) };
      const body = await getEvents(this.#options, "/crm-events", headers, AbortSignal.any([this.#stopped.signal, gaveUp.signal]));
      const parser = new SseParser(this.#lastEventId);
      this.#connected = true;
      for await (const chunk of body) {
        watchdog.refresh();
        this.#publish(parser.push(chunk).flatMap(toFeedItem));
        this.#lastEventId = parser.lastEventId;
        this.#retryMs = Math.min(parser.retryMs ?? 0, this.#options.backoffMs[1]);
      }
    } finally {
      clearTimeout(watchdog);
      if (this.#connected) this.#readAt = new Date().toISOString();
    }
  }

  /** Asking for the same message again would fail for ever. */
  #skipAhead(): void {
    this.#lastEventId = "";
    this.#publish([gapItem("too_large")]);
  }

  #publish(items: readonly FeedItem[]): void {
    if (items.length === 0) return;
    for (const item of items) this.#ring.add(item);
    this.#lastEventAt = items.at(-1)?.at ?? null;
    for (const listener of this.#listeners) listener(items);
  }
}
