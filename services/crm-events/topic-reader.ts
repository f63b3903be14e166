/**
 * Reads one topic without being a member of any group: nothing is committed, and no tool that lists groups sees it.
 * One thing at a time per instance and broker, since the library keeps one fetch session for each broker.
 */
import { createHash } from "node:crypto";
import { findErrorBy, ListOffsetTimestamps, type Consumer, type KafkaRecord } from "@platformatic/kafka";
import { PatientConsumer, type KafkaConnection } from "../shared/kafka.ts";

type FetchResponse = Awaited<ReturnType<Consumer["fetch"]>>;

/** The topic is not there, or no longer the same one. */
export class TopicGone extends Error {
  override readonly name = "TopicGone";
}

/** A fetch met offsets that the broker does not hold. */
export class PartitionsOutOfRange extends Error {
  override readonly name = "PartitionsOutOfRange";
  readonly partitions: readonly number[];

  constructor(partitions: readonly number[]) {
    super(`the broker does not hold the wanted offsets of partitions ${partitions.join(", ")}`);
    this.partitions = partitions;
  }
}

export interface TopicFacts {
  readonly id: string;
  /** Mark of this incarnation of the topic, for event ids. */
  readonly epoch: string;
  /** Broker that leads each partition; -1 while there is none. */
  readonly leaders: readonly number[];
}

/** A message, wherever it was read. */
export interface TopicMessage {
  readonly offset: number;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly record: KafkaRecord;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly messages: readonly TopicMessage[];
  /** Next offset behind what was fetched. */
  readonly next: number;
  /** Next offset that will be written. */
  readonly end: number;
}

/** Of each partition; undefined for one that has no leader. */
export interface TopicBounds {
  /** First offset held. */
  readonly starts: readonly (number | undefined)[];
  /** Next offset to be written. */
  readonly ends: readonly (number | undefined)[];
}

export interface Wanted {
  readonly partition: number;
  readonly offset: number;
}

const controlBatch = 0x20;
const outOfRange = 1;
/** What brokers answer about a topic that was deleted, or deleted and made again. */
const goneErrors = ["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID", "INCONSISTENT_TOPIC_ID"];
/** A broker that answers nothing at all is given up after this. */
const answerMs = 5_000;

export class TopicReader {
  readonly #consumer: PatientConsumer;
  readonly #topic: string;
  readonly #maxWaitMs: number;

  /**
   * @param maxWaitMs how long the broker may hold a fetch back while there is nothing new
   * @param group whose offsets `committed` tells; nothing here ever joins or commits. @default none, but the library wants a name
   */
  constructor(connection: KafkaConnection, topic: string, maxWaitMs: number, group = `${connection.clientId}-reader`) {
    this.#topic = topic;
    this.#maxWaitMs = maxWaitMs;
    this.#consumer = new PatientConsumer({ ...connection, groupId: group, retries: 0, requestTimeout: maxWaitMs + answerMs });
    this.#consumer.topics.track(topic);
    this.#consumer.on("error", () => undefined);
  }

  /** @throws TopicGone when there is no such topic; the library's error when no broker answers */
  async describe(): Promise<TopicFacts> {
    try {
      const metadata = await this.#consumer.metadata({ topics: [this.#topic], forceUpdate: true });
      const topic = metadata.topics.get(this.#topic);
      if (topic === undefined || topic.partitions.length === 0) throw new TopicGone(`there is no topic ${this.#topic}`);
      // Brokers without topic ids give none: then the cluster's id has to do.
      const id = /[1-9a-f]/.test(topic.id ?? "") ? topic.id : "";
      return { id: topic.id, epoch: epochOf(id === "" ? `${metadata.id}/${this.#topic}` : id), leaders: Array.from(topic.partitions, (p) => p?.leader ?? -1) };
    } catch (error) {
      throw error instanceof Error && error.message.startsWith("Unknown topic") ? new TopicGone(`there is no topic ${this.#topic}`) : error;
    }
  }

  /** First offset held and next offset to be written, by partition; undefined for one without a leader. */
  async bounds(facts: TopicFacts): Promise<TopicBounds> {
    return { starts: await this.#offsets(ListOffsetTimestamps.EARLIEST, facts), ends: await this.#offsets(ListOffsetTimestamps.LATEST, facts) };
  }

  /**
   * First offset of each partition whose message is not older than a time in milliseconds; Infinity where there is none, or
   * no leader.
   */
  async offsetsAt(time: number, facts: TopicFacts): Promise<number[]> {
    return (await this.#offsets(BigInt(Math.max(0, time)), facts)).map((offset) => (offset === undefined || offset < 0 ? Number.POSITIVE_INFINITY : offset));
  }

  /** Next offset that the group will read, by partition; none for partitions where it never committed. */
  async committed(partitions: readonly number[]): Promise<(number | undefined)[]> {
    const offsets = (await this.#consumer.listCommittedOffsets({ topics: [{ topic: this.#topic, partitions: [...partitions] }] })).get(this.#topic) ?? [];
    return Array.from(offsets, (offset) => (offset === undefined || offset < 0n ? undefined : Number(offset)));
  }

  async #offsets(timestamp: bigint, { leaders }: TopicFacts): Promise<(number | undefined)[]> {
    const led = [...leaders.keys()].filter((partition) => leaders[partition]! >= 0);
    // Asked for no partition, the library asks for all of them.
    if (led.length === 0) return leaders.map(() => undefined);
    const offsets = (await this.#consumer.listOffsets({ topics: [this.#topic], partitions: { [this.#topic]: led }, timestamp })).get(this.#topic) ?? [];
    return leaders.map((_, partition) => (offsets[partition] === undefined ? undefined : Number(offsets[partition])));
  }

  /**
   * Fetches from one broker what it has of partitions that it leads.
   * @param maxBytes about as much of each partition and of all; at least one batch always comes, however large
   * @throws PartitionsOutOfRange, TopicGone, or the library's error
   */
  async fetch(node: number, facts: TopicFacts, wanted: readonly Wanted[], maxBytes: number, maxWaitTime = this.#maxWaitMs): Promise<FetchedPartition[]> {
    const partitions = wanted.map(({ partition, offset }) => ({ partition, fetchOffset: BigInt(offset), partitionMaxBytes: maxBytes, currentLeaderEpoch: -1, lastFetchedEpoch: -1 }));
    let response: FetchResponse;
    try {
      response = await this.#consumer.fetch({ node, topics: [{ topicId: facts.id, partitions }], maxBytes, maxWaitTime, minBytes: 1 });
    } catch (error) {
      throw explained(error);
    }
    const offsets = new Map(wanted.map(({ partition, offset }) => [partition, offset]));
    return response.responses.flatMap((topic) => topic.partitions).flatMap((answer) => {
      const from = offsets.get(answer.partitionIndex);
      return from === undefined ? [] : [fetched(answer, from)];
    });
  }

  async close(): Promise<void> {
    await this.#consumer.close();
  }
}

/** Half a dozen letters that differ when the topic does. */
const epochOf = (id: string) => BigInt(`0x${createHash("sha256").update(id).digest("hex").slice(0, 10)}`).toString(36).padStart(8, "0");

type PartitionAnswer = FetchResponse["responses"][number]["partitions"][number];

function fetched(answer: PartitionAnswer, from: number): FetchedPartition {
  const messages: TopicMessage[] = [];
  let next = from;
  for (const batch of answer.records ?? []) {
    const first = Number(batch.firstOffset);
    const firstTimestamp = Number(batch.firstTimestamp);
    next = Math.max(next, first + batch.lastOffsetDelta + 1);
    if (batch.attributes & controlBatch) continue;
    for (const record of batch.records) {
      const offset = first + record.offsetDelta;
      // A batch comes whole even when only its end was asked for.
      if (offset >= from) messages.push({ offset, timestamp: firstTimestamp + Number(record.timestampDelta), record });
    }
  }
  return { partition: answer.partitionIndex, messages, next, end: Math.max(next, Number(answer.highWatermark)) };
}

/** The library's error as one of ours, where it is one that callers tell apart. */
function explained(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (goneErrors.some((id) => findErrorBy(error, "apiId", id) !== null)) return new TopicGone("the topic is no longer the one that was read");
  if (findErrorBy(error, "apiId", "OFFSET_OUT_OF_RANGE") === null) return error;
  const { response } = error as unknown as { response?: FetchResponse };
  const partitions = (response?.responses ?? [])
    .flatMap((topic) => topic.partitions)
    .filter((answer) => answer.errorCode === outOfRange)
    .map((answer) => answer.partitionIndex);
  return new PartitionsOutOfRange(partitions);
}

