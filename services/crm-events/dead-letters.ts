/** Parks messages that are no events in a topic of their own, with the reason and where they came from. */
import { compatibilityPartitioner, Producer, type MessageToProduce } from "@platformatic/kafka";
import type { KafkaConnection } from "../shared/kafka.ts";
import { ensureTopic } from "../shared/kafka.ts";
import type { Rejection } from "./event.ts";
import type { TopicMessage } from "./topic-reader.ts";

/** A message that is to be parked. */
export interface DeadLetter {
  readonly partition: number;
  readonly message: TopicMessage;
  readonly reason: Rejection;
  readonly detail: string;
}

export interface DeadLettersOptions {
  readonly connection: KafkaConnection;
  /** Where the messages come from. */
  readonly sourceTopic: string;
  readonly topic: string;
  readonly replication: number;
}

/** Of a longer value only the head is kept: a letter must fit whatever the broker takes. */
const maxValueBytes = 256 * 1024;
const headBytes = 64 * 1024;
/** Bytes of letters in one request; brokers take about 1 MB at a time by default. */
const requestBytes = 512 * 1024;
/** What the format of a record, and of each of its headers, adds at most. */
const recordBytes = 64;
const headerBytes = 16;
/** Partitions of the dead-letter topic: there is no order to keep, and hardly any traffic. */
const partitions = 1;

type LetterMessage = MessageToProduce<Buffer, Buffer, string, Buffer> & { readonly headers: ReadonlyMap<string, Buffer> };
type LetterProducer = Producer<Buffer, Buffer, string, Buffer>;

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  #producer: LetterProducer | undefined;
  #topicReady = false;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /**
   * Parks letters; returns when all in-sync replicas have them.
   * @throws the library's error; nothing may then be committed, and the call is repeated
   */
  async park(letters: readonly DeadLetter[]): Promise<void> {
    await this.#ensureTopic();
    const producer = (this.#producer ??= this.#connect());
    try {
      for (const messages of portions(letters.map((letter) => this.#message(letter)))) await producer.send({ messages });
    } catch (error) {
      // The topic may have gone, in which case nothing else would ever make it again.
      this.#topicReady = false;
      this.#giveUp(producer);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#producer?.close();
  }

  /** After a failure its sequence numbers are no longer what the broker expects. */
  #giveUp(producer: LetterProducer): void {
    // Another call that failed with it may have done so already.
    if (this.#producer !== producer) return;
    this.#producer = undefined;
    void Promise.resolve(producer.close()).catch(() => undefined);
  }

  async #ensureTopic(): Promise<void> {
    if (this.#topicReady) return;
    const { connection, replication, topic } = this.#options;
    try {
      await ensureTopic({ ...connection, clientId: `${connection.clientId}-admin` }, { topic, partitions, replication });
    } catch (error) {
      // An operator may have made it with more partitions: as good.
      if (!(error instanceof Error) || error.name !== "WrongPartitionCount") throw error;
    }
    this.#topicReady = true;
  }

  #connect(): LetterProducer {
    const { connection } = this.#options;
    const same = (data?: Buffer) => data;
    return new Producer({
      ...connection,
      clientId: `${connection.clientId}-dead-letters`,
      idempotent: true,
      partitioner: compatibilityPartitioner,
      serializers: { key: same, value: same, headerKey: (text?: string) => (text === undefined ? undefined : Buffer.from(text)), headerValue: same },
    });
  }

  #message({ partition, message, reason, detail }: DeadLetter): LetterMessage {
    const { sourceTopic, topic } = this.#options;
    const { key, value, headers } = message.record;
    const cut = value !== null && value.length > maxValueBytes;
    const own: Record<string, string> = {
      "dead-letter-reason": reason,
      "dead-letter-detail": detail,
      "dead-letter-topic": sourceTopic,
      "dead-letter-partition": `${partition}`,
      "dead-letter-offset": `${message.offset}`,
      "dead-letter-timestamp": `${message.timestamp}`,
      ...(cut && { "dead-letter-original-bytes": `${value.length}` }),
    };
    const all = new Map<string, Buffer>();
    // Only so many of the message's own headers, so that they cannot make the letter too large either.
    for (const [name, content] of headers.slice(0, 32)) {
      if (name !== null && name.length <= 128) all.set(name.toString("utf8"), (content ?? Buffer.alloc(0)).subarray(0, 1_024));
    }
    for (const [name, text] of Object.entries(own)) all.set(name, Buffer.from(text));
    return {
      topic,
      ...(key !== null && { key: key.subarray(0, 1_024) }),
      // A tombstone would be nothing at all; the reason says what it was.
      value: value === null ? Buffer.alloc(0) : cut ? value.subarray(0, headBytes) : value,
      headers: all,
    };
  }
}

/** Splits letters into requests of bounded size. */
function portions(messages: readonly LetterMessage[]): LetterMessage[][] {
  const requests: LetterMessage[][] = [];
  let room = 0;
  for (const message of messages) {
    const bytes = bytesOf(message);
    if (bytes > room || requests.length === 0) {
      requests.push([]);
      room = requestBytes;
    }
    requests.at(-1)!.push(message);
    room -= bytes;
  }
  return requests;
}

/** Room that a letter takes in a request: small ones are mostly headers. */
function bytesOf({ headers, key, value }: LetterMessage): number {
  let bytes = recordBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, content] of headers) bytes += headerBytes + Buffer.byteLength(name) + content.length;
  return bytes;
}
