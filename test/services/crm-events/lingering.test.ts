/** Connections that carry nothing, and whose clients would keep them for ever. */
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
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
