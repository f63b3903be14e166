/** Answers of history that are larger than what the kernel keeps for a connection. */
import { Agent, get, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { MemoryTopic, Replica, sampleEvent, type ReplicaOptions } from "./support.ts";

const events = 1_200;
const path = `/crm-events/history?n=${events}`;
const sockets: Socket[] = [];
let replica: Replica;

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await replica.close();
});

/** A replica with some 20 MB of history. */
async function start(historyLimits: ReplicaOptions["historyLimits"] = {}): Promise<void> {
  const topic = new MemoryTopic(1);
  for (let i = 0; i < events; i++) topic.append(0, { ...sampleEvent("k", i), data: { sequence: i, text: "x".repeat(16_000) } });
  replica = await new Replica(topic, { historyEvents: events, historyBytes: 32 << 20, historyLimits }).start();
  replica.pumpAll();
}

const requestOf = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;

/** A client that asks and never reads. */
function mute(text: string): Socket {
  const socket = connectTcp(replica.port, "127.0.0.1").on("error", () => undefined).pause();
  socket.write(text);
  sockets.push(socket);
  return socket;
}

const dropped = async () => Number(/dropped_clients_total\{reason="slow"\} (\d+)/.exec(await replica.metrics.registry.metrics())![1]);
const answered = async (status: number) => Number(new RegExp(`http_requests_total\\{path="/crm-events/history",method="GET",status="${status}"\\} (\\d+)`).exec(await replica.metrics.registry.metrics())?.[1] ?? 0);

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = Date.now() + 15_000; !(await condition()); await sleep(20)) if (Date.now() > end) throw new Error(`waited in vain for ${condition}`);
}

const ask = async () => {
  const response = await fetch(`http://127.0.0.1:${replica.port}${path}`);
  return { status: response.status, retryAfter: response.headers.get("retry-after"), text: await response.text() };
};
const sequencesOf = (text: string) => JSON.parse(text).events.map((event: { data: { sequence: number } }) => event.data.sequence);
const all = Array.from({ length: events }, (_, i) => i);

test("clients that never read hold only so much, are dropped, and leave room for others", async () => {
  await start({ maxBytes: 45 << 20, idleMs: 1_500 });
  for (let i = 0; i < 20; i++) mute(requestOf(path));
  await until(async () => (await answered(200)) + (await answered(503)) === 20);
  expect(await answered(200)).toBe(2);
  expect(await ask()).toMatchObject({ status: 503, retryAfter: "2" });
  await until(async () => (await dropped()) === 2);
  const { status, text } = await ask();
  expect(status).toBe(200);
  expect(sequencesOf(text)).toEqual(all);
});

test("one answer goes out however large it is", async () => {
  await start({ maxBytes: 1_000 });
  expect(sequencesOf((await ask()).text)).toEqual(all);
});

test("a client that leaves gives its room back, also that of an answer that had not begun", async () => {
  await start({ maxBytes: 45 << 20 });
  const leaving = mute(requestOf(path) + requestOf(path));
  await until(async () => (await answered(200)) === 2);
  expect((await ask()).status).toBe(503);
  leaving.destroy();
  await until(async () => (await Promise.all([ask(), ask()])).every(({ status }) => status === 200));
});

test("a slow client on one connection gets it whole, twice", async () => {
  await start({ idleMs: 5_000 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 2; i++) {
    const response = await new Promise<IncomingMessage>((resolve) => get({ host: "127.0.0.1", port: replica.port, path, agent }, resolve));
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) {
      text += chunk;
      if (text.length % 37 === 0) await sleep(1);
    }
    expect(sequencesOf(text)).toEqual(all);
  }
  agent.destroy();
  expect(await dropped()).toBe(0);
});

test("over HTTP/2 it comes whole to who reads, and who does not is dropped", async () => {
  await start({ idleMs: 1_000, maxBytes: 30 << 20 });
  const session = connectHttp2(`http://127.0.0.1:${replica.port}`).on("error", () => undefined);
  const still = session.request({ ":path": path }).on("error", () => undefined).pause();
  await until(async () => (await dropped()) === 1);
  await until(() => still.closed || still.destroyed);
  let text = "";
  const reading = session.request({ ":path": path }).setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise((resolve) => reading.once("end", resolve));
  expect(sequencesOf(text)).toEqual(all);
  session.destroy();
});
