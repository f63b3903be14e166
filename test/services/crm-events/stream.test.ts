import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { parsePosition } from "../../../services/crm-events/position.ts";
import { MemoryTopic, Replica, sampleEvent, SseClient, SseParser, type ReplicaOptions } from "./support.ts";

const replicas: Replica[] = [];
const clients: SseClient[] = [];

async function replica(topic: MemoryTopic, options?: ReplicaOptions, from?: number[]): Promise<Replica> {
  const started = await new Replica(topic, options).start(from);
  replicas.push(started);
  return started;
}

function client(to: Replica, options?: ConstructorParameters<typeof SseClient>[1]): SseClient {
  const made = new SseClient(to.port, options);
  clients.push(made);
  return made;
}

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  for (const used of replicas.splice(0)) {
    expect(used.errors).toEqual([]);
    await used.close();
  }
});

const sequences = (of: SseClient): number[] => of.events.map(({ data }) => JSON.parse(data).data.sequence);

/** Requests that the fast way reads, and ones that Node's HTTP server gets. */
describe.each([{ way: "read from the first bytes", unusual: false }, { way: "through the HTTP server", unusual: true }])("a stream $way", ({ unusual }) => {
  test("gives every event as its JSON, with an id, in order, and nothing from before", async () => {
    const topic = new MemoryTopic(2);
    topic.append(0, sampleEvent("old", 0));
    const events = await replica(topic);
    events.pumpAll();
    const page = await client(events, { unusual }).until((page) => page.parser.retry !== undefined);
    for (let i = 1; i <= 20; i++) topic.append(i % 2, sampleEvent("a", i));
    events.pumpAll();
    await page.until((page) => page.events.length === 20);
    expect(sequences(page).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(page.events.every(({ id }) => parsePosition(id) !== undefined)).toBe(true);
    expect(JSON.parse(page.events[0]!.data)).toMatchObject({ type: "invoice.paid", aggregate: { type: "invoice", id: "a" }, version: 1 });
    expect(page.parser.strange).toEqual([]);
  });

  test("has the headers that keep it open and unchanged", async () => {
    const page = client(await replica(new MemoryTopic(1)), { unusual });
    await page.until((page) => page.status !== 0);
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toBe("text/event-stream");
    expect(page.headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(page.headers.get("x-accel-buffering")).toBe("no");
    expect(page.headers.has("access-control-allow-origin")).toBe(false);
  });

  test("tells the client its position before any event", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic);
    const page = await client(events, { unusual }).until((page) => page.parser.lastEventId !== "");
    page.cut();
    topic.append(0, sampleEvent("a", 1));
    events.pumpAll();
    const again = client(events, { unusual, lastEventId: page.parser.lastEventId });
    await again.until((again) => again.events.length === 1);
    expect(again.gaps).toEqual([]);
  });

  test("is ended in order when the replica drains, with the time to come back", async () => {
    const events = await replica(new MemoryTopic(1));
    const page = await client(events, { unusual }).until((page) => page.parser.retry !== undefined);
    page.parser.retry = undefined;
    const closing = events.close();
    await page.until((page) => page.closed);
    await closing;
    expect(page.ended).toBe(true);
    expect(page.parser.retry).toBeGreaterThanOrEqual(10);
    expect(page.parser.retry).toBeLessThanOrEqual(40);
    expect(await events.metrics.registry.metrics()).toContain('crm_events_dropped_clients_total{reason="drain"} 1');
  });

  test("beyond the limit of an address is refused with 429, and the next address is not", async () => {
    const events = await replica(new MemoryTopic(1), { connectsPerMinute: 3, trustedProxies: ["127.0.0.1"] });
    const from = (address: string) => client(events, { unusual, headers: { "X-Forwarded-For": `6.6.6.6, ${address}` } });
    for (let i = 0; i < 3; i++) await from("10.0.0.1").until((page) => page.status === 200);
    const refused = await from("10.0.0.1").until((refused) => refused.closed || refused.body !== "");
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(JSON.parse(refused.body).error).toContain("10.0.0.1");
    const other = await from("10.0.0.2").until((other) => other.status !== 0);
    expect(other.status).toBe(200);
    expect(await events.metrics.registry.metrics()).toContain('crm_events_dropped_clients_total{reason="rate"} 1');
  });

  test("beyond the number of streams is refused with 503", async () => {
    const events = await replica(new MemoryTopic(1), { maxClients: 1 });
    await client(events, { unusual }).until((page) => page.status === 200);
    const refused = await client(events, { unusual }).until((refused) => refused.status !== 0);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("5");
  });

  test("for a page of a configured origin says so, for others not", async () => {
    const events = await replica(new MemoryTopic(1), { corsOrigins: ["http://localhost:3001"] });
    const ours = await client(events, { unusual, headers: { Origin: "http://localhost:3001" } }).until((ours) => ours.status !== 0);
    expect(ours.headers.get("access-control-allow-origin")).toBe("http://localhost:3001");
    const theirs = await client(events, { unusual, headers: { Origin: "http://evil.example" } }).until((theirs) => theirs.status !== 0);
    expect(theirs.headers.has("access-control-allow-origin")).toBe(false);
    expect(theirs.headers.get("vary")).toBe("Origin");
  });

  test("is closed when its client goes on talking", async () => {
    const events = await replica(new MemoryTopic(1));
    const page = await client(events, { unusual }).until((page) => page.parser.retry !== undefined);
    page.socket.write("GET /crm-events HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1_000));
    await page.until((page) => page.closed);
    expect(events.hub.clients).toBe(0);
  });
});

describe("clients that do not read", () => {
  test("are dropped at the byte cap and counted, and others get everything", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic, { clientBufferBytes: 256 * 1024 });
    const stuck = Array.from({ length: 5 }, () => client(events));
    const reader = client(events);
    await reader.until(() => events.hub.clients === 6);
    for (const { socket } of stuck) socket.pause();
    const big = { ...sampleEvent("a", 0), data: { key: "a", sequence: 0, filler: "x".repeat(50_000) } };
    for (let i = 0; events.hub.clients > 1 && i < 2_000; i++) {
      topic.append(0, big);
      events.pumpAll();
      await reader.until(() => reader.events.length === i + 1);
    }
    expect(events.hub.clients).toBe(1);
    expect(await events.metrics.registry.metrics()).toContain('crm_events_dropped_clients_total{reason="slow"} 5');
    expect(reader.events.length).toBe(topic.ends[0]);
  });

  test("together wait for no more than the memory that there is for all of them", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic, { clientBufferBytes: 64 << 20, totalBufferBytes: 8 << 20 });
    const stuck = Array.from({ length: 10 }, () => client(events));
    const reader = client(events);
    await reader.until(() => events.hub.clients === 11);
    for (const { socket } of stuck) socket.pause();
    const big = { ...sampleEvent("a", 0), data: { filler: "x".repeat(60_000) } };
    for (let i = 0; events.hub.clients > 1 && i < 3_000; i++) {
      topic.append(0, big);
      events.pumpAll();
      await events.hub.room();
      await reader.until(() => reader.events.length === i + 1);
    }
    expect(events.hub.clients).toBeLessThan(11);
    expect(reader.closed).toBe(false);
    expect(reader.events.length).toBe(topic.ends[0]);
  });

  test("are dropped when they take nothing between two pings, even when hardly anything waits", async () => {
    const topic = new MemoryTopic(1);
    for (let i = 0; i < 20; i++) topic.append(0, { ...sampleEvent("a", i), data: { filler: "x".repeat(500_000) } });
    // They follow at their own pace, so the byte cap never stops them: the pings do.
    const events = await replica(topic, { historyEvents: 2, clientBufferBytes: 64 << 20 });
    events.pumpAll();
    const stuck = client(events, { lastEventId: "epoch1.0" });
    stuck.socket.pause();
    for (let i = 0; i < 100 && events.hub.clients === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(events.hub.clients).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let second = 0; second < 31; second++) events.hub.ping();
    expect(events.hub.clients).toBe(0);
    expect(await events.metrics.registry.metrics()).toContain('crm_events_dropped_clients_total{reason="slow"} 1');
  });

  test("that only idle get their pings and stay", async () => {
    const events = await replica(new MemoryTopic(1));
    const page = await client(events).until((page) => page.parser.retry !== undefined);
    for (let second = 0; second < 45; second++) {
      events.hub.ping();
      if (second % 15 === 14) await page.until((page) => page.parser.comments === (second + 1) / 15);
    }
    expect(events.hub.clients).toBe(1);
  });
});

describe("other requests", () => {
  const get = async (events: Replica, path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${events.port}${path}`, init);

  test("history gives the newest events, newest last, and where a stream goes on from", async () => {
    const topic = new MemoryTopic(2);
    const events = await replica(topic);
    for (let i = 0; i < 10; i++) {
      topic.append(i % 2, sampleEvent("a", i));
      events.pumpAll();
    }
    const answer = await get(events, "/crm-events/history?n=3");
    expect(answer.headers.get("content-type")).toBe("application/json");
    const { events: newest, last_event_id: id } = (await answer.json()) as { events: { data: { sequence: number } }[]; last_event_id: string };
    expect(newest.map((e) => e.data.sequence)).toEqual([7, 8, 9]);
    topic.append(0, sampleEvent("a", 10));
    events.pumpAll();
    const page = await client(events, { query: `?lastEventId=${id}` }).until((page) => page.events.length > 0);
    expect(sequences(page)).toEqual([10]);
    const all = (await (await get(events, "/crm-events/history")).json()) as { events: unknown[] };
    expect(all.events).toHaveLength(11);
  });

  test.each(["0", "1001", "-1", "1e3", "abc", ""])("history?n=%s is a 400 that names n", async (n) => {
    const answer = await get(await replica(new MemoryTopic(1)), `/crm-events/history?n=${n}`);
    expect(answer.status).toBe(400);
    expect(await answer.text()).toMatch(/"n: a whole number from 1 to 1000/);
  });

  test("history before Kafka was ever reached is a 503; a stream waits instead", async () => {
    const topic = new MemoryTopic(1);
    const events = new Replica(topic);
    events.port = (await events.front.listen()).port;
    replicas.push(events);
    expect((await get(events, "/crm-events/history")).status).toBe(503);
    const page = await client(events).until((page) => page.status === 200);
    topic.append(0, sampleEvent("a", 1));
    events.hub.start({ epoch: topic.epoch, next: [0] }, [0]);
    await page.until((page) => page.parser.lastEventId === "epoch1.0");
    events.pumpAll();
    await page.until((page) => page.events.length === 1);
  });

  test("HEAD, OPTIONS, wrong methods and wrong paths get proper answers", async () => {
    const events = await replica(new MemoryTopic(1), { corsOrigins: ["*"] });
    const head = await get(events, "/crm-events", { method: "HEAD" });
    expect([head.status, head.headers.get("content-type"), await head.text()]).toEqual([200, "text/event-stream", ""]);
    const options = await get(events, "/crm-events", { method: "OPTIONS", headers: { Origin: "http://x" } });
    expect([options.status, options.headers.get("allow"), options.headers.get("access-control-allow-origin"), options.headers.get("access-control-allow-headers")]).toEqual([204, "GET, HEAD, OPTIONS", "*", "Last-Event-ID, Cache-Control"]);
    const post = await get(events, "/crm-events", { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    expect((await get(events, "/nowhere")).status).toBe(404);
    expect(await (await get(events, "/healthz")).json()).toEqual({ status: "ok" });
    const text = await (await get(events, "/metrics")).text();
    expect(text).toContain('crm_events_http_requests_total{path="other",method="GET",status="404"} 1');
    expect(text).toContain('crm_events_http_requests_total{path="/crm-events",method="POST",status="405"} 1');
  });

  test("may name the whole address, as to a proxy", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic);
    const ask = async (target: string): Promise<string> => {
      const socket = connectTcp(events.port, "127.0.0.1");
      let text = "";
      socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      socket.write(`GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
      for (let i = 0; i < 100 && !text.includes("\r\n\r\n"); i++) await new Promise((resolve) => setTimeout(resolve, 10));
      socket.destroy();
      return text;
    };
    expect(await ask("http://h/healthz")).toMatch(/^HTTP\/1\.1 200 /);
    expect(await ask("HTTPS://h:9010/crm-events/history?n=0")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await ask("http://h/crm-events")).toMatch(/^HTTP\/1\.1 200 [^]*text\/event-stream/);
    expect(await ask("http://h")).toMatch(/^HTTP\/1\.1 404 /);
    expect(await ask("http://h?x=/healthz")).toMatch(/^HTTP\/1\.1 404 /);
    const text = await (await get(events, "/metrics")).text();
    expect(text).toContain('crm_events_http_requests_total{path="/healthz",method="GET",status="200"} 1');
    expect(text).toContain('crm_events_http_requests_total{path="/crm-events",method="GET",status="200"} 1');
  });

  test("pipelined behind a stream end the connection instead of piling up", async () => {
    const events = await replica(new MemoryTopic(1));
    const page = client(events, { unusual: true });
    await page.until((page) => page.parser.retry !== undefined);
    page.socket.write("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n");
    await page.until((page) => page.closed);
  });

  test("HTTP/1.0 gets a body that the connection's end ends", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic);
    const socket = connectTcp(events.port, "127.0.0.1");
    let text = "";
    socket.on("data", (bytes) => (text += bytes.toString()));
    socket.write("GET /crm-events HTTP/1.0\r\n\r\n");
    for (let i = 0; i < 100 && events.hub.clients === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    topic.append(0, sampleEvent("a", 1));
    events.pumpAll();
    for (let i = 0; i < 100 && !text.includes("data: "); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    socket.destroy();
    expect(text).not.toContain("chunked");
    expect(text).toMatch(/\r\n\r\nretry: \d+\nid: epoch1\.0\n\nid: epoch1\.1\ndata: \{.*\}\n\n$/);
  });

  test("HTTP/2 with prior knowledge gets streams and answers over one connection", async () => {
    const topic = new MemoryTopic(1);
    const events = await replica(topic);
    const session = connectHttp2(`http://127.0.0.1:${events.port}`);
    const received: string[] = [];
    const parsers = [0, 1].map(() => new SseParser(({ data }) => received.push(data)));
    const statuses: number[] = [];
    for (const parser of parsers) {
      const stream = session.request({ ":path": "/crm-events" });
      stream.on("response", (headers) => statuses.push(headers[":status"]!)).on("data", (bytes: Buffer) => parser.push(bytes));
    }
    for (let i = 0; i < 200 && parsers.some(({ retry }) => retry === undefined); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(statuses).toEqual([200, 200]);
    for (let i = 0; i < 50; i++) topic.append(0, sampleEvent("a", i));
    events.pumpAll();
    for (let i = 0; i < 200 && received.length < 100; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(received).toHaveLength(100);
    const health = session.request({ ":path": "/healthz" }).resume();
    const status = await new Promise((resolve) => health.on("response", (headers) => resolve(headers[":status"])));
    expect(status).toBe(200);
    const ended = new Promise((resolve) => session.once("close", resolve));
    await events.close();
    await ended;
  });
});
