/** Reads a whole topic of a test broker. */
import { Admin, Consumer, ListOffsetTimestamps, MessagesStreamModes, stringDeserializers } from "@platformatic/kafka";

export interface TopicMessage {
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How many messages each partition has had. */
export async function endOffsets(address: string, topic: string): Promise<bigint[]> {
  const admin = new Admin({ clientId: "test-offsets", bootstrapBrokers: [address], retries: 2 });
  try {
    const metadata = await admin.metadata({ topics: [topic] });
    const partitions = Array.from({ length: metadata.topics.get(topic)?.partitionsCount ?? 0 }, (_, partitionIndex) => ({ partitionIndex, timestamp: ListOffsetTimestamps.LATEST }));
    const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
    return (listed?.partitions ?? []).toSorted((a, b) => a.partitionIndex - b.partitionIndex).map((p) => p.offset);
  } finally {
    await admin.close();
  }
}

/** All messages that a topic has now; those of a partition in their order. */
export async function readTopic(address: string, topic: string): Promise<TopicMessage[]> {
  const ends = await endOffsets(address, topic);
  let missing = ends.reduce((sum, end) => sum + end, 0n);
  const messages: TopicMessage[] = [];
  if (missing === 0n) return messages;
  const consumer = new Consumer({ groupId: `test-${crypto.randomUUID()}`, clientId: "test-reader", bootstrapBrokers: [address], deserializers: stringDeserializers, maxWaitTime: 200 });
  const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST, fallbackMode: MessagesStreamModes.EARLIEST, autocommit: false });
  for await (const m of stream) {
    // Those that came since then are none of it.
    if (m.offset >= ends[m.partition]!) continue;
    messages.push({ partition: m.partition, offset: m.offset, key: m.key, value: m.value, headers: Object.fromEntries(m.headers) });
    if (--missing === 0n) break;
  }
  await stream.close();
  await consumer.close(true);
  return messages;
}
