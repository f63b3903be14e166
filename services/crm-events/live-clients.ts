/**
 * Clients that get every event as it comes.
 *
 * What is posted within one turn of the event loop goes out as one write per client. Writing to very many takes a while;
 * after that it rests as long as it worked, and what is posted meanwhile goes out together. So the more there is to do, the
 * fewer writes it takes, the process has time for all else, and nobody waits when there is little.
 */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { Client } from "./hub.ts";
import type { EventsMetrics } from "./metrics.ts";
import { Frame } from "./sse.ts";

export interface LiveClientsOptions {
  /** A client with more unread bytes than this is dropped. */
  readonly clientBufferBytes: number;
  /** With more unread bytes than this over all clients, what they had no time to read aside, those with most are dropped. */
  readonly totalBufferBytes: number;
  readonly metrics: EventsMetrics;
  /** Closes a client that is too slow; it is no longer here afterwards. */
  readonly drop: (client: Client) => void;
}

/** Posted bytes that are written at once, without waiting for the turn or the rest to end. */
const writeBytes = 64 * 1024;
/** The longest rest, and so the most that it adds to a delivery. */
const longestRestMs = 100;
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
  /** Those who came while something waited, and how much of that was posted before they came. */
  readonly #joined = new Map<Client, number>();
  #parts: Buffer[] = [];
  #bytes = 0;
  /** Times of the events that wait, in milliseconds. */
  #times: number[] = [];
  /** Takes back the write that is to come. */
  #cancel: (() => void) | undefined;
  /** By `performance.now`. */
  #restUntil = 0;
  /** Unread bytes of all clients when that was last looked at; by now they can only be fewer. */
  #behind = 0;
  /** Written bytes for which no caller has waited yet: nobody is slow before having had time to read them. */
  #fresh = 0;
  /** Bytes given to clients since their reading was last looked at. */
  #added = 0;
  /** The end of what callers of `room` wait for. */
  #rooms: Promise<void> = Promise.resolve();

  constructor(options: LiveClientsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** @param client has everything that was posted before */
  add(client: Client): void {
    this.#clients.add(client);
    // What waits is not written for its sake: many come at once, and each write would be one to all others.
    if (this.#bytes > 0) this.#joined.set(client, this.#bytes);
    this.#behind += client.transport.pending;
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
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    // Those who have joined get copies of what follows: a large event stays one piece of memory for all.
    if (size >= writeBytes && this.#joined.size > 0) this.flush();
    this.#parts.push(...parts);
    this.#bytes += size;
    if (at !== undefined) this.#times.push(at);
    if (this.#bytes >= writeBytes) this.flush();
    else if (this.#cancel === undefined) this.#schedule();
  }

  /** Writes at the end of this turn, or of the rest. */
  #schedule(): void {
    const rest = Math.ceil(this.#restUntil - performance.now());
    if (rest > 0) {
      const timer = setTimeout(() => this.flush(), rest).unref();
      this.#cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(() => this.flush());
      this.#cancel = () => clearImmediate(immediate);
    }
  }

  /**
   * Waits until there is room for more: for a turn, or while the clients together are behind by half of what they may be and
   * are reading. A large event for many clients goes out at their pace so; those who read nothing hold up nobody. It waits
   * for no rest. Callers wait one after the other.
   */
  room(): Promise<void> {
    const room = this.#rooms.then(() => this.#makeRoom());
    this.#rooms = room.catch(() => undefined);
    return room;
  }

  async #makeRoom(): Promise<void> {
    await turn();
    // What waits comes on top of what the caller brings next, and a client's buffer must hold both.
    if (this.#bytes >= writeBytes / 2) this.flush();
    const enough = this.#options.totalBufferBytes / 2;
    let waitedFor = this.#fresh;
    if (this.#behind > enough && this.#pending() > enough) {
      // Everything is out before their reading is watched.
      this.flush();
      waitedFor = this.#fresh;
      await this.#reading(enough);
    }
    // Others may have written meanwhile: for that they wait themselves.
    this.#fresh -= waitedFor;
  }

  /** Waits until the clients are behind by so many bytes at most, or do not read. */
  async #reading(enough: number): Promise<void> {
    let before = Number.POSITIVE_INFINITY;
    for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(lookMs)) {
      // A late timer comes before the sockets in a loop that is busy: what the clients have read counts first.
      await turn();
      const now = this.#pending();
      if (now <= enough || now - this.#added >= before) return;
      before = now;
      this.#added = 0;
    }
  }

  #pending(): number {
    let sum = 0;
    for (const client of this.#clients) sum += client.transport.pending;
    return (this.#behind = sum);
  }

  /** Writes what was posted, and takes a rest. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#parts.length === 0) return;
    const body = Buffer.concat(this.#parts, this.#bytes);
    const times = this.#times;
    this.#parts = [];
    this.#times = [];
    this.#bytes = 0;
    const begin = performance.now();
    this.#write(body);
    const end = performance.now();
    this.#restUntil = end + Math.min(end - begin, longestRestMs);
    const now = Date.now();
    for (const at of times) if (now - at <= oldestMs && at - now <= aheadMs) this.#options.metrics.latency.observe(Math.max(0, now - at) / 1_000);
  }

  #write(body: Buffer): void {
    const { clientBufferBytes, drop, metrics, totalBufferBytes } = this.#options;
    const frames = new Map<number, Frame>();
    let bytes = 0;
    let behind = 0;
    let total = 0;
    this.#fresh += body.length;
    for (const client of this.#clients) {
      const frame = frameBehind(this.#joined.get(client) ?? 0, body, frames);
      bytes += frame.body.length;
      if (frame.body.length > 0) client.transport.write(frame);
      const { pending } = client.transport;
      behind += pending;
      // The frames themselves are one piece of memory for all.
      total += Math.max(0, pending - this.#fresh);
      if (pending > clientBufferBytes) drop(client);
    }
    this.#joined.clear();
    this.#behind = behind;
    this.#added += bytes;
    metrics.bytes.inc(bytes);
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

/** What follows so many bytes. Who came between the same two events shares a frame with the others. @param frames those made so far */
function frameBehind(had: number, body: Buffer, frames: Map<number, Frame>): Frame {
  let frame = frames.get(had);
  if (frame === undefined) frames.set(had, (frame = new Frame(body.subarray(had))));
  return frame;
}
