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
  /** Makes sure that the topic is there as configured. @throws WrongPartitionCount, or the client's error when no broker answers */
  prepare(): Promise<void>;
  /** The partition that an event's key belongs to. */
  partition(key: string): number;
  /**
   * Resolves when Kafka has answered about all of them; events of one key stay in order.
   * @returns the partitions whose events it has not acknowledged, each with the client's error: some, all or none of those
   *   events may have arrived. All others' have.
   */
  publish(events: readonly OutboxEvent[]): Promise<ReadonlyMap<number, unknown>>;
  close(): Promise<void>;
}

/** A publisher to one topic; nothing connects before the first call. */
export function kafkaPublisher(connection: KafkaConnection, spec: TopicSpec): Publisher {
  let producer: TextProducer | undefined;
  let brokers = connection.bootstrapBrokers;
  const connect = (): TextProducer => {
    const made = createProducer({ ...connection, bootstrapBrokers: brokers });
    // The next client asks those first that could be reached: it waits 5 s for one that cannot, more than once.
    made.on("client:broker:failed", ({ broker: { host, port } }) => (brokers = brokers.toSorted((a, b) => Number(a === `${host}:${port}`) - Number(b === `${host}:${port}`))));
    return made;
  };
  const drop = () => {
    const dropped = producer;
    producer = undefined;
    // Not waited for: closing hangs as long as a silent broker does.
    if (dropped !== undefined) void Promise.resolve(dropped.close(true)).catch(() => undefined);
  };
  /** Partitions that did not take their last events. Each gets a request of its own, or those of one broker would fail together for ever. */
  const apart = new Set<number>();
  const partition = (key: string) => partitionOf(key, spec.partitions);
  return {
    topic: spec.topic,
    prepare: async () => void (await ensureTopic(connection, spec)),
    partition,
    publish: async (events) => {
      const sender = (producer ??= connect());
      const failed = new Map<number, unknown>();
      const send = async (some: readonly OutboxEvent[]) => {
        const refused = await sender.send({ messages: some.map((e) => message(spec.topic, e)) }).then(() => undefined, refusalOf);
        if (refused === undefined && apart.size === 0) return;
        for (const number of new Set(some.map((e) => partition(e.key)))) {
          apart.delete(number);
          if (refused === undefined || refused.taken.has(number)) continue;
          apart.add(number);
          failed.set(number, refused.error);
        }
      };
      const requests = apart.size === 0 ? [events] : [...Map.groupBy(events, ({ key }) => (apart.has(partition(key)) ? partition(key) : "all others")).values()];
      await Promise.all(requests.map(send));
      if (failed.size > 0) drop();
      return failed;
    },
    close: async () => drop(),
  };
}

const message = (topic: string, e: OutboxEvent) => ({ topic, key: e.key, value: e.value, headers: { "event-id": e.event_id, "event-type": e.type } });

/** Why a send failed, and the partitions that had taken theirs all the same; the client tells so of whole brokers only. */
function refusalOf(error: Error & { readonly produced?: { readonly offsets?: readonly { readonly partition: number }[] } }): { error: unknown; taken: ReadonlySet<number> } {
  return { error, taken: new Set(error.produced?.offsets?.map((o) => o.partition)) };
}
