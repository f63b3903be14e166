/** The open pages: each gets state and events over one stream; one that does not read is cut off. */
import type { FastifyReply } from "fastify";
import type { Collector } from "./collector.ts";
import type { EventFeed } from "./event-feed.ts";
import type { FeedItem, FeedMessage, SectionUpdate, StateMessage } from "./state.ts";

export interface ViewersOptions {
  readonly collector: Collector;
  readonly feed: EventFeed;
  /** Parts of each state message that are known at the start. */
  readonly about: Pick<StateMessage, "build" | "everySeconds" | "links">;
  readonly maxViewers?: number;
  /** Unread bytes at which a page counts as gone. */
  readonly maxBufferedBytes?: number;
  /** Told when the number of pages changes; `slow` when one was cut off. */
  readonly onChange?: (count: number, slow: boolean) => void;
}

/** Events are sent at most this often, and at most so many at a time. */
const batchMs = 250;
const batchLimit = 100;
const retryMs = 1500;

export class Viewers {
  readonly #options: Required<ViewersOptions>;
  readonly #streams = new Set<FastifyReply["raw"]>();
  #unsubscribe: (() => void) | undefined;
  #batch: FeedItem[] = [];
  #skipped = 0;
  #flushing: NodeJS.Timeout | undefined;

  constructor(options: ViewersOptions) {
    this.#options = { maxViewers: 200, maxBufferedBytes: 1024 * 1024, onChange: () => undefined, ...options };
  }

  get full(): boolean {
    return this.#streams.size >= this.#options.maxViewers;
  }

  /**
   * Takes over a request and keeps its stream going until either side ends it.
   * @param position where this page's events stopped, if it had any
   */
  add(reply: FastifyReply, position: string | undefined): void {
    const { collector, feed } = this.#options;
    reply.hijack();
    const stream = reply.raw;
    stream.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform", "x-accel-buffering": "no", "x-content-type-options": "nosniff" });
    // What waits for the next batch is in the replay already: others get it first, so that nobody gets it twice.
    this.#flush();
    const { items, restarted } = feed.resume(position);
    stream.write(`retry: ${retryMs}\n\n`);
    stream.write(this.#stateFrame(collector.snapshot()));
    stream.write(this.#eventsFrame({ items, skipped: 0, restarted }));
    this.#streams.add(stream);
    stream.on("close", () => this.#remove(stream, false));
    stream.on("error", () => this.#remove(stream, false));
    if (this.#streams.size === 1) this.#follow();
    this.#options.onChange(this.#streams.size, false);
  }

  /** Ends all streams; pages come back by themselves. */
  close(): void {
    this.#unfollow();
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
  }

  #follow(): void {
    const { collector, feed } = this.#options;
    const ends = [collector.subscribe((update) => this.#send(this.#stateFrame(update))), feed.subscribe((items) => this.#collect(items))];
    this.#unsubscribe = () => ends.forEach((end) => end());
  }

  #unfollow(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#batch = [];
    this.#skipped = 0;
  }

  #collect(items: readonly FeedItem[]): void {
    this.#batch.push(...items);
    if (this.#batch.length > batchLimit) this.#skipped += this.#batch.splice(0, this.#batch.length - batchLimit).length;
    this.#flushing ??= setTimeout(() => this.#flush(), batchMs);
  }

  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    if (this.#batch.length === 0) return;
    const frame = this.#eventsFrame({ items: this.#batch, skipped: this.#skipped, restarted: false });
    this.#batch = [];
    this.#skipped = 0;
    this.#send(frame);
  }

  #stateFrame(update: Readonly<Record<string, SectionUpdate>>): string {
    const feed = this.#options.feed.section();
    const message: StateMessage = { at: new Date().toISOString(), ...this.#options.about, sections: { ...update, feed } };
    return `event: state\ndata: ${JSON.stringify(message)}\n\n`;
  }

  /** JSON has no line ends of its own, so no text of an event can end the field. */
  #eventsFrame(message: FeedMessage): string {
    return `event: events\nid: ${this.#options.feed.position}\ndata: ${JSON.stringify(message)}\n\n`;
  }

  #send(frame: string): void {
    for (const stream of this.#streams) {
      if (stream.writableLength > this.#options.maxBufferedBytes) {
        this.#remove(stream, true);
        stream.destroy();
      } else stream.write(frame);
    }
  }

  #remove(stream: FastifyReply["raw"], slow: boolean): void {
    if (!this.#streams.delete(stream)) return;
    if (this.#streams.size === 0) this.#unfollow();
    this.#options.onChange(this.#streams.size, slow);
  }
}
