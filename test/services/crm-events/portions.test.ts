/** What one frame holds: never so much that a client which reads is dropped for it. Over HTTP/2, where all of a frame waits at first. */
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { checkEvent } from "../../../services/crm-events/event.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { MemoryTopic, Replica, sampleEvent, SseParser, type Received } from "./support.ts";

/** The least buffer for the largest event that there is by default. */
const { CLIENT_BUFFER_BYTES: clientBufferBytes, MAX_EVENT_BYTES: maxEventBytes } = readEnv(eventsEnv, { KAFKA_BROKERS: "a", CLIENT_BUFFER_BYTES: `${(256 + 128) * 1024}` });
const opened: { replica: Replica; session: ClientHttp2Session }[] = [];

afterEach(async () => {
  for (const { replica, session } of opened.splice(0)) {
    session.destroy();
    expect(replica.errors).toEqual([]);
    await replica.close();
  }
});

async function open(topic: MemoryTopic, historyEvents: number, lastEventId?: string) {
  const replica = await new Replica(topic, { clientBufferBytes, historyEvents, historyBytes: 64 << 20 }).start();
  const session = connectHttp2(`http://127.0.0.1:${replica.port}`);
  opened.push({ replica, session });
  replica.pumpAll();
  const received: Received[] = [];
  const parser = new SseParser((event) => received.push(event));
  const stream = session.request({ ":path": "/crm-events", ...(lastEventId !== undefined && { "last-event-id": lastEventId }) });
  stream.on("data", (bytes: Buffer) => parser.push(bytes));
  /** Waits for so many events, or for the end of the stream. */
  const count = async (events: number) => {
    while (received.length < events && !stream.closed) await sleep(5);
    return received.length;
  };
  while (parser.firstId === undefined && !stream.closed) await sleep(5);
  return { replica, received, count };
}

const filled = (i: number, bytes: number) => ({ ...sampleEvent("a", i), data: { sequence: i, filler: "x".repeat(bytes) } });

test("a slice of Kafka goes out in portions", async () => {
  const topic = new MemoryTopic(1);
  for (let i = 0; i < 120; i++) topic.append(0, filled(i, 40_000));
  const { count, received } = await open(topic, 5, "epoch1.0");
  expect(await count(120)).toBe(120);
  expect(received.map(({ data }) => JSON.parse(data).data.sequence)).toEqual(Array.from({ length: 120 }, (_, i) => i));
});

test("the largest event reaches every client: live, from history, and from Kafka", async () => {
  const topic = new MemoryTopic(1);
  const room = maxEventBytes - JSON.stringify(filled(0, 0)).length;
  const largest = () => topic.append(0, filled(0, room));
  // With one below 64 KiB before it, both would be more than the buffer holds.
  for (let i = 0; i < 6; i++) {
    topic.append(0, filled(0, 65_000));
    largest();
  }
  expect(checkEvent(topic.partitions[0]![1]!, maxEventBytes).ok).toBe(true);
  for (const historyEvents of [4, 100]) {
    const { count, replica } = await open(topic, historyEvents, "epoch1.0");
    expect(await count(12)).toBe(12);
    await replica.close();
  }
  const { count, replica } = await open(topic, 100);
  topic.append(0, filled(0, 65_000));
  largest();
  replica.pumpAll();
  expect(await count(2)).toBe(2);
});
