/**
 * Where a reader stands in the topic: the next offset of every partition, and the topic's incarnation.
 *
 * As text it is the `id:` of an event: `<epoch>.<offset>.<offset>…`, offsets in base 36, partition 0 first. It names no
 * replica and no connection, so every replica reads it alike.
 */

export interface Position {
  /** Mark of the topic's incarnation; a topic that was deleted and made again has another one. */
  readonly epoch: string;
  /** Next offset to read, by partition. */
  readonly next: readonly number[];
}

/** Longer ids are not even looked at; 1 024 partitions fit. */
const maxLength = 12_288;
const pattern = /^[0-9a-z]{1,16}(\.[0-9a-z]{1,11})+$/;

/** @returns the position as an event id: digits, small letters and dots only */
export function formatPosition({ epoch, next }: Position): string {
  let text = epoch;
  for (const offset of next) text += `.${offset.toString(36)}`;
  return text;
}

/** @returns undefined for anything that `formatPosition` cannot have made */
export function parsePosition(text: string): Position | undefined {
  if (text.length > maxLength || !pattern.test(text)) return undefined;
  const [epoch = "", ...parts] = text.split(".");
  const next = parts.map((part) => Number.parseInt(part, 36));
  return next.every(Number.isSafeInteger) ? { epoch, next } : undefined;
}

/** A position that moves; keeps its text parts, so that the id of the next event costs one number's formatting. */
export class Cursor {
  readonly epoch: string;
  readonly next: number[];
  readonly #parts: string[];

  constructor({ epoch, next }: Position) {
    this.epoch = epoch;
    this.next = [...next];
    this.#parts = this.next.map((offset) => offset.toString(36));
  }

  /** Moves one partition; a partition beyond the last one is added, those between start at 0. */
  advance(partition: number, next: number): void {
    while (this.next.length < partition) this.advance(this.next.length, 0);
    this.next[partition] = next;
    this.#parts[partition] = next.toString(36);
  }

  /** The event id of this position. */
  get id(): string {
    return `${this.epoch}.${this.#parts.join(".")}`;
  }
}
