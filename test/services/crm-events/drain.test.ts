/** A replica that drains while events go on coming. */
import { afterEach, describe, expect, test } from "vitest";
import type { Transport } from "../../../services/crm-events/transport.ts";
import { MemoryTopic, Replica, sampleEvent, SseClient } from "./support.ts";

const replicas: Replica[] = [];

async function replica(topic: MemoryTopic): Promise<Replica> {
  const started = await new Replica(topic, { clientBufferBytes: 64 << 20 }).start();
  replicas.push(started);
  return started;
}

afterEach(async () => {
  for (const used of replicas.splice(0)) {
    expect(used.errors).toEqual([]);
    await used.close();
  }
});

describe.each([{ way: "read from the first bytes", unusual: false }, { way: "through the HTTP server", unusual: true }])("a stream $way", ({ unusual }) => {
  test("gets what waits for it, and its end, when events come behind that", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic);
    const page = await new SseClient(events.port, { unusual }).until((page) => page.parser.retry !== undefined);
    page.socket.pause();
    page.parser.retry = undefined;
    // More than the kernel takes.
    for (let i = 0; i < 60; i++) topic.append(0, { ...sampleEvent("a", i), data: { filler: "x".repeat(500_000) } });
    events.pumpAll();
    const draining = events.hub.drain(8_000);
    topic.append(0, sampleEvent("a", 60));
    events.pumpAll();
    await events.hub.room();
    page.socket.resume();
    await page.until((page) => page.closed);
    await draining;
    expect([page.ended, page.events.length]).toEqual([true, 60]);
    expect(page.parser.retry).toBeGreaterThanOrEqual(10);
  });
});

/** A stream that notes what it is told to do. */
function noting(): { transport: Transport; calls: string[] } {
  const calls: string[] = [];
  const transport: Transport = {
    pending: 0,
    sent: 0,
    write: ({ body }) => (calls.push(`${body}`.includes("data: ") ? "event" : "head"), true),
    end: () => void calls.push("end"),
    destroy: () => void calls.push("destroy"),
    onClose: () => undefined,
    writable: async () => undefined,
  };
  return { transport, calls };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

test("a stream that still catches up is written nothing behind its end", async () => {
  const topic = new MemoryTopic(1);
  const events = await replica(topic);
  for (let i = 0; i < 3; i++) topic.append(0, sampleEvent("a", i));
  const { calls, transport } = noting();
  // Another replica was faster: this client waits until this one has the first two events as well.
  events.hub.open(transport, "epoch1.2");
  await settle();
  const draining = events.hub.drain(100);
  events.pumpAll();
  await draining;
  await settle();
  expect(calls).toEqual(["head", "head", "end", "destroy"]);
});

test("a stream that waits for Kafka is ended too", async () => {
  const topic = new MemoryTopic(1);
  const events = new Replica(topic);
  replicas.push(events);
  const { calls, transport } = noting();
  events.hub.open(transport, undefined);
  const draining = events.hub.drain(100);
  events.hub.start({ epoch: topic.epoch, next: [0] }, [0]);
  topic.append(0, sampleEvent("a", 0));
  events.pumpAll();
  await draining;
  await settle();
  expect(calls).toEqual(["head", "end", "destroy"]);
});
