/**
 * Moves events from the outbox to Kafka, at least once.
 *
 * One process at a time reads the unsent events in the order of their numbers, publishes a batch, waits for the
 * acknowledgement and marks it. A crash or a lost lease in between repeats a batch with the same event ids; the next one
 * never starts before, so that the first copies of an aggregate's events are in order.
 *
 * A partition that does not take its events is held back for a pause while the others go on, and is tried again from its
 * oldest event.
 */
import type { Logger } from "../../shared/log.ts";
import { isTopicGone, kafkaReason, WrongPartitionCount } from "../../shared/kafka.ts";
import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics.ts";
import type { Lease } from "../store/lease.ts";
import type { Db } from "../store/store.ts";
import type { OutboxEvent, Publisher } from "./publisher.ts";

export interface RelayOptions {
  /** Events of one batch, and so of memory. */
  readonly batchEvents: number;
  readonly batchBytes: number;
  /** How long to wait without a call of `wake` before looking again, in milliseconds. */
  readonly pollMs: number;
  /** Longest pause after failures, in milliseconds. */
  readonly maxBackoffMs: number;
  /** Sent events are deleted at this age, in milliseconds. */
  readonly keepMs: number;
}

export const relayDefaults: RelayOptions = { batchEvents: 500, batchBytes: 512 * 1024, pollMs: 1_000, maxBackoffMs: 5_000, keepMs: 72 * 60 * 60 * 1000 };

export interface RelayParts {
  readonly db: Db;
  readonly publisher: Publisher;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
}

const firstBackoffMs = 100;
const stopMs = 4_000;
const deleteEveryMs = 60_000;
const deleteBatch = 1_000;
const logEveryMs = 30_000;

export class OutboxRelay {
  readonly #parts: RelayParts;
  readonly #options: RelayOptions;
  readonly #stop = new AbortController();
  #wake: () => void = () => undefined;
  #woken = false;
  #prepared = false;
  #failures = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #deletedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #problem: string | undefined;
  /** Partitions that are left out until the pause is over, and up to which number the outbox has been read without them. */
  readonly #held = new Set<number>();
  #readTo = 0;
  #refusals = 0;
  #pauseOver = false;

  constructor(parts: RelayParts, options: Partial<RelayOptions> = {}) {
    this.#parts = parts;
    this.#options = { ...relayDefaults, ...options };
    const { topic } = parts.publisher;
    parts.metrics.outboxPublished.inc({ topic }, 0);
    parts.metrics.outboxPublishedBytes.inc({ topic }, 0);
  }

  /** A mistake in the configuration that keeps events back until somebody corrects it. */
  get problem(): string | undefined {
    return this.#problem;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Looks for events now. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Ends after the batch under way, or without it when the broker is silent: it is sent again then. The lease is free. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    const done = new AbortController();
    await Promise.race([this.#running, this.#parts.clock.sleep(stopMs, done.signal)]);
    done.abort();
    await this.#parts.publisher.close();
    await this.#parts.lease.release().catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#step();
        this.#failures = 0;
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  async #step(): Promise<void> {
    const { publisher, lease } = this.#parts;
    if (!this.#prepared) {
      await publisher.prepare();
      this.#prepared = true;
      this.#problem = undefined;
    }
    this.#woken = false;
    const sent = (await lease.hold()) ? await this.#sendBatch() : 0;
    if (sent === 0 && !this.#woken) await this.#wait(this.#options.pollMs);
  }

  /** @returns how many events were looked at */
  async #sendBatch(): Promise<number> {
    const { publisher, clock } = this.#parts;
    const { events, isRest } = await this.#unsent();
    const free = this.#without(this.#held, events);
    if (free.length > 0) {
      const refused = await publisher.publish(free);
      const taken = this.#without(refused, free);
      if (taken.length > 0) await this.#mark(taken);
      if (refused.size > 0) this.#hold(refused);
    }
    if (this.#held.size === 0) this.#refusals = 0;
    // Not before all others have been sent: the try that failed may have taken longer than the pause.
    else if (isRest && this.#pauseOver) this.#release();
    else this.#readTo = events.at(-1)?.seq ?? this.#readTo;
    if (clock.now() - this.#deletedAt >= deleteEveryMs) await this.#deleteOld();
    return events.length;
  }

  #without(partitions: { readonly size: number; has(partition: number): boolean }, events: readonly OutboxEvent[]): readonly OutboxEvent[] {
    return partitions.size === 0 ? events : events.filter((e) => !partitions.has(this.#parts.publisher.partition(e.key)));
  }

  async #mark(events: readonly OutboxEvent[]): Promise<void> {
    const { db, publisher, metrics, clock } = this.#parts;
    await db.updateTable("outbox").set({ sent_at: clock.now() }).where("seq", "in", events.map((e) => e.seq)).execute();
    metrics.outboxPublished.inc({ topic: publisher.topic }, events.length);
    metrics.outboxPublishedBytes.inc({ topic: publisher.topic }, events.reduce((sum, e) => sum + size(e), 0));
  }

  /** Leaves partitions out until a pause is over; that of the first ends it for all. */
  #hold(refused: ReadonlyMap<number, unknown>): void {
    if ([...refused.values()].some(isTopicGone)) this.#prepared = false;
    const isFirst = this.#held.size === 0;
    for (const partition of refused.keys()) this.#held.add(partition);
    this.#report(refused.values().next().value, isFirst ? ++this.#refusals : this.#refusals, { partitions: [...this.#held].toSorted((a, b) => a - b) });
    if (!isFirst) return;
    const over = () => {
      this.#pauseOver = true;
      this.wake();
    };
    void this.#pause(this.#refusals).then(over);
  }

  #release(): void {
    this.#pauseOver = false;
    this.#held.clear();
    this.#readTo = 0;
    this.#woken = true;
  }

  /** The next batch, and whether there is nothing after it now. */
  async #unsent(): Promise<{ events: OutboxEvent[]; isRest: boolean }> {
    const rows = await this.#parts.db
      .selectFrom("outbox")
      .select(["seq", "event_id", "type", "key", "value"])
      .where("sent_at", "is", null)
      .where("seq", ">", this.#readTo)
      .orderBy("seq")
      .limit(this.#options.batchEvents)
      .execute();
    let bytes = 0;
    const tooMany = rows.findIndex((row) => (bytes += size(row)) > this.#options.batchBytes);
    // An event that is too large on its own goes alone.
    return tooMany === -1 ? { events: rows, isRest: rows.length < this.#options.batchEvents } : { events: rows.slice(0, Math.max(1, tooMany)), isRest: false };
  }

  async #deleteOld(): Promise<void> {
    const { db, clock } = this.#parts;
    const old = db.selectFrom("outbox").select("seq").where("sent_at", "is not", null).where("sent_at", "<", clock.now() - this.#options.keepMs).limit(deleteBatch);
    const { numDeletedRows } = await db.deleteFrom("outbox").where("seq", "in", old).executeTakeFirstOrThrow();
    // A full batch: there is more, after the next events.
    if (numDeletedRows < BigInt(deleteBatch)) this.#deletedAt = clock.now();
  }

  async #failed(error: unknown): Promise<void> {
    this.#prepared = false;
    this.#problem = error instanceof WrongPartitionCount ? error.message : undefined;
    this.#report(error, ++this.#failures);
    await this.#pause(this.#failures);
  }

  /** @param failures how many in a row */
  #report(error: unknown, failures: number, more: object = {}): void {
    const { metrics, log, clock } = this.#parts;
    metrics.outboxFailures.inc();
    if (failures > 1 && clock.now() - this.#loggedAt < logEveryMs) return;
    this.#loggedAt = clock.now();
    log.error({ reason: kafkaReason(error), failures, ...more }, "events stay in the outbox and will be sent again");
  }

  async #pause(failures: number): Promise<void> {
    const ms = Math.min(this.#options.maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 16));
    // Jitter keeps replicas from asking a returning broker in step.
    await this.#parts.clock.sleep(ms * (0.5 + Math.random() / 2), this.#stop.signal);
  }

  async #wait(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#wake = () => undefined;
  }
}

const size = (e: OutboxEvent): number => Buffer.byteLength(e.key) + Buffer.byteLength(e.value);
