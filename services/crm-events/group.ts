/**
 * This replica as a member of the consumer group: checks each message of its partitions, parks those that are no events,
 * and commits after that. What the group has not committed is what nobody has checked yet.
 *
 * The library keeps the membership (join, heartbeats, commits); fetching is done apart from it, so that a fetch that waits
 * never holds up a heartbeat.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Admin, findErrorBy } from "@platformatic/kafka";
import { PatientConsumer, type KafkaConnection } from "../shared/kafka.ts";
import type { Logger } from "../shared/log.ts";
import { orAborted, type CircuitBreaker } from "./breaker.ts";
import { Committer } from "./committer.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";
import { checkEvent } from "./event.ts";
import { FetchLoop } from "./fetch-loop.ts";
import type { EventsMetrics } from "./metrics.ts";
import { TopicGone, TopicReader, type FetchedPartition } from "./topic-reader.ts";

export interface GroupOptions {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly group: string;
  readonly deadLetters: Pick<DeadLetters, "park">;
  readonly breaker: CircuitBreaker;
  readonly metrics: EventsMetrics;
  readonly log: Logger;
  /** Longer messages are no events. */
  readonly maxEventBytes: number;
  /** A member that is silent for so long is out of the group. @default 15000 */
  readonly sessionMs?: number;
}

const fetchBytes = 1 << 20;
const maxWaitMs = 500;
const pauseMs = 1_000;
/** Longest wait for each of the last commit and the leave. */
const closeMs = 2_500;
/** Silence of the group's coordinator that the library does not seem to mend by itself. */
const stalledSessions = 3;

export class GroupMember {
  readonly #options: GroupOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  /** Joins, and goes on until `close`, whatever happens to Kafka. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Finishes what is being handled, commits it and leaves the group. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let said = "";
    while (!signal.aborted) {
      const session = new Session(this.#options, signal);
      try {
        await session.run();
      } catch (error) {
        const text = String(error);
        if (!signal.aborted && text !== said) this.#options.log.warn({ err: error }, error instanceof TopicGone ? "waiting for the topic" : "the group's member starts again");
        said = text;
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      } finally {
        await session.close();
      }
    }
  }
}

/** One membership, from the first join until it is given up. */
class Session {
  readonly #options: GroupOptions;
  readonly #signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #member: PatientConsumer;
  readonly #reader: TopicReader;
  readonly #committer: Committer;
  readonly #sessionMs: number;
  #loop: FetchLoop | undefined;
  #failure: unknown;
  #rejoining = false;
  #joinedAt = Date.now();

  constructor(options: GroupOptions, signal: AbortSignal) {
    const { connection, group, metrics, sessionMs = 15_000, topic } = options;
    this.#options = options;
    this.#sessionMs = sessionMs;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    this.#reader = new TopicReader({ ...connection, clientId: `${connection.clientId}-group` }, topic, maxWaitMs);
    this.#member = new PatientConsumer({
      ...connection,
      groupId: group,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      heartbeatInterval: Math.round(sessionMs / 5),
      // A join is answered when the slowest member has joined too.
      requestTimeout: sessionMs + 5_000,
      // Failures come back here at once: a commit that the library repeats after a new join could fall on somebody else's partition.
      retries: 0,
    });
    this.#member.topics.track(topic);
    // The library gave up a join that followed a heartbeat.
    this.#member.on("error", (error: unknown) => void this.#rejoin(String(error)));
    // Until the members have settled, nothing new is begun; what was handled may still be committed.
    this.#member.on("consumer:group:rebalance", () => this.#loop?.assign(new Map()));
    this.#member.on("consumer:group:join", () => void this.#assigned().catch((error: unknown) => this.#fail(error)));
    this.#committer = new Committer({
      commit: (offsets) => this.#commit(offsets),
      onCommitted: (count) => metrics.messages.inc(count),
      onError: (error) => options.log.warn({ err: error }, "could not commit; trying again"),
    });
    this.#signal.addEventListener("abort", () => void this.#reader.close().catch(() => undefined));
  }

  /** @throws when the membership cannot be kept, so that another one must be begun */
  async run(): Promise<void> {
    const { breaker, log } = this.#options;
    const facts = await breaker.run(this.#signal, () => this.#reader.describe(), (error) => error instanceof TopicGone);
    this.#loop = new FetchLoop(
      {
        reader: this.#reader,
        breaker,
        signal: this.#signal,
        maxBytes: fetchBytes,
        onFetched: (fetched) => this.#handle(fetched),
        onOutOfRange: (partition, { start, end }) => this.#skip(partition, start, end),
        onPartitions: (count) => void this.#rejoin(`the topic has ${count} partitions now`),
        onError: (error) => log.warn({ err: error }, "could not fetch messages for the group"),
      },
      facts,
    );
    await this.#join();
    const watch = setInterval(() => this.#watch(), this.#sessionMs / 3);
    try {
      await this.#loop.run();
    } finally {
      clearInterval(watch);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Commits what was handled and leaves the group, or gives up after some seconds: the session then ends by itself. */
  async close(): Promise<void> {
    this.#over.abort();
    await atMost(closeMs, this.#committer.close());
    if (this.#member.memberId !== null) await atMost(closeMs, this.#leave(this.#member.memberId));
    void this.#member.close(true).catch(() => undefined);
    await this.#reader.close().catch(() => undefined);
  }

  /** Over a connection of its own: while the members settle, the member's own waits for the slowest of them. */
  async #leave(memberId: string): Promise<void> {
    const { connection, group, log } = this.#options;
    const admin = new Admin({ ...connection, clientId: `${connection.clientId}-leave`, retries: 0, connectTimeout: closeMs, requestTimeout: closeMs });
    try {
      await admin.removeMembersFromConsumerGroup({ groupId: group, members: [{ memberId }] });
    } catch (error) {
      log.warn({ err: error }, "could not leave the group");
    } finally {
      void Promise.resolve(admin.close()).catch(() => undefined);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#over.abort();
  }

  /** Joins the group, again and again while others join too. */
  async #join(): Promise<void> {
    const { breaker } = this.#options;
    for (;;) {
      try {
        // While the members settle, the coordinator answers, but with "not yet"; while it is away, other brokers say so.
        await breaker.run(this.#signal, () => orAborted(this.#member.joinGroup(), this.#signal), (error) => isRebalance(error) || isCoordinatorAway(error));
        return;
      } catch {
        this.#signal.throwIfAborted();
        await sleep(pauseMs / 4, undefined, { signal: this.#signal });
      }
    }
  }

  async #rejoin(reason: string): Promise<void> {
    if (this.#signal.aborted || this.#rejoining) return;
    this.#rejoining = true;
    this.#options.log.info({ reason }, "joining the group again");
    try {
      // Whoever leads the group shares out what it knows of the topic.
      this.#member.clearMetadata();
      await this.#join();
    } catch (failure) {
      this.#fail(failure);
    } finally {
      this.#rejoining = false;
    }
  }

  /** Reads from where the group is in the partitions that are this member's now. */
  async #assigned(): Promise<void> {
    const { log, topic } = this.#options;
    const generation = this.#member.generationId;
    this.#joinedAt = Date.now();
    this.#committer.forget();
    this.#loop?.assign(new Map());
    const partitions = this.#member.assignments?.find((assignment) => assignment.topic === topic)?.partitions ?? [];
    const { fresh, positions } = await this.#positions(partitions);
    // Another join may have overtaken this one.
    if (generation !== this.#member.generationId) return;
    // A partition that was never committed begins at its start, and that is committed: its lag is then known, not -1.
    for (const partition of fresh) this.#committer.mark(partition, { next: positions.get(partition) ?? 0, count: 0 });
    log.info({ partitions: [...positions.keys()], generation }, "assigned");
    this.#loop?.assign(positions);
  }

  /** Where the group is in partitions, and which of them it never committed. */
  async #positions(partitions: readonly number[]): Promise<{ fresh: number[]; positions: Map<number, number> }> {
    if (partitions.length === 0) return { fresh: [], positions: new Map() };
    const { topic } = this.#options;
    const committed = (await this.#member.listCommittedOffsets({ topics: [{ topic, partitions: [...partitions] }] })).get(topic) ?? [];
    const fresh = partitions.filter((partition) => (committed[partition] ?? -1n) < 0n);
    const { starts } = fresh.length === 0 ? { starts: [] } : await this.#reader.bounds(await this.#reader.describe());
    return { fresh, positions: new Map(partitions.map((partition) => [partition, fresh.includes(partition) ? (starts[partition] ?? 0) : Number(committed[partition])])) };
  }

  /** Checks and parks; only then marks for commit. */
  async #handle({ partition, messages, next }: FetchedPartition): Promise<void> {
    const generation = this.#member.generationId;
    const letters: DeadLetter[] = [];
    for (const message of messages) {
      const checked = checkEvent(message.record.value, this.#options.maxEventBytes);
      if (!checked.ok) letters.push({ partition, message, reason: checked.reason, detail: checked.detail });
    }
    if (letters.length > 0) await this.#park(letters);
    // Not ours any more: whoever has the partition now handles it again.
    if (generation === this.#member.generationId) this.#committer.mark(partition, { next, count: messages.length });
  }

  async #park(letters: readonly DeadLetter[]): Promise<void> {
    const { breaker, deadLetters, log, metrics } = this.#options;
    for (;;) {
      try {
        await breaker.run(this.#signal, () => deadLetters.park(letters));
        break;
      } catch (error) {
        this.#signal.throwIfAborted();
        log.warn({ err: error, letters: letters.length }, "could not park messages; trying again");
        await sleep(pauseMs / 4, undefined, { signal: this.#signal });
      }
    }
    for (const { reason } of letters) metrics.deadLetters.inc({ reason });
    // One line for all of them: a flood of bad messages must not become a flood of lines.
    const { detail, message, partition, reason } = letters[0]!;
    log.warn({ letters: letters.length, first: { reason, detail, partition, offset: message.offset } }, "parked messages that are no events");
  }

  async #commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { topic } = this.#options;
    await this.#member.commit({ offsets: [...offsets].map(([partition, next]) => ({ topic, partition, offset: BigInt(next), leaderEpoch: -1 })) });
  }

  #skip(partition: number, start: number, end: number): number {
    // Retention was faster than the group, or the log was cut: either way the oldest that there is comes next.
    this.#options.log.error({ partition, start, end }, "the group's next offset is not in the topic; it goes on at the oldest");
    return start;
  }

  /** Gives the membership up when no heartbeat gets through for long although the broker can be reached. */
  #watch(): void {
    const longest = this.#sessionMs * stalledSessions;
    const sign = Math.max(this.#joinedAt, this.#member.lastHeartbeat?.getTime() ?? 0);
    if (!this.#options.breaker.open && Date.now() - sign > longest) this.#fail(new Error(`no heartbeat got through for ${longest} ms`));
  }
}

function isRebalance(error: unknown): boolean {
  return /REBALANCE_IN_PROGRESS|rebalanc|MEMBER_ID_REQUIRED|UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION/i.test(`${error}${error instanceof AggregateError ? error.errors.map(String).join() : ""}`);
}

const coordinatorErrors = ["COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"];
const isCoordinatorAway = (error: unknown) => error instanceof Error && coordinatorErrors.some((id) => findErrorBy(error, "apiId", id) !== null);

/** Waits for a promise that never rejects, but not longer than this. */
async function atMost(ms: number, promise: Promise<void>): Promise<void> {
  const limit = new AbortController();
  await Promise.race([promise, sleep(ms, undefined, { signal: limit.signal }).catch(() => undefined)]);
  limit.abort();
}
