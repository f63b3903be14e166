/** The topic as resuming streams read it, over one connection: they take turns. */
import type { KafkaConnection } from "../shared/kafka.ts";
import { checkEvent } from "./event.ts";
import { OffsetOutOfRange, type LogSlice, type LogTimes, type TopicLog } from "./topic-log.ts";
import { PartitionsOutOfRange, TopicReader, type TopicBounds, type TopicFacts } from "./topic-reader.ts";

/** Bytes of one read: a client that reads slowly holds no more than that. */
const sliceBytes = 256 * 1024;
/** Ends and leaders may be this old. */
const maxAgeMs = 500;
/** Times that are asked for are rounded down to this. */
const timeStepMs = 5_000;

export class KafkaLog implements TopicLog {
  readonly #reader: TopicReader;
  readonly #maxEventBytes: number;
  #queue: Promise<unknown> = Promise.resolve();
  #facts: { value: TopicFacts; at: number } | undefined;
  #bounds: { value: TopicBounds; at: number } | undefined;
  #since: { value: LogTimes; time: number; at: number } | undefined;

  constructor(connection: KafkaConnection, topic: string, maxEventBytes: number) {
    this.#reader = new TopicReader({ ...connection, clientId: `${connection.clientId}-replay` }, topic, 100);
    this.#maxEventBytes = maxEventBytes;
  }

  read(epoch: string, partition: number, from: number): Promise<LogSlice> {
    return this.#inTurn(async () => {
      const facts = await this.#describe();
      if (facts.epoch !== epoch) throw new OffsetOutOfRange("the topic was made anew");
      const [fetched] = await this.#fetch(facts, partition, from);
      if (fetched === undefined) return { events: [], next: from };
      const events = fetched.messages.flatMap(({ offset, record }) => {
        const checked = checkEvent(record.value, this.#maxEventBytes);
        return checked.ok ? [{ offset, json: checked.json }] : [];
      });
      return { events, next: fetched.next };
    });
  }

  bounds(seen: readonly number[] = []): Promise<TopicBounds> {
    const calledAt = performance.now();
    return this.#inTurn(async () => {
      // Asked by many at once after a restart, and then answered once.
      const known = this.#bounds;
      const good = known !== undefined && performance.now() - known.at <= maxAgeMs && (known.at >= calledAt || seen.every((offset, p) => offset <= (known.value.ends[p] ?? Number.POSITIVE_INFINITY)));
      if (good) return known.value;
      const at = performance.now();
      this.#bounds = { value: await this.#reader.bounds(await this.#reader.describe()), at };
      return this.#bounds.value;
    });
  }

  since(time: number): Promise<LogTimes> {
    const step = Math.floor(time / timeStepMs) * timeStepMs;
    return this.#inTurn(async () => {
      const known = this.#since;
      if (known !== undefined && known.time === step && performance.now() - known.at <= maxAgeMs) return known.value;
      const at = performance.now();
      const facts = await this.#reader.describe();
      const offsets = await this.#reader.offsetsAt(step, facts);
      const value = { epoch: facts.epoch, next: offsets.map((offset, p) => (facts.leaders[p]! < 0 ? undefined : offset)) };
      this.#since = { value, time: step, at };
      return value;
    });
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }

  async #fetch(facts: TopicFacts, partition: number, offset: number) {
    const leader = facts.leaders[partition] ?? -1;
    // No reason to look for it anew: that is done soon, however many clients wait for it.
    if (leader < 0) throw new Error(`partition ${partition} has no leader`);
    try {
      return await this.#reader.fetch(leader, facts, [{ partition, offset }], sliceBytes);
    } catch (error) {
      if (error instanceof PartitionsOutOfRange) throw new OffsetOutOfRange(error.message);
      this.#facts = undefined;
      throw error;
    }
  }

  async #describe(): Promise<TopicFacts> {
    const known = this.#facts;
    // A partition without a leader may have one soon.
    const goodMs = known?.value.leaders.some((leader) => leader < 0) ? maxAgeMs : maxAgeMs * 10;
    if (known !== undefined && performance.now() - known.at <= goodMs) return known.value;
    this.#facts = { value: await this.#reader.describe(), at: performance.now() };
    return this.#facts.value;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task, task);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
