/** A topic in memory, replicas that read it in their own order, and a client that reads their streams. */
import { connect as connectTcp, type Socket } from "node:net";
import { Admission } from "../../../services/crm-events/admission.ts";
import { App } from "../../../services/crm-events/app.ts";
import type { HistoryLimits } from "../../../services/crm-events/history-answers.ts";
import { Hub, type FreshEvent, type HubOptions } from "../../../services/crm-events/hub.ts";
import { Front } from "../../../services/crm-events/listen.ts";
import { createMetrics } from "../../../services/crm-events/metrics.ts";
import { RateLimit, TrustedProxies } from "../../../services/crm-events/rate-limit.ts";
import { OffsetOutOfRange, type LogSlice, type LogTimes, type TopicLog } from "../../../services/crm-events/topic-log.ts";
import type { TopicBounds } from "../../../services/crm-events/topic-reader.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";

/** A valid event. */
export function sampleEvent(key: string, sequence: number): Record<string, unknown> {
  return {
    id: `${key}-${sequence}`,
    type: "invoice.paid",
    ts: new Date().toISOString(),
    org_id: "acme",
    aggregate: { type: "invoice", id: key },
    version: 1,
    data: { key, sequence },
  };
}

export class MemoryTopic implements TopicLog {
  readonly epoch: string;
  readonly partitions: (Buffer | null)[][];
  /** When each message was written, in milliseconds. */
  readonly times: number[][];
  readonly starts: number[];
  /** While set, Kafka cannot be reached. */
  down = false;

  constructor(partitions: number, epoch = "epoch1") {
    this.epoch = epoch;
    this.partitions = Array.from({ length: partitions }, () => []);
    this.times = Array.from({ length: partitions }, () => []);
    this.starts = Array<number>(partitions).fill(0);
  }

  /** @returns the event's offset. @param value null: a message that is no event. @param time of its writing, in milliseconds */
  append(partition: number, value: Record<string, unknown> | null, time = Date.now()): number {
    this.times[partition]!.push(time);
    return this.partitions[partition]!.push(value === null ? null : Buffer.from(JSON.stringify(value))) - 1;
  }

  /** Retention: offsets below are gone. */
  expire(partition: number, below: number): void {
    this.starts[partition] = below;
  }

  get ends(): number[] {
    return this.partitions.map((messages) => messages.length);
  }

  async read(epoch: string, partition: number, from: number): Promise<LogSlice> {
    if (this.down) throw new Error("no broker");
    if (epoch !== this.epoch || from < this.starts[partition]! || from > this.partitions[partition]!.length) throw new OffsetOutOfRange();
    return this.slice(partition, from, 50);
  }

  async bounds(): Promise<TopicBounds> {
    if (this.down) throw new Error("no broker");
    return { starts: [...this.starts], ends: this.ends };
  }

  async since(time: number): Promise<LogTimes> {
    if (this.down) throw new Error("no broker");
    const first = (times: readonly number[]) => times.findIndex((each) => each >= time);
    return { epoch: this.epoch, next: this.times.map((times) => (first(times) < 0 ? Number.POSITIVE_INFINITY : first(times))) };
  }

  slice(partition: number, from: number, count: number): { events: FreshEvent[]; next: number } {
    const messages = this.partitions[partition]!.slice(from, from + count);
    const events = messages.flatMap((json, i) => (json === null ? [] : [{ offset: from + i, json }]));
    return { events, next: from + messages.length };
  }
}

export interface ReplicaOptions extends Partial<Omit<HubOptions, "topic" | "metrics">> {
  readonly connectsPerMinute?: number;
  readonly maxClients?: number;
  readonly corsOrigins?: readonly string[];
  readonly trustedProxies?: readonly string[];
  readonly tls?: { cert: string; key: string };
  readonly historyLimits?: HistoryLimits;
  readonly unusedHttp2Ms?: number;
}

/** One crm-events without Kafka: the test pumps messages into it. */
export class Replica {
  readonly metrics = createMetrics(createRegistry(false));
  readonly errors: unknown[] = [];
  readonly hub: Hub;
  readonly front: Front;
  readonly topic: MemoryTopic;
  port = 0;

  constructor(topic: MemoryTopic, options: ReplicaOptions = {}) {
    const { connectsPerMinute = 0, maxClients = 5_000, corsOrigins = [], trustedProxies = [], tls, historyLimits, unusedHttp2Ms, ...hub } = options;
    this.topic = topic;
    this.hub = new Hub({
      historyEvents: 1_000,
      historyBytes: 1 << 20,
      clientBufferBytes: 1 << 20,
      replayEvents: 100_000,
      retryMs: 10,
      topic,
      metrics: this.metrics,
      onError: (error) => this.errors.push(error),
      ...hub,
    });
    const app = new App({
      hub: this.hub,
      metrics: this.metrics,
      admission: new Admission({ limit: new RateLimit(connectsPerMinute), maxClients, corsOrigins }),
      proxies: new TrustedProxies(trustedProxies),
      historyEvents: hub.historyEvents ?? 1_000,
      ...(historyLimits && { historyLimits }),
    });
    this.front = new Front({ app, host: "127.0.0.1", port: 0, tls, ...(unusedHttp2Ms && { unusedHttp2Ms }) });
  }

  /** Listens while Kafka is still away. */
  async listen(): Promise<this> {
    this.port = (await this.front.listen()).port;
    return this;
  }

  /** Listens and begins to read at `from`. */
  async start(from: readonly number[] = this.topic.starts): Promise<this> {
    await this.listen();
    this.reach(from);
    return this;
  }

  /** Reaches Kafka and begins to read at `from`. @param fresh it said before that there is no topic */
  reach(from: readonly number[] = this.topic.starts, fresh = false): void {
    this.hub.start({ epoch: this.topic.epoch, next: from }, this.topic.ends, fresh);
  }

  /** Reads up to `count` messages of a partition. @returns whether there were any */
  pump(partition: number, count = 50): boolean {
    const from = this.hub.history!.position.next[partition]!;
    const { events, next } = this.topic.slice(partition, from, count);
    if (next > from) this.hub.publish(partition, events, next);
    return next > from;
  }

  /** Reads everything. */
  pumpAll(): void {
    while (this.topic.partitions.some((_, p) => this.pump(p)));
  }

  async close(): Promise<void> {
    this.front.stopAccepting();
    await this.hub.drain(500);
    this.front.destroy();
  }
}

export interface Received {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** Reads Server-Sent Events as the HTML standard says, from bytes that may be cut anywhere. */
export class SseParser {
  lastEventId: string;
  /** Id of the first block. */
  firstId: string | undefined;
  retry: number | undefined;
  comments = 0;
  /** Fields that the standard does not know. */
  readonly strange: string[] = [];
  readonly #onEvent: (event: Received) => void;
  #text = "";
  #event = "";
  #data: string[] = [];
  #id: string;
  readonly #decoder = new TextDecoder();

  constructor(onEvent: (event: Received) => void, lastEventId = "") {
    this.#onEvent = onEvent;
    this.lastEventId = this.#id = lastEventId;
  }

  push(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#text.split(/\r\n|\n|\r/);
    this.#text = lines.pop()!;
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return void this.comments++;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id") this.#id = value;
    else if (field === "retry") this.retry = Number(value);
    else this.strange.push(line);
  }

  #dispatch(): void {
    this.lastEventId = this.#id;
    this.firstId ??= this.#id;
    const event = this.#event || "message";
    this.#event = "";
    const data = this.#data.splice(0).join("\n");
    if (data !== "") this.#onEvent({ event, id: this.lastEventId, data });
  }
}

/** A client over a bare HTTP/1.1 connection, which a test may cut at any byte. */
export class SseClient {
  readonly received: Received[] = [];
  readonly parser: SseParser;
  readonly socket: Socket;
  status = 0;
  headers = new Map<string, string>();
  /** Everything behind the head of an answer that is no stream. */
  body = "";
  closed = false;
  /** The chunked body ended in order. */
  ended = false;
  #head = Buffer.alloc(0);
  #chunks = Buffer.alloc(0);
  #listeners = new Set<() => void>();

  constructor(port: number, options: { lastEventId?: string | undefined; query?: string; headers?: Record<string, string>; unusual?: boolean } = {}) {
    const { lastEventId, query = "", headers = {}, unusual = false } = options;
    this.parser = new SseParser((event) => this.received.push(event), lastEventId);
    this.socket = connectTcp(port, "127.0.0.1");
    const lines = Object.entries({ Host: "test", ...(lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId }), ...headers });
    const head = `GET /crm-events${query} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
    // Cut in two, a request takes the way through Node's HTTP server.
    if (unusual) this.socket.once("connect", () => setTimeout(() => this.socket.write(head.slice(9)), 5)).write(head.slice(0, 9));
    else this.socket.write(head);
    this.socket.setNoDelay(true).on("data", (bytes) => this.#onData(bytes)).on("error", () => undefined);
    this.socket.once("close", () => {
      this.closed = true;
      this.#notify();
    });
  }

  get events(): Received[] {
    return this.received.filter(({ event }) => event === "message");
  }

  get gaps(): { reason: string; from: string | null; to: string }[] {
    return this.received.filter(({ event }) => event === "gap").map(({ data }) => JSON.parse(data));
  }

  /** Waits for a condition. @throws Error after `ms` */
  async until(condition: (self: this) => boolean, ms = 10_000): Promise<this> {
    for (const end = Date.now() + ms; !condition(this); ) {
      if (Date.now() > end) throw new Error(`waited in vain; status ${this.status}, ${this.received.length} received, last ${JSON.stringify(this.received.at(-1))}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#listeners.add(() => (clearTimeout(timer), resolve()));
      });
    }
    return this;
  }

  cut(): void {
    this.socket.resetAndDestroy();
  }

  #onData(bytes: Buffer): void {
    if (this.status === 0) {
      this.#head = Buffer.concat([this.#head, bytes]);
      const end = this.#head.indexOf("\r\n\r\n");
      if (end === -1) return;
      const [first = "", ...lines] = this.#head.toString("latin1", 0, end).split("\r\n");
      this.status = Number(first.split(" ")[1]);
      for (const line of lines) this.headers.set(line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim());
      bytes = this.#head.subarray(end + 4);
    }
    if (this.headers.get("transfer-encoding") === "chunked") this.#dechunk(bytes);
    else this.body += bytes.toString("utf8");
    this.#notify();
  }

  #dechunk(bytes: Buffer): void {
    this.#chunks = Buffer.concat([this.#chunks, bytes]);
    for (;;) {
      const line = this.#chunks.indexOf("\r\n");
      if (line === -1) return;
      const size = Number.parseInt(this.#chunks.toString("latin1", 0, line), 16);
      if (this.#chunks.length < line + 2 + size + 2) return;
      if (size === 0) this.ended = true;
      this.parser.push(this.#chunks.subarray(line + 2, line + 2 + size));
      this.#chunks = this.#chunks.subarray(line + 2 + size + 2);
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}
