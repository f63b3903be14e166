/** Text of an event stream, as the HTML standard's "Server-sent events" defines it, framed for HTTP/1.1 once for all clients. */
import type { Position } from "./position.ts";
import { formatPosition } from "./position.ts";

/** Why a stream could not go on where its client had left it. */
export type GapReason =
  /** The id is none of ours. */
  | "unreadable"
  /** The topic was made anew since. */
  | "epoch"
  /** The id names offsets that the topic does not have yet. */
  | "ahead"
  /** Kafka no longer keeps the missing events. */
  | "expired"
  /** More events are missing than one replay gives. */
  | "too_far"
  /** Kafka dropped events before this replica had read them, or could not say where a partition stood when the client came. */
  | "lost";

const lineEnd = Buffer.from("\r\n");
const idField = Buffer.from("id: ");
const dataField = Buffer.from("\ndata: ");
const blockEnd = Buffer.from("\n\n");

/** Bytes for every client: `body` as they are, and `chunk` as one chunk of HTTP/1.1's chunked coding. */
export class Frame {
  readonly body: Buffer;
  #chunk: Buffer | undefined;

  constructor(body: Buffer) {
    this.body = body;
  }

  get chunk(): Buffer {
    return (this.#chunk ??= Buffer.concat([Buffer.from(`${this.body.length.toString(16)}\r\n`), this.body, lineEnd]));
  }
}

/** Ends a chunked body. */
export const lastChunk = Buffer.from("0\r\n\r\n");

/** A comment, ignored by clients; keeps proxies from closing an idle stream and finds dead connections. */
export const pingFrame = new Frame(Buffer.from(":\n\n"));

/** Parts of one event's block, to be concatenated. @param json one line */
export function eventParts(id: string, json: Buffer): Buffer[] {
  return [idField, Buffer.from(id, "latin1"), dataField, json, blockEnd];
}

/**
 * First block of a stream. It has no data, so no event is dispatched, yet the client's last event id is set: one that is
 * cut off before its first event resumes without a hole too.
 * @param retryMs how long the client waits before it connects again
 */
export function openingFrame(retryMs: number, position?: Position): Frame {
  const id = position === undefined ? "" : `id: ${formatPosition(position)}\n`;
  return new Frame(Buffer.from(`retry: ${retryMs}\n${id}\n`));
}

/** Says that events are missing, and from where the stream goes on. @param from the client's position, unless it is not known */
export function gapFrame(reason: GapReason, from: Position | undefined, to: Position): Frame {
  const id = formatPosition(to);
  const data = JSON.stringify({ reason, from: from === undefined ? null : formatPosition(from), to: id });
  return new Frame(Buffer.from(`event: gap\nid: ${id}\ndata: ${data}\n\n`));
}
