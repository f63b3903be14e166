/** The newest events of all partitions in the order in which this replica read them, bounded in number and bytes. */
import { Cursor, type Position } from "./position.ts";

/** An event that was read. */
export interface HistoryEvent {
  readonly partition: number;
  readonly offset: number;
  /** The event on one line. */
  readonly json: Buffer;
  /** When Kafka got it, in milliseconds. */
  readonly time: number;
}

/** What an entry costs beside its bytes: the objects around them. */
const entryOverheadBytes = 160;

/**
 * A ring. Entry `seq` is the seq-th event since the start; those from `firstSeq` up to `nextSeq` are held.
 * For each partition it holds every event from `from[partition]` up to `position.next[partition]`.
 */
export class History {
  readonly #capacity: number;
  readonly #maxBytes: number;
  readonly #entries: (HistoryEvent | undefined)[] = [];
  #bytes = 0;
  #cursor: Cursor;
  #from: number[];
  /** Of the newest event of each partition. */
  readonly #times: number[] = [];
  firstSeq = 0;
  nextSeq = 0;

  /**
   * @param capacity most events held
   * @param maxBytes most bytes held, objects included; the newest event is held however large it is
   * @param start where reading begins
   */
  constructor(capacity: number, maxBytes: number, start: Position) {
    this.#capacity = capacity;
    this.#maxBytes = maxBytes;
    this.#cursor = new Cursor(start);
    this.#from = [...start.next];
  }

  /** How far this replica has read. The same object all the time; it moves. */
  get position(): Position {
    return this.#cursor;
  }

  /** The event id of `position`. */
  get id(): string {
    return this.#cursor.id;
  }

  get size(): number {
    return this.nextSeq - this.firstSeq;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** First offset of a partition from which on nothing is missing here. */
  from(partition: number): number {
    return this.#from[partition] ?? 0;
  }

  /** Adds an event; the position moves behind it. The bytes are copied, so that they do not hold on to what they were read in. */
  append(event: HistoryEvent): HistoryEvent {
    const { partition, offset } = event;
    // Clocks of producers differ, and may be wrong: times never run back within a partition, nor ahead of now.
    const time = (this.#times[partition] = Math.max(this.#times[partition] ?? 0, Math.min(event.time, Date.now())));
    const entry = { partition, offset, json: Buffer.from(event.json), time };
    if (this.size === this.#capacity) this.#dropOldest();
    this.#entries[this.nextSeq++ % this.#capacity] = entry;
    this.#bytes += entry.json.length + entryOverheadBytes;
    while (this.#bytes > this.#maxBytes && this.size > 1) this.#dropOldest();
    this.reach(partition, offset + 1);
    return entry;
  }

  /** Moves the position over messages that are no events. */
  reach(partition: number, next: number): void {
    this.#cursor.advance(partition, next);
    while (this.#from.length < this.#cursor.next.length) this.#from.push(0);
  }

  /** Goes on elsewhere in a partition: what lies between is lost to this replica, and nothing older counts as held. */
  jump(partition: number, next: number): void {
    this.reach(partition, next);
    this.#from[partition] = next;
  }

  /** @param seq from `firstSeq` up to, not including, `nextSeq` */
  at(seq: number): HistoryEvent {
    return this.#entries[seq % this.#capacity]!;
  }

  /** The newest `count` events by time, oldest of them first; a replica that starts reads one partition after the other. */
  newest(count: number): HistoryEvent[] {
    const held = Array.from({ length: this.size }, (_, i) => this.at(this.firstSeq + i));
    return held.sort((a, b) => a.time - b.time).slice(-count);
  }

  #dropOldest(): void {
    const index = this.firstSeq++ % this.#capacity;
    const entry = this.#entries[index]!;
    this.#bytes -= entry.json.length + entryOverheadBytes;
    this.#from[entry.partition] = Math.max(this.from(entry.partition), entry.offset + 1);
    this.#entries[index] = undefined;
  }
}
