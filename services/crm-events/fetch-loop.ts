/**
 * Fetches partitions for ever, each from the broker that leads it, and gives what comes to a handler.
 * A broker is asked again only when the handler is done with its last answer, so nothing piles up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { CircuitBreaker } from "./breaker.ts";
import { PartitionsOutOfRange, TopicGone, type FetchedPartition, type TopicFacts, type TopicReader, type Wanted } from "./topic-reader.ts";

export interface FetchLoopOptions {
  readonly reader: TopicReader;
  readonly breaker: CircuitBreaker;
  readonly signal: AbortSignal;
  /** Bytes of one answer. */
  readonly maxBytes: number;
  /** Handles what was fetched of one partition; the loop reads on from `fetched.next`. */
  readonly onFetched: (fetched: FetchedPartition) => Promise<void> | void;
  /** Told of the partitions that an answer was about, with news of them or without. */
  readonly onAnswered?: (partitions: readonly number[]) => void;
  /** Told with each answer how many messages of each of its partitions are still to be handled, before any of them is. */
  readonly onBehind?: (partition: number, messages: number) => void;
  /** The broker does not hold the next offset. @returns where to go on */
  readonly onOutOfRange: (partition: number, bounds: { readonly start: number; readonly end: number }) => number;
  /** The topic has another number of partitions than before. */
  readonly onPartitions: (count: number) => void;
  /** A fetch failed and will be repeated. */
  readonly onError: (error: unknown) => void;
}

const retryMs = 250;
/** How often leaders, and new partitions, are looked for. */
const refreshMs = 5_000;
/** A partition without a leader, or a broker without a partition, is looked at again after this. */
const idleMs = 200;

export class FetchLoop {
  readonly #options: FetchLoopOptions;
  /** Next offset of each partition that is wanted. */
  readonly #next = new Map<number, number>();
  /** Partitions with the handler: what follows waits, whoever leads them by now. */
  readonly #handling = new Set<number>();
  #facts: TopicFacts;
  #refreshedAt: number;
  readonly #running = new Map<number, Promise<void>>();
  /** What ended the loop. */
  #failure: { readonly error: unknown } | undefined;
  readonly #stop = new AbortController();

  constructor(options: FetchLoopOptions, facts: TopicFacts) {
    this.#options = options;
    this.#facts = facts;
    this.#refreshedAt = performance.now();
  }

  get facts(): TopicFacts {
    return this.#facts;
  }

  /** Sets what is read, and from where; partitions that are not named are read no more. */
  assign(positions: ReadonlyMap<number, number>): void {
    this.#next.clear();
    for (const [partition, next] of positions) this.#next.set(partition, next);
  }

  /** Adds a partition. */
  add(partition: number, next: number): void {
    this.#next.set(partition, next);
  }

  /**
   * Runs until the signal is aborted.
   * @throws TopicGone when the topic is no longer the one that the loop began with, or what a handler threw
   */
  async run(): Promise<void> {
    const stop = AbortSignal.any([this.#options.signal, this.#stop.signal]);
    const fail = (error: unknown) => {
      this.#failure ??= { error };
      this.#stop.abort();
    };
    while (!stop.aborted) {
      for (const node of new Set(this.#facts.leaders)) {
        if (node >= 0 && !this.#running.has(node)) this.#running.set(node, this.#serve(node, stop).catch(fail));
      }
      await sleep(idleMs, undefined, { signal: stop }).catch(() => undefined);
      // Otherwise those who fetch look for new leaders.
      if (this.#running.size === 0) await this.#attempt(stop, () => this.#refresh()).catch(fail);
    }
    await Promise.all(this.#running.values());
    if (this.#failure !== undefined && !this.#options.signal.aborted) throw this.#failure.error;
  }

  /** Looks for new leaders and partitions, when that was not done for a while. */
  async #refresh(): Promise<void> {
    if (performance.now() - this.#refreshedAt < refreshMs) return;
    const facts = await this.#options.reader.describe();
    if (facts.epoch !== this.#facts.epoch) throw new TopicGone("the topic was made anew");
    const more = facts.leaders.length !== this.#facts.leaders.length;
    this.#facts = facts;
    this.#refreshedAt = performance.now();
    if (more) this.#options.onPartitions(facts.leaders.length);
  }

  /** Does one thing when the breaker permits. @returns undefined when it failed */
  async #attempt<T>(stop: AbortSignal, action: () => Promise<T>): Promise<T | undefined> {
    const { breaker, onError } = this.#options;
    try {
      return await breaker.run(stop, action, (error) => error instanceof TopicGone);
    } catch (error) {
      if (error instanceof TopicGone) throw error;
      if (stop.aborted) return undefined;
      onError(error);
      // The leader may be another broker by now.
      this.#refreshedAt = Number.NEGATIVE_INFINITY;
      await sleep(retryMs, undefined, { signal: stop }).catch(() => undefined);
      return undefined;
    }
  }

  /** Fetches, or finds out where to go on when the broker does not hold the offsets. @returns undefined then */
  async #fetch(node: number, wanted: readonly Wanted[]): Promise<FetchedPartition[] | undefined> {
    const { maxBytes, onOutOfRange, reader } = this.#options;
    try {
      return await reader.fetch(node, this.#facts, wanted, maxBytes);
    } catch (error) {
      if (!(error instanceof PartitionsOutOfRange)) throw error;
      const { starts, ends } = await reader.bounds(this.#facts);
      for (const { partition, offset } of wanted) {
        const [start, end] = [starts[partition], ends[partition]];
        // It has lost its leader meanwhile, and is asked again when it has one.
        if (start === undefined || end === undefined) continue;
        // Assigned elsewhere, or anew, meanwhile: this is no longer about it.
        if (!error.partitions.includes(partition) || this.#next.get(partition) !== offset) continue;
        this.#next.set(partition, onOutOfRange(partition, { start, end }));
      }
      return undefined;
    }
  }

  async #serve(node: number, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const wanted = [...this.#next].filter(([partition]) => this.#facts.leaders[partition] === node && !this.#handling.has(partition)).map(([partition, offset]) => ({ partition, offset }));
      if (wanted.length > 0) await this.#once(node, wanted, stop);
      else await this.#idle(stop);
    }
  }

  /** This broker leads nothing that is wanted now; what is wanted may have no known leader at all. */
  async #idle(stop: AbortSignal): Promise<void> {
    await sleep(idleMs, undefined, { signal: stop }).catch(() => undefined);
    if (this.#next.size > 0) await this.#attempt(stop, () => this.#refresh());
  }

  async #once(node: number, wanted: readonly Wanted[], stop: AbortSignal): Promise<void> {
    const fetched = await this.#attempt(stop, async () => {
      // Under the same permit: that Kafka tells who leads does not mean that the leader can be reached.
      await this.#refresh();
      return this.#fetch(node, wanted);
    });
    if (fetched === undefined) return;
    this.#options.onAnswered?.(wanted.map(({ partition }) => partition));
    const asks = new Map(wanted.map((asked) => [asked.partition, asked]));
    for (const { partition, end } of fetched) this.#options.onBehind?.(partition, end - (asks.get(partition)?.offset ?? end));
    for (const part of fetched) {
      if (stop.aborted) return;
      const asked = asks.get(part.partition);
      // Assigned elsewhere, or anew, while the broker was asked; or another broker's loop was faster.
      if (asked === undefined || this.#next.get(part.partition) !== asked.offset || this.#handling.has(part.partition)) continue;
      this.#next.set(part.partition, part.next);
      this.#handling.add(part.partition);
      try {
        await this.#options.onFetched(part);
      } finally {
        this.#handling.delete(part.partition);
      }
    }
  }
}
