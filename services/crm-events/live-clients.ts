/**
 * Clients that get every event as it comes.
 *
 * What is posted within one turn of the event loop goes out as one write per client: the more there is to do, the fewer
 * writes it takes, and nobody waits when there is little.
 */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { Client } from "./hub.ts";
import type { EventsMetrics } from "./metrics.ts";
import { Frame } from "./sse.ts";

export interface LiveClientsOptions {
  /** A client with more unread bytes than this is dropped. */
  readonly clientBufferBytes: number;
  /** With more unread bytes than this over all clients, the newest frame aside, those with most are dropped. */
  readonly totalBufferBytes: number;
  readonly metrics: EventsMetrics;
  /** Closes a client that is too slow; it is no longer here afterwards. */
  readonly drop: (client: Client) => void;
}

/** Posted bytes that are written at once, without waiting for the turn to end. */
const writeBytes = 64 * 1024;
/** How long clients that are reading are waited for, and how often it is looked. */
const patienceMs = 2_000;
const lookMs = 20;
/**
 * Older events, and those from further ahead, have a time that is wrong: one of them would drown a year of true latencies.
 * Clocks may differ a little.
 */
const oldestMs = 86_400_000;
const aheadMs = 60_000;

export class LiveClients {
  readonly #options: LiveClientsOptions;
  readonly #clients = new Set<Client>();
  #parts: Buffer[] = [];
  #bytes = 0;
  /** Times of the events that wait, in milliseconds. */
  #times: number[] = [];
  #scheduled = false;

  constructor(options: LiveClientsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** @param client has everything that was posted before */
  add(client: Client): void {
    this.flush();
    this.#clients.add(client);
  }

  delete(client: Client): void {
    this.#clients.delete(client);
  }

  /** Takes all of them out. */
  clear(): Client[] {
    this.flush();
    const clients = [...this.#clients];
    this.#clients.clear();
    return clients;
  }

  /** Sends an event's block to all. @param parts to be concatenated. @param at the event's own time, if its delivery counts */
  post(parts: readonly Buffer[], at?: number): void {
    if (this.#clients.size === 0) return;
    for (const part of parts) {
      this.#parts.push(part);
      this.#bytes += part.length;
    }
    if (at !== undefined) this.#times.push(at);
    if (this.#bytes >= writeBytes) return this.flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /**
   * Waits until there is room for more: at once, or while the clients together are behind by half of what they may be and
   * are reading. A large event for many clients goes out at their pace so; those who read nothing hold up nobody.
   */
  async room(): Promise<void> {
    await turn();
    let before = Number.POSITIVE_INFINITY;
    for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(lookMs)) {
      const now = this.#pending();
      if (now <= this.#options.totalBufferBytes / 2 || now >= before) return;
      before = now;
    }
  }

  #pending(): number {
    let sum = 0;
    for (const client of this.#clients) sum += client.transport.pending;
    return sum;
  }

  /** Writes what was posted. */
  flush(): void {
    if (this.#parts.length === 0) return;
    const frame = new Frame(Buffer.concat(this.#parts, this.#bytes));
    const times = this.#times;
    this.#parts = [];
    this.#times = [];
    this.#bytes = 0;
    this.#write(frame);
    const now = Date.now();
    for (const at of times) if (now - at <= oldestMs && at - now <= aheadMs) this.#options.metrics.latency.observe(Math.max(0, now - at) / 1_000);
  }

  #write(frame: Frame): void {
    const { clientBufferBytes, drop, metrics, totalBufferBytes } = this.#options;
    let total = 0;
    metrics.bytes.inc(frame.body.length * this.#clients.size);
    for (const client of this.#clients) {
      client.transport.write(frame);
      const { pending } = client.transport;
      // The frame itself is one piece of memory for all, and nobody is slow before having had time to read it.
      total += Math.max(0, pending - frame.body.length);
      if (pending > clientBufferBytes) drop(client);
    }
    if (total > totalBufferBytes) this.#shed(total - totalBufferBytes / 2);
  }

  /** Drops those who wait for most, until so many bytes are free: many slow clients together must not exhaust the memory either. */
  #shed(bytes: number): void {
    const slow = [...this.#clients].map((client) => ({ client, pending: client.transport.pending })).filter(({ pending }) => pending > 0);
    slow.sort((a, b) => b.pending - a.pending);
    for (const { client, pending } of slow) {
      if (bytes <= 0) return;
      this.#options.drop(client);
      bytes -= pending;
    }
  }
}
