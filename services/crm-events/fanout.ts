/** Reads every partition outside the consumer group and gives all events to the hub, on each replica. */
import { setTimeout as sleep } from "node:timers/promises";
import type { KafkaConnection } from "../shared/kafka.ts";
import type { Logger } from "../shared/log.ts";
import type { CircuitBreaker } from "./breaker.ts";
import { checkEvent } from "./event.ts";
import { FetchLoop } from "./fetch-loop.ts";
import type { FreshEvent, Hub } from "./hub.ts";
import type { EventsMetrics } from "./metrics.ts";
import { startsOfNewest, type Bounds } from "./newest.ts";
import { TopicGone, TopicReader, type FetchedPartition, type TopicFacts } from "./topic-reader.ts";

export interface FanoutOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  /** How far this group has come is where a partition without a leader begins. @default its start */
  readonly group?: string;
  readonly hub: Hub;
  readonly breaker: CircuitBreaker;
  readonly metrics: EventsMetrics;
  readonly log: Logger;
  /** Messages read again at the start, for history. */
  readonly historyEvents: number;
  /** Longer messages are no events. */
  readonly maxEventBytes: number;
}

/** Bytes of one answer: enough for full speed, little enough for 256 MiB. */
const fetchBytes = 1 << 20;
/** Bytes given to all clients before the event loop turns. */
const sliceBytes = 64 * 1024;
/** How long a fetch waits for news; it ends with the first message. */
const maxWaitMs = 2_000;
const pauseMs = 1_000;

export class Fanout {
  readonly #options: FanoutOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Where the topic ended when reading began: what is below is only history. */
  #liveFrom: number[] = [];
  /** Kafka said that there is no such topic: whatever is in it one day came after this replica. */
  #absent = false;

  constructor(options: FanoutOptions) {
    this.#options = options;
  }

  /** Begins to read, and goes on until `close`, whatever happens to Kafka. */
  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let said = "";
    while (!signal.aborted) {
      try {
        await this.#readTopic(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof TopicGone) this.#absent = true;
        const text = String(error);
        // Said once, however long it lasts.
        if (text !== said) this.#options.log.warn({ err: error }, error instanceof TopicGone ? "waiting for the topic" : "fan-out starts again");
        said = text;
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Reads one incarnation of the topic until it is gone. */
  async #readTopic(signal: AbortSignal): Promise<void> {
    const { connection, group, log, topic } = this.#options;
    const reader = new TopicReader({ ...connection, clientId: `${connection.clientId}-fanout` }, topic, maxWaitMs, group);
    const close = () => void reader.close().catch(() => undefined);
    // Ends the fetch that waits for news.
    signal.addEventListener("abort", close);
    try {
      const loop = await this.#begin(reader, signal);
      log.info({ partitions: loop.facts.leaders.length, epoch: loop.facts.epoch }, "fan-out reads");
      await loop.run();
    } finally {
      signal.removeEventListener("abort", close);
      await reader.close().catch(() => undefined);
    }
  }

  /** Finds out where to begin: where this replica left off, or so far back that history is full. */
  async #begin(reader: TopicReader, signal: AbortSignal): Promise<FetchLoop> {
    const { breaker, historyEvents, hub, log } = this.#options;
    const look = async () => {
      const facts = await reader.describe();
      const known = hub.history?.position;
      if (known?.epoch === facts.epoch) return { facts, from: facts.leaders.map((_, p) => known.next[p] ?? 0) };
      const bounds = await this.#bounds(reader, facts);
      const topic = { offsetsAt: (time: number) => reader.offsetsAt(time, facts) };
      return { facts, from: await startsOfNewest(topic, bounds, historyEvents, Date.now()), ends: bounds.ends };
    };
    const { facts, from, ends } = await breaker.run(signal, look, (error) => error instanceof TopicGone);
    if (ends !== undefined) {
      this.#options.metrics.fanoutAnswers.clear();
      this.#liveFrom = [...ends];
      hub.start({ epoch: facts.epoch, next: from }, ends, this.#absent);
    }
    const loop: FetchLoop = new FetchLoop(
      {
        reader,
        breaker,
        signal,
        maxBytes: fetchBytes,
        onFetched: (fetched) => this.#give(fetched, signal),
        onAnswered: (partitions) => this.#answered(partitions),
        onBehind: (partition, messages) => this.#behind(partition, messages),
        onOutOfRange: (partition, bounds) => this.#skip(partition, bounds),
        onPartitions: (count) => this.#addPartitions(loop, count),
        onError: (error) => log.warn({ err: error }, "could not fetch events"),
      },
      facts,
    );
    loop.assign(new Map(from.map((next, partition) => [partition, next])));
    // One that never answers is silent from now on.
    this.#answered([...from.keys()]);
    return loop;
  }

  /**
   * Of a partition without a leader it is only known how far the group has come: for this replica it begins and ends there,
   * and what nobody has handled yet follows when there is a leader.
   */
  async #bounds(reader: TopicReader, facts: TopicFacts): Promise<Bounds> {
    const { starts, ends } = await reader.bounds(facts);
    const unknown = [...ends.keys()].filter((partition) => ends[partition] === undefined);
    const committed = unknown.length > 0 ? await reader.committed(unknown) : [];
    if (unknown.length > 0) this.#options.log.warn({ partitions: unknown }, "partitions have no leader; they begin where the group is");
    const known = (offsets: readonly (number | undefined)[]) => offsets.map((offset, partition) => offset ?? committed[partition] ?? 0);
    return { starts: known(starts), ends: known(ends) };
  }

  /** Gives what was fetched in slices, each when the clients have room for it. */
  async #give({ partition, messages, next, end }: FetchedPartition, signal: AbortSignal): Promise<void> {
    const { hub, maxEventBytes } = this.#options;
    let slice: FreshEvent[] = [];
    let bytes = 0;
    for (const { offset, record, timestamp } of messages) {
      const checked = checkEvent(record.value, maxEventBytes);
      // What is no event is parked by the group's member, not here.
      if (!checked.ok) continue;
      slice.push({ offset, json: checked.json, time: timestamp, ...(offset >= (this.#liveFrom[partition] ?? 0) && { at: checked.at }) });
      bytes += checked.json.length;
      if (bytes < sliceBytes) continue;
      hub.publish(partition, slice, offset + 1);
      this.#behind(partition, end - offset - 1);
      slice = [];
      bytes = 0;
      await hub.room();
      if (signal.aborted) return;
    }
    hub.publish(partition, slice, next);
    await hub.room();
    this.#behind(partition, end - next);
  }

  #answered(partitions: readonly number[]): void {
    const { fanoutAnswers } = this.#options.metrics;
    for (const partition of partitions) fanoutAnswers.set(partition, performance.now());
  }

  #behind(partition: number, messages: number): void {
    this.#options.metrics.fanoutLag.set({ partition: `${partition}` }, messages);
  }

  /** Partitions that were added while reading are read from their start. */
  #addPartitions(loop: FetchLoop, count: number): void {
    const { hub, log } = this.#options;
    log.warn({ partitions: count }, "the topic has more partitions now");
    for (let partition = hub.history!.position.next.length; partition < count; partition++) {
      hub.publish(partition, [], 0);
      loop.add(partition, 0);
      this.#answered([partition]);
    }
  }

  #skip(partition: number, { start, end }: { start: number; end: number }): number {
    const { hub, log } = this.#options;
    const from = hub.history!.position.next[partition] ?? 0;
    const to = from < start ? start : end;
    log.error({ partition, from, to }, "Kafka no longer holds the next events of a partition");
    hub.lost(partition, to);
    return to;
  }
}
