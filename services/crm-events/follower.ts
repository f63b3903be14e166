/** Brings one client from where it left off to the present, without a hole or with an explicit gap, at the client's own pace. */
import { setTimeout as sleep } from "node:timers/promises";
import type { History } from "./history.ts";
import type { Client, Hub } from "./hub.ts";
import { Cursor, type Position } from "./position.ts";
import { eventParts, Frame, gapFrame, openingFrame, type GapReason } from "./sse.ts";
import { OffsetOutOfRange, type LogSlice } from "./topic-log.ts";

/** Bytes of events in one frame, after which the client's pace is looked at; a larger event has a frame of its own. */
const portionBytes = 64 * 1024;
/** Pause before Kafka is asked again after it could not answer. */
const retryMs = 500;
/**
 * A message may be this much older than the moment at which Kafka got it: a producer tries for half a minute under the
 * same time, and clocks differ.
 */
const marginMs = 60_000;

/** Events that go out as one frame. */
class Portion {
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  get empty(): boolean {
    return this.#parts.length === 0;
  }

  /** Whether another event has room; one alone always has. */
  fits(json: Buffer): boolean {
    return this.empty || this.#bytes + json.length <= portionBytes;
  }

  add(id: string, json: Buffer): void {
    const parts = eventParts(id, json);
    for (const part of parts) this.#bytes += part.length;
    this.#parts.push(...parts);
  }

  frame(): Frame {
    return new Frame(Buffer.concat(this.#parts, this.#bytes));
  }
}

export class Follower {
  readonly #hub: Hub;
  readonly #client: Client;
  #history!: History;
  #cursor!: Cursor;
  /** Next entry of the history to look at. */
  #seq = 0;

  constructor(hub: Hub, client: Client) {
    this.#hub = hub;
    this.#client = client;
  }

  /**
   * Serves a client that has just come, until it is up to date or gone.
   * @param named whether it named a position
   * @param position undefined when it named none or one that cannot be read
   */
  async run(named: boolean, position: Position | undefined): Promise<void> {
    const early = this.#hub.history === undefined;
    const cameAt = Date.now();
    const history = await this.#ready();
    if (history === undefined) return;
    if (!named && early) return this.#begin(history, await this.#positionAt(history, cameAt), "lost");
    if (!named) return this.#resume(history, this.#hub.now(history));
    return this.#begin(history, position, "unreadable");
  }

  /** @param unknown what a client is told whose position is undefined */
  async #begin(history: History, position: Position | undefined, unknown: GapReason): Promise<void> {
    const reason = position === undefined ? unknown : await this.#judge(history, position);
    if (this.#client.closed) return;
    if (reason !== undefined) return this.#gap(reason, position);
    return this.#resume(history, position!);
  }

  /**
   * Where a client begins that names no position and came before this replica reached Kafka: not where the topic ended when
   * it was reached, for others may have written since. It may be a little earlier, and so give what is not new; never later.
   * @param cameAt milliseconds since 1970
   * @returns undefined when Kafka cannot tell, or the client is gone
   */
  async #positionAt(history: History, cameAt: number): Promise<Position | undefined> {
    const { epoch, next: ends } = this.#hub.now(history);
    if (this.#hub.fresh) return { epoch, next: ends.map(() => 0) };
    const times = await this.#askKafka(() => this.#hub.options.topic.since(cameAt - marginMs));
    // A partition that was added meanwhile is read from its start, whoever reads it.
    const offsets = ends.map((_, p) => times?.next[p]);
    if (times === undefined || offsets.includes(undefined)) return undefined;
    return { epoch: times.epoch, next: ends.map((end, p) => Math.min(end, offsets[p]!)) };
  }

  async #resume(history: History, position: Position): Promise<void> {
    this.#hub.write(this.#client, openingFrame(this.#hub.retry(), position));
    return this.#follow(history, position);
  }

  /** Serves a client whose topic was made anew under it. */
  async restart(reason: GapReason, from: Position): Promise<void> {
    return this.#gap(reason, from);
  }

  /** @returns undefined when the stream is over before Kafka was reached */
  async #ready(): Promise<History | undefined> {
    while (!this.#over) {
      if (this.#hub.history !== undefined) return this.#hub.history;
      await this.#hub.changed;
    }
    return undefined;
  }

  /** Whether every event behind a position can still be given. */
  async #judge(history: History, position: Position): Promise<GapReason | undefined> {
    const { epoch, next } = history.position;
    if (position.epoch !== epoch) return "epoch";
    if (position.next.length > next.length) return "ahead";
    const at = (p: number) => position.next[p] ?? 0;
    if (next.every((offset, p) => at(p) <= offset && at(p) >= history.from(p))) return undefined;
    const bounds = await this.#askKafka(() => this.#hub.options.topic.bounds(position.next));
    if (bounds === undefined) return undefined;
    // A partition without a leader has no bounds that could be known, and nothing to say against a position.
    if (bounds.ends.some((end, p) => at(p) > (end ?? Number.POSITIVE_INFINITY))) return "ahead";
    if (bounds.starts.some((start, p) => at(p) < (start ?? 0))) return "expired";
    const missing = bounds.ends.reduce<number>((sum, end, p) => sum + Math.max(0, (end ?? 0) - at(p)), 0);
    return missing > this.#hub.options.replayEvents ? "too_far" : undefined;
  }

  /** Repeats until Kafka answers. @returns undefined when the client is gone first */
  async #askKafka<T>(ask: () => Promise<T>): Promise<T | undefined> {
    while (!this.#client.closed) {
      try {
        return await ask();
      } catch (error) {
        if (error instanceof OffsetOutOfRange) throw error;
        await sleep(retryMs);
      }
    }
    return undefined;
  }

  async #gap(reason: GapReason, from: Position | undefined): Promise<void> {
    const history = this.#hub.history!;
    const to = this.#hub.now(history);
    // Without an id of its own: a client that is cut off between the two blocks must not believe that it has everything.
    this.#hub.write(this.#client, openingFrame(this.#hub.retry()));
    this.#hub.write(this.#client, gapFrame(reason, from, to));
    return this.#follow(history, to);
  }

  async #follow(history: History, from: Position): Promise<void> {
    this.#history = history;
    this.#cursor = new Cursor(from);
    this.#seq = history.firstSeq;
    while (!this.#over) {
      if (this.#hub.history !== history) return this.#gap(this.#hub.reasonOfRestart, this.#cursor);
      const behind = this.#partitionBehindHistory();
      if (behind !== undefined) {
        const reason = await this.#replay(behind);
        if (reason !== undefined) return this.#gap(reason, this.#cursor);
        continue;
      }
      const portion = this.#portionOfHistory();
      // That there is none, and what follows from it, is one turn: an event that came in between would pass this client by.
      if (!portion.empty) await this.#give(portion);
      else if (this.#upToDate()) return this.#hub.goLive(this.#client);
      else await this.#hub.changed;
    }
  }

  /** The client is gone, or was told to come back later. */
  get #over(): boolean {
    return this.#client.closed || this.#hub.draining;
  }

  #next(partition: number): number {
    return this.#cursor.next[partition] ?? 0;
  }

  #partitionBehindHistory(): number | undefined {
    const index = this.#history.position.next.findIndex((_, p) => this.#next(p) < this.#history.from(p));
    return index === -1 ? undefined : index;
  }

  #upToDate(): boolean {
    return this.#history.position.next.every((offset, p) => this.#next(p) <= offset);
  }

  /** One slice from Kafka. @returns why there is a gap, when the events are gone */
  async #replay(partition: number): Promise<GapReason | undefined> {
    let slice: LogSlice | undefined;
    try {
      slice = await this.#askKafka(() => this.#hub.options.topic.read(this.#cursor.epoch, partition, this.#next(partition)));
    } catch (error) {
      if (error instanceof OffsetOutOfRange) return "expired";
      throw error;
    }
    if (slice === undefined) return undefined;
    const held = slice.events.reduce((sum, { json }) => sum + json.length, 0);
    let portion = new Portion();
    for (const { offset, json } of slice.events) {
      if (!portion.fits(json)) {
        await this.#give(portion, held);
        if (this.#client.closed) return undefined;
        portion = new Portion();
      }
      this.#cursor.advance(partition, offset + 1);
      portion.add(this.#cursor.id, json);
    }
    await this.#give(portion, held);
    this.#cursor.advance(partition, slice.next);
    return undefined;
  }

  /** One portion from this replica's history; empty when there is nothing left in it for this client. */
  #portionOfHistory(): Portion {
    const history = this.#history;
    const portion = new Portion();
    for (this.#seq = Math.max(this.#seq, history.firstSeq); this.#seq < history.nextSeq; this.#seq++) {
      const { partition, offset, json } = history.at(this.#seq);
      // The client may be ahead in some partitions: another replica had read further in them.
      if (offset < this.#next(partition)) continue;
      if (!portion.fits(json)) break;
      this.#cursor.advance(partition, offset + 1);
      portion.add(this.#cursor.id, json);
    }
    return portion;
  }

  /** @param held bytes that stay in memory while the client reads */
  async #give(portion: Portion, held = 0): Promise<void> {
    if (portion.empty) return;
    if (!this.#hub.write(this.#client, portion.frame())) await this.#hub.settle(this.#client, held);
  }
}
