/** Connections that carry nothing, and whose clients would keep them for ever. */
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { MemoryTopic, Replica, type ReplicaOptions } from "./support.ts";

let replica: Replica;
const open: { destroy(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.destroy();
  await replica.close();
});

const start = async (options: ReplicaOptions) => (replica = await new Replica(new MemoryTopic(1), options).start());

/** A client that never ends its side by itself, and talks on: it closes only when the other side is not there any more. */
function stubborn(text: string): Socket {
  const socket = connectTcp({ port: replica.port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => undefined).resume();
  socket.write(text);
  socket.once("end", () => {
    const talking = setInterval(() => socket.write("x"), 100);
    socket.once("close", () => clearInterval(talking));
  });
  open.push(socket);
  return socket;
}

function session(): ClientHttp2Session {
  const made = connectHttp2(`http://127.0.0.1:${replica.port}`).on("error", () => undefined);
  open.push(made);
  return made;
}

test("a refused stream's connection is closed after 5 s, even when its client keeps it and talks on", async () => {
  await start({ connectsPerMinute: 1 });
  const request = "GET /crm-events HTTP/1.1\r\nHost: x\r\n\r\n";
  stubborn(request);
  const refused = stubborn(request);
  const began = performance.now();
  await new Promise((resolve) => refused.once("close", resolve));
  expect(performance.now() - began).toBeGreaterThan(4_000);
});

test("an HTTP/2 session without a stream is closed, whatever its pings say", async () => {
  await start({ unusedHttp2Ms: 300 });
  const idle = session();
  const pinging = setInterval(() => idle.destroyed || idle.ping(() => undefined), 50);
  const silent = stubborn(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\0\0\0\x04\0\0\0\0\0"}`);
  await Promise.all([idle, silent].map((one) => new Promise((resolve) => one.once("close", resolve))));
  clearInterval(pinging);
});

test("an HTTP/2 session is kept as long as it has a stream", async () => {
  await start({ unusedHttp2Ms: 300 });
  const used = session();
  const [stream, other] = [used.request({ ":path": "/crm-events" }), used.request({ ":path": "/healthz" })];
  other.resume();
  let text = "";
  stream.setEncoding("utf8").on("data", (part: string) => (text += part));
  await sleep(1_000);
  expect([used.destroyed, text.includes("retry: ")]).toEqual([false, true]);
  stream.close();
  await new Promise((resolve) => used.once("close", resolve));
});

/** Connections that were opened one after the other, and how they fare. */
async function connectAll(count: number, text: string): Promise<{ sockets: Socket[]; answers: string[] }> {
  const answers = Array<string>(count).fill("");
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connectTcp(replica.port, "127.0.0.1").on("error", () => undefined).setEncoding("latin1").on("data", (part: string) => (answers[i] += part));
    open.push(socket);
    sockets.push(socket);
    await new Promise((resolve) => socket.write(text, resolve));
  }
  return { sockets, answers };
}
const until = (check: () => void) => vi.waitFor(check, { timeout: 8_000, interval: 50 });

test("unfinished heads give way before they fill the memory, the oldest first", async () => {
  await start({});
  const stream = await connectAll(1, "GET /crm-events HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n");
  await until(() => expect(stream.answers[0]).toContain("retry: "));
  const { sockets } = await connectAll(400, `GET /crm-events HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(76_000)}`);
  await until(() => expect(sockets.filter(({ closed }) => !closed).length).toBeLessThan(300));
  expect(sockets.slice(0, 100).every(({ closed }) => closed)).toBe(true);
  expect(sockets.slice(-200).some(({ closed }) => closed)).toBe(false);
  expect(stream.sockets[0]!.closed).toBe(false);
  const last = sockets.at(-1)!;
  let answer = "";
  last.on("data", (part: string) => (answer += part)).write("\r\n\r\n");
  await until(() => expect(answer).toMatch(/^HTTP\/1.1 200 /));
});

test("heads in two parts are read, however many come at once", async () => {
  await start({ connectsPerMinute: 0 });
  const { sockets, answers } = await connectAll(1_000, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
  await sleep(200);
  for (const socket of sockets) socket.write("X-A: a\r\n\r\n");
  await until(() => expect(answers.filter((answer) => answer.startsWith("HTTP/1.1 200 "))).toHaveLength(1_000));
});

test("connections between two requests give way too, and come to an end by themselves only when they are many", async () => {
  await start({ connectsPerMinute: 0 });
  const { sockets, answers } = await connectAll(1_700, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  await until(() => expect(answers.every((answer) => answer.startsWith("HTTP/1.1 200 "))).toBe(true));
  await until(() => expect(sockets[0]!.closed).toBe(true));
  expect(sockets.slice(-1_000).some(({ closed }) => closed)).toBe(false);
  sockets.at(-1)!.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  await until(() => expect(answers.at(-1)!.match(/HTTP\/1.1 200 /g)).toHaveLength(2));
});

test("HTTP/2 sessions without a stream give way when they are many", async () => {
  await start({});
  const used = session();
  used.request({ ":path": "/crm-events" }).resume();
  const sessions = Array.from({ length: 600 }, session);
  await until(() => expect(sessions.filter(({ destroyed }) => !destroyed).length).toBeLessThanOrEqual(512));
  await until(() => expect(sessions.every(({ connecting, destroyed }) => destroyed || !connecting)).toBe(true));
  expect([used.destroyed, sessions.at(-1)!.destroyed]).toEqual([false, false]);
});
