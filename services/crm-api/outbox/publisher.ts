/** Hands events to Kafka. */
import { createProducer, ensureTopic, type KafkaConnection, type TextProducer, type TopicSpec } from "../../shared/kafka.ts";

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
  /**
   * Resolves when Kafka has acknowledged all of them; events of one key stay in order.
   * @throws the client's error; some, all or none may have arrived then
   */
  publish(events: readonly OutboxEvent[]): Promise<void>;
  close(): Promise<void>;
}

/** A publisher to one topic; nothing connects before the first call. */
export function kafkaPublisher(connection: KafkaConnection, spec: TopicSpec): Publisher {
  let producer: TextProducer | undefined;
  const drop = () => {
    const dropped = producer;
    producer = undefined;
    // Not waited for: closing hangs as long as a silent broker does.
    if (dropped !== undefined) void Promise.resolve(dropped.close(true)).catch(() => undefined);
  };
  return {
    topic: spec.topic,
    prepare: async () => void (await ensureTopic(connection, spec)),
    publish: async (events) => {
      producer ??= createProducer(connection);
      try {
        await producer.send({ messages: events.map((e) => ({ topic: spec.topic, key: e.key, value: e.value, headers: { "event-id": e.event_id, "event-type": e.type } })) });
      } catch (error) {
        drop();
        throw error;
      }
    },
    close: async () => drop(),
  };
}
