/** All open streams: gives each event to every client, at its own pace only while it catches up, and drops who cannot keep up. */
import { setTimeout as sleep } from "node:timers/promises";
import { Follower } from "./follower.ts";
import { History } from "./history.ts";
import { LiveClients } from "./live-clients.ts";
import type { EventsMetrics } from "./metrics.ts";
import { parsePosition, type Position } from "./position.ts";
import { eventParts, gapFrame, type Frame, openingFrame, pingFrame, type GapReason } from "./sse.ts";
import type { TopicLog } from "./topic-log.ts";
import type { Transport } from "./transport.ts";
import { WaitingClients } from "./waiting-clients.ts";

export interface HubOptions {
  /** Events and bytes kept for history and resume. */
  readonly historyEvents: number;
  readonly historyBytes: number;
  /** A client with more unread bytes than this is dropped. */
  readonly clientBufferBytes: number;
  /**
   * With more unread bytes than this over all clients, what they had no time to read aside, those with most are dropped; with
   * as much held for those that catch up, the ones that have read nothing for longest. @default 67108864
   */
  readonly totalBufferBytes?: number;
  /** A client that missed more events than this is told of a gap. */
  readonly replayEvents: number;
  /** Clients wait this long before they connect again, and up to four times as long, by chance. @default 1000 */
  readonly retryMs?: number;
  readonly topic: TopicLog;
  readonly metrics: EventsMetrics;
  /** Told of a fault of this program that cost a client its stream. */
  readonly onError: (error: unknown) => void;
}

/** An event fresh from the topic. */
export interface FreshEvent {
  readonly offset: number;
  readonly json: Buffer;
  /** When Kafka got it, in milliseconds. @default now */
  readonly time?: number;
  /** The event's own time, in milliseconds; undefined for one that is only read for history. */
  readonly at?: number;
}

/** Seconds between two comments on a stream. */
const pingSeconds = 15;

/** One open stream. */
export interface Client {
  readonly transport: Transport;
  /** Second of the ping interval at which it is its turn. */
  readonly slot: number;
  /** Bytes that had gone out at its last ping; undefined when nothing was waiting then. */
  sentAtPing: number | undefined;
  closed: boolean;
}

export class Hub {
  readonly options: HubOptions;
  readonly #live: LiveClients;
  readonly #waiting: WaitingClients;
  readonly #slots = Array.from({ length: pingSeconds }, () => new Set<Client>());
  readonly #retryMs: number;
  #history: History | undefined;
  /** What the clients of an earlier start are told. */
  #reasonOfRestart: GapReason = "epoch";
  /** Where the topic ended when this replica began to read it. */
  #seedEnd: readonly number[] = [];
  #fresh = false;
  #changed = Promise.withResolvers<void>();
  #count = 0;
  #nextSlot = 0;
  #tick = 0;
  #draining = false;
  readonly #pinger: NodeJS.Timeout;

  constructor(options: HubOptions) {
    this.options = options;
    const { clientBufferBytes, metrics, totalBufferBytes = 64 << 20 } = options;
    const drop = (client: Client) => this.drop(client, "slow");
    this.#live = new LiveClients({ clientBufferBytes, totalBufferBytes, metrics, drop });
    this.#waiting = new WaitingClients({ totalBytes: totalBufferBytes, drop });
    this.#retryMs = options.retryMs ?? 1_000;
    this.#pinger = setInterval(() => this.ping(), 1_000).unref();
    options.metrics.clients.set(0);
  }

  /** Open streams. */
  get clients(): number {
    return this.#count;
  }

  /** Undefined until the topic was reached for the first time. */
  get history(): History | undefined {
    return this.#history;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get reasonOfRestart(): GapReason {
    return this.#reasonOfRestart;
  }

  /** The topic was not there yet when this replica began to look for it. */
  get fresh(): boolean {
    return this.#fresh;
  }

  /**
   * Where a client begins that names no position: behind everything that existed when it came, if this replica had reached
   * Kafka by then. While this replica still reads what was there at its start, that is ahead of it.
   */
  now(history: History): Position {
    const { epoch, next } = history.position;
    return { epoch, next: next.map((offset, p) => Math.max(offset, this.#seedEnd[p] ?? 0)) };
  }

  /** Resolves at the next event, loss or new start. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /**
   * Begins to read the topic, or begins anew with another incarnation of it.
   * @param from where reading begins, for the sake of history
   * @param end where the topic ends now
   * @param fresh Kafka said before that there is no such topic: clients that have waited for it get all of it. @default false
   */
  start(from: Position, end: readonly number[], fresh = false): void {
    this.#fresh = fresh;
    this.#restart(from, end, "epoch");
  }

  /**
   * Gives events of one partition to all clients, by the end of this turn or of the rest that follows a write (100 ms at most).
   * Call it with no more than some 64 KiB at a time, and wait for `room` between two calls.
   * @param next next offset of the partition, behind what is no event too
   */
  publish(partition: number, events: readonly FreshEvent[], next: number): void {
    const history = this.#history!;
    for (const { at, json, offset, time } of events) {
      const entry = history.append({ partition, offset, json, time: time ?? Date.now() });
      if (this.#live.size > 0) this.#live.post(eventParts(history.id, entry.json), at);
    }
    history.reach(partition, next);
    this.#wake();
  }

  /** Resolves when the clients have room for more, or have had time enough to make it. */
  room(): Promise<void> {
    return this.#live.room();
  }

  /** Kafka does not have what this replica was to read next; it goes on at `next`, and everybody is told. */
  lost(partition: number, next: number): void {
    const history = this.#history!;
    const from: Position = { epoch: history.position.epoch, next: [...history.position.next] };
    if (next < (from.next[partition] ?? 0)) {
      // The log was cut back: what is held under the same offsets is no longer what Kafka holds.
      const cut = from.next.map((offset, p) => (p === partition ? next : offset));
      return this.#restart({ ...from, next: cut }, cut, "lost");
    }
    history.jump(partition, next);
    this.#live.post([gapFrame("lost", from, history.position).body]);
    this.#wake();
  }

  /**
   * Takes a stream whose response head is out.
   * @param lastEventId what the client names as its last event; undefined or empty: it begins now
   */
  open(transport: Transport, lastEventId: string | undefined): Client {
    const client: Client = { transport, slot: this.#nextSlot, sentAtPing: undefined, closed: false };
    this.#nextSlot = (this.#nextSlot + 1) % pingSeconds;
    this.#slots[client.slot]!.add(client);
    this.options.metrics.clients.set(++this.#count);
    transport.onClose(() => this.#forget(client));
    if (client.closed) return client;
    const history = this.#history;
    const named = lastEventId !== undefined && lastEventId !== "";
    // The common case needs no promise: an up-to-date replica and a client that begins now.
    if (!named && history !== undefined && this.#seeded(history)) {
      this.write(client, openingFrame(this.retry(), history.position));
      this.#live.add(client);
    } else {
      const position = named ? parsePosition(lastEventId) : undefined;
      this.#supervise(client, (follower) => follower.run(named, position));
    }
    return client;
  }

  /** Makes a client one of those that get every event as it comes. Its position must be this replica's. */
  goLive(client: Client): void {
    if (!client.closed && !this.#draining) this.#live.add(client);
  }

  /** Writes to one client, within its byte cap. @returns false when it should be given time to read */
  write(client: Client, frame: Frame): boolean {
    // While it drains, what is to be the last of a stream is out already.
    if (client.closed || this.#draining) return true;
    const more = client.transport.write(frame);
    this.options.metrics.bytes.inc(frame.body.length);
    if (client.transport.pending > this.options.clientBufferBytes) this.drop(client, "slow");
    return more;
  }

  /** Waits until a client that catches up has read, or is gone. @param held bytes in memory for it, besides what was written */
  settle(client: Client, held: number): Promise<void> {
    return this.#waiting.wait(client, client.transport.pending + held);
  }

  /** Closes a stream from this side, and counts it. */
  drop(client: Client, reason: "slow"): void {
    if (client.closed) return;
    this.options.metrics.dropped.inc({ reason });
    client.transport.destroy();
    this.#forget(client);
  }

  /** Sends one second's share of comments, and drops who took nothing between two of its own. */
  ping(): void {
    const slot = this.#slots[this.#tick]!;
    this.#tick = (this.#tick + 1) % pingSeconds;
    for (const client of slot) {
      const { pending, sent } = client.transport;
      if (pending > 0 && client.sentAtPing === sent) {
        this.drop(client, "slow");
        continue;
      }
      client.sentAtPing = pending > 0 ? sent : undefined;
      this.write(client, pingFrame);
    }
  }

  /** Ends every stream in order, telling each client when to come back; new ones are ended at once. */
  async drain(deadlineMs = 3_000): Promise<void> {
    this.#draining = true;
    clearInterval(this.#pinger);
    // They get what was posted, and nothing behind their end.
    this.#live.clear();
    for (const slot of this.#slots) {
      for (const client of slot) {
        client.transport.write(openingFrame(this.retry()));
        client.transport.end();
        this.options.metrics.dropped.inc({ reason: "drain" });
      }
    }
    this.#wake();
    for (const end = Date.now() + deadlineMs; this.#count > 0 && Date.now() < end; ) await sleep(20);
    for (const slot of this.#slots) for (const client of slot) client.transport.destroy();
  }

  /** Milliseconds until a client should connect again; spread, so that they do not all come at once. */
  retry(): number {
    return Math.round(this.#retryMs * (1 + 3 * Math.random()));
  }

  #seeded(history: History): boolean {
    return this.#seedEnd.every((end, p) => (history.position.next[p] ?? 0) >= end);
  }

  #restart(from: Position, end: readonly number[], reason: GapReason): void {
    const before = this.#history;
    this.#history = new History(this.options.historyEvents, this.options.historyBytes, from);
    this.#seedEnd = [...end];
    this.#reasonOfRestart = reason;
    // Those who were up to date are told here; those who follow see it by themselves.
    for (const client of this.#live.clear()) {
      this.#supervise(client, (follower) => follower.restart(reason, before!.position));
    }
    this.#wake();
  }

  #supervise(client: Client, task: (follower: Follower) => Promise<void>): void {
    task(new Follower(this, client)).catch((error: unknown) => {
      this.options.onError(error);
      client.transport.destroy();
    });
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  #forget(client: Client): void {
    if (client.closed) return;
    client.closed = true;
    this.#live.delete(client);
    this.#slots[client.slot]!.delete(client);
    this.options.metrics.clients.set(--this.#count);
  }
}
