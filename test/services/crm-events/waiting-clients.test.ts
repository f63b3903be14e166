/** Clients that catch up, each at its own pace, and the memory that they hold together. */
import { afterEach, expect, test } from "vitest";
import type { Client } from "../../../services/crm-events/hub.ts";
import type { LogSlice } from "../../../services/crm-events/topic-log.ts";
import { WaitingClients } from "../../../services/crm-events/waiting-clients.ts";
import { MemoryTopic, Replica, sampleEvent, SseClient } from "./support.ts";

const opened: { replica: Replica; clients: SseClient[] }[] = [];

afterEach(async () => {
  for (const { clients, replica } of opened.splice(0)) {
    for (const { socket } of clients) socket.destroy();
    expect(replica.errors).toEqual([]);
    await replica.close();
  }
});

/** About a megabyte at a time. */
class LargeEvents extends MemoryTopic {
  override async read(_epoch: string, partition: number, from: number): Promise<LogSlice> {
    return this.slice(partition, from, 2);
  }
}

test("those that stop reading while they catch up are dropped at once when they hold too much together", async () => {
  const topic = new LargeEvents(1);
  for (let i = 0; i < 30; i++) topic.append(0, { ...sampleEvent("a", i), data: { filler: "x".repeat(500_000) } });
  const replica = await new Replica(topic, { historyEvents: 2, clientBufferBytes: 64 << 20, totalBufferBytes: 8 << 20 }).start();
  const clients: SseClient[] = [];
  opened.push({ replica, clients });
  replica.pumpAll();
  const client = () => {
    const made = new SseClient(replica.port, { lastEventId: "epoch1.0" });
    clients.push(made);
    return made;
  };
  for (let i = 0; i < 60; i++) client().socket.pause();
  const metrics = async () => Number(/dropped_clients_total\{reason="slow"\} (\d+)/.exec(await replica.metrics.registry.metrics())?.[1] ?? 0);
  for (const end = Date.now() + 5_000; (await metrics()) < 50 && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await metrics()).toBeGreaterThanOrEqual(50);
  const reader = client();
  await reader.until(() => reader.events.length === 30);
  expect([reader.closed, reader.gaps]).toEqual([false, []]);
});

function client(): { client: Client; read: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { client: { transport: { writable: () => promise } } as unknown as Client, read: resolve };
}

test("those that wait longest go first, and those that have read count no more", async () => {
  const dropped: Client[] = [];
  const waiting = new WaitingClients({ totalBytes: 100, drop: (one) => dropped.push(one) });
  const [a, b, c, d] = [client(), client(), client(), client()] as const;
  const waits = [waiting.wait(a.client, 40), waiting.wait(b.client, 40)];
  a.read();
  await waits[0];
  waits.push(waiting.wait(c.client, 40));
  expect(dropped).toEqual([]);
  waits.push(waiting.wait(d.client, 60));
  expect(dropped).toEqual([b.client]);
  for (const { read } of [b, c, d]) read();
  await Promise.all(waits);
  // Nothing is counted twice, or not given back.
  await waiting.wait(a.client, 100);
  expect(dropped).toEqual([b.client]);
});
