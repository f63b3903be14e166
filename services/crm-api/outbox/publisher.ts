/** Hands events to Kafka. */
import { createProducer, ensureTopic, partitionOf, type KafkaConnection, type TextProducer, type TopicSpec } from "../../shared/kafka.ts";

export interface OutboxEvent {
  readonly seq: number;
  readonly event_id: string;
  readonly type: string;
  readonly key: string;
  readonly value: string;
}

export interface Publisher {
  readonly topic: string;
  /** How many partitions the topic is to have. */
  readonly partitions: number;
  /** The partition that an event's key belongs to. */
  partition(key: string): number;
  /** Makes sure that the topic is there as configured. @throws WrongPartitionCount, or the client's error when no broker answers */
  prepare(): Promise<void>;
  /**
   * Resolves when Kafka has answered about all of them; events of one key stay in order.
   * @param apart the partition of all of them, when they go by a connection of its own: one that gets no answer keeps no other waiting
   * @returns the partitions whose events it has not acknowledged, each with the client's error: some, all or none of those
   *   events may have arrived. All others' have.
   */
  publish(events: readonly OutboxEvent[], apart?: number): Promise<ReadonlyMap<number, unknown>>;
  /** Ends a partition's own connection. */
  release(partition: number): void;
  close(): Promise<void>;
}

const silentMs = 5_000;

/** A publisher to one topic; nothing connects before the first call. */
export function kafkaPublisher(connection: KafkaConnection, spec: TopicSpec): Publisher {
  const { topic, partitions } = spec;
  const producers = new Map<number | undefined, TextProducer>();
  const brokers = new Brokers(connection.bootstrapBrokers);
  const partition = (key: string) => partitionOf(key, partitions);
  const drop = (apart: number | undefined) => {
    const dropped = producers.get(apart);
    producers.delete(apart);
    if (dropped !== undefined) end(dropped);
  };
  const connect = async (apart: number | undefined, isSecond = false): Promise<TextProducer> => {
    const known = producers.get(apart);
    if (known !== undefined) return known;
    const [first] = brokers.inOrder;
    const made = createProducer({ ...connection, bootstrapBrokers: brokers.inOrder });
    made.on("client:broker:failed", ({ broker: { host, port } }) => brokers.askLast(`${host}:${port}`));
    try {
      await brokers.watch(() => made.metadata({ topics: [topic] }));
    } catch (error) {
      end(made);
      throw error;
    }
    if (brokers.inOrder[0] !== first && !isSecond) {
      // It would ask the silent one again and again.
      end(made);
      return connect(apart, true);
    }
    producers.set(apart, made);
    return made;
  };
  return {
    topic,
    partitions,
    partition,
    prepare: () => brokers.watch(async () => void (await ensureTopic({ ...connection, bootstrapBrokers: brokers.inOrder }, spec))),
    publish: async (events, apart) => {
      try {
        const producer = await connect(apart);
        // Placed here and not by the client, for which the topic may have grown meanwhile.
        await producer.send({ messages: events.map((e) => ({ topic, partition: partition(e.key), key: e.key, value: e.value, headers: { "event-id": e.event_id, "event-type": e.type } })) });
        return new Map();
      } catch (error) {
        drop(apart);
        const taken = takenIn(error);
        const all = new Set(events.map((e) => partition(e.key)));
        return new Map([...all].filter((number) => !taken.has(number)).map((number) => [number, error]));
      }
    },
    release: drop,
    close: async () => [...producers.keys()].forEach(drop),
  };
}

/** The brokers that a new client asks in turn, those that gave no answer last: it waits long for each, and more than once. */
class Brokers {
  inOrder: string[];

  constructor(all: KafkaConnection["bootstrapBrokers"]) {
    this.inOrder = all.map((broker) => (typeof broker === "string" ? broker : `${broker.host}:${broker.port}`));
  }

  askLast(broker: string): void {
    this.inOrder = this.inOrder.toSorted((a, b) => Number(a === broker) - Number(b === broker));
  }

  /** @param first what a new client does first; when that takes long, the broker that was asked takes connections and is silent */
  async watch<T>(first: () => Promise<T>): Promise<T> {
    const [asked = ""] = this.inOrder;
    const began = performance.now();
    try {
      return await first();
    } finally {
      if (performance.now() - began > silentMs) this.askLast(asked);
    }
  }
}

/** The partitions that had taken their part of a send when it failed; the client tells so of whole brokers only. */
const takenIn = (error: unknown): ReadonlySet<number> =>
  new Set((error as { produced?: { offsets?: readonly { partition: number }[] } }).produced?.offsets?.map((o) => o.partition));

/** Not waited for: closing hangs as long as a silent broker does. */
const end = (producer: TextProducer): void => void Promise.resolve(producer.close(true)).catch(() => undefined);
