/**
 * Moves events from the outbox to Kafka, at least once.
 *
 * One process at a time reads the unsent events in the order of their numbers, publishes a batch, waits for the
 * acknowledgement and marks it. A crash or a lost lease in between repeats a batch with the same event ids; the next one
 * never starts before, so that the first copies of an aggregate's events are in order.
 *
 * A partition that does not take its events is held: they are set aside and tried by themselves while the others go on.
 */
import type { Logger } from "../../shared/log.ts";
import { isTopicGone, kafkaReason, WrongPartitionCount } from "../../shared/kafka.ts";
import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics.ts";
import type { Lease } from "../store/lease.ts";
import type { Db } from "../store/store.ts";
import type { OutboxEvent, Publisher } from "./publisher.ts";
import { OutboxQueue, sizeOf } from "./queue.ts";

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

/** A partition whose events are set aside. */
interface Held {
  /** Tries that failed in a row. */
  failures: number;
  /** The try under way with the pause after it; undefined when it is over. */
  trying: Promise<void> | undefined;
}

const firstBackoffMs = 100;
const stopMs = 4_000;
const deleteEveryMs = 60_000;
const deleteBatch = 1_000;
const logEveryMs = 30_000;

export class OutboxRelay {
  readonly #parts: RelayParts;
  readonly #options: RelayOptions;
  readonly #queue: OutboxQueue;
  readonly #held = new Map<number, Held>();
  readonly #stop = new AbortController();
  #wake: () => void = () => undefined;
  #woken = false;
  #prepared = false;
  /** Has had the lease since what was set aside was put back; when it last asked for it, in milliseconds that no clock changes. */
  #mine = false;
  #heldAt = 0;
  #failures = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #deletedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #problem: string | undefined;

  constructor(parts: RelayParts, options: Partial<RelayOptions> = {}) {
    this.#parts = parts;
    this.#options = { ...relayDefaults, ...options };
    this.#queue = new OutboxQueue(parts.db, this.#options);
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

  /** Ends after the batches under way, or without them when the broker is silent: they are sent again then. The lease is free. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    const done = new AbortController();
    const all = Promise.all([this.#running, ...this.#tries()]);
    await Promise.race([all, this.#parts.clock.sleep(stopMs, done.signal)]);
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
    const { publisher } = this.#parts;
    if (!this.#prepared) {
      await publisher.prepare();
      this.#prepared = true;
      this.#problem = undefined;
    }
    this.#woken = false;
    const looked = (await this.#hasLease()) ? await this.#sendBatch() : 0;
    if (looked === 0 && !this.#woken) await this.#wait(this.#options.pollMs);
  }

  /** After a time in which another process may have had the lease, and at the start, what was set aside is put back. */
  async #hasLease(): Promise<boolean> {
    const { lease } = this.#parts;
    if (!this.#mine) {
      await Promise.all(this.#tries());
      for (const partition of this.#held.keys()) this.#free(partition);
    }
    const asked = performance.now();
    const held = await lease.hold();
    // Here it may have hung, while another one came and went.
    if (!held || (this.#mine && performance.now() - this.#heldAt >= (lease.ttlMs ?? Number.POSITIVE_INFINITY))) return (this.#mine = false);
    this.#heldAt = asked;
    if (!this.#mine) await this.#queue.putBack();
    return (this.#mine = true);
  }

  /** @returns how many events were looked at */
  async #sendBatch(): Promise<number> {
    const { publisher, clock } = this.#parts;
    for (const [partition, held] of this.#held) if (held.trying === undefined) await this.#tryAgain(partition, held);
    // Also after the clock was set back.
    if (Math.abs(clock.now() - this.#deletedAt) >= deleteEveryMs) await this.#deleteOld();
    if (this.#held.size === publisher.partitions) return 0;
    const events = await this.#queue.next();
    const parts = Map.groupBy(events, (e) => this.#held.size > 0 && this.#held.has(publisher.partition(e.key)));
    await this.#setAside(parts.get(true) ?? []);
    const free = parts.get(false) ?? [];
    if (free.length > 0) await this.#send(free);
    return events.length;
  }

  async #send(events: readonly OutboxEvent[]): Promise<void> {
    const { publisher } = this.#parts;
    const refused = await publisher.publish(events);
    if (refused.size === 0) return this.#sent(events);
    const parts = Map.groupBy(events, (e) => refused.has(publisher.partition(e.key)));
    const [error] = refused.values();
    this.#report(error, 1, { partitions: [...refused.keys()].toSorted((a, b) => a - b) });
    if (isTopicGone(error)) this.#prepared = false;
    for (const partition of refused.keys()) this.#hold(partition);
    await this.#setAside(parts.get(true) ?? []);
    await this.#sent(parts.get(false) ?? []);
  }

  /** From now on all events of the partition that are read are set aside. */
  #hold(partition: number): void {
    const held: Held = { failures: 1, trying: undefined };
    this.#held.set(partition, held);
    held.trying = this.#rest(held);
  }

  /** Starts a try, or lets the partition go when nothing of it is set aside any more. */
  async #tryAgain(partition: number, held: Held): Promise<void> {
    const events = await this.#queue.next(partition);
    if (events.length === 0) return this.#free(partition);
    held.trying = this.#try(partition, held, events);
    // It takes events again. Without others coming in between, this try is its last.
    if (held.failures === 0) await held.trying;
  }

  #free(partition: number): void {
    this.#held.delete(partition);
    this.#parts.publisher.release(partition);
  }

  /** Sends what is set aside of a partition, its first batch to its last, until it is refused. */
  async #try(partition: number, held: Held, first: readonly OutboxEvent[]): Promise<void> {
    const { publisher, lease } = this.#parts;
    try {
      for (let events = first; events.length > 0 && !this.#stop.signal.aborted && (await lease.hold()); events = await this.#queue.next(partition)) {
        const refused = await publisher.publish(events, partition);
        if (refused.size > 0) throw refused.get(partition);
        await this.#sent(events);
        held.failures = 0;
      }
    } catch (error) {
      this.#report(error, ++held.failures, { partitions: [partition] });
      if (isTopicGone(error)) this.#prepared = false;
    }
    await this.#rest(held);
  }

  async #rest(held: Held): Promise<void> {
    if (held.failures > 0) await this.#pause(held.failures);
    held.trying = undefined;
    this.wake();
  }

  #tries(): Promise<void>[] {
    return [...this.#held.values()].flatMap(({ trying }) => trying ?? []);
  }

  async #setAside(events: readonly OutboxEvent[]): Promise<void> {
    for (const [partition, some] of Map.groupBy(events, (e) => this.#parts.publisher.partition(e.key))) await this.#queue.setAside(some, partition);
  }

  async #sent(events: readonly OutboxEvent[]): Promise<void> {
    const { publisher: { topic }, metrics, clock } = this.#parts;
    if (events.length === 0) return;
    await this.#queue.markSent(events, clock.now());
    metrics.outboxPublished.inc({ topic }, events.length);
    metrics.outboxPublishedBytes.inc({ topic }, events.reduce((sum, e) => sum + sizeOf(e), 0));
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
    if (failures > 1 && Math.abs(clock.now() - this.#loggedAt) < logEveryMs) return;
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
