/** Sends answers of history at their clients' pace, and bounds what clients that do not read can hold in memory. */
import type { ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { Readable } from "node:stream";
import type { EventsMetrics } from "./metrics.ts";

export interface HistoryLimits {
  /** Bytes of all answers under way together. @default 67108864 */
  readonly maxBytes?: number;
  /** A client that takes nothing for so long is dropped. @default 15000 */
  readonly idleMs?: number;
}

/** What is worth a write of its own. */
const portionBytes = 64 * 1024;

export class HistoryAnswers {
  readonly #metrics: EventsMetrics;
  readonly #maxBytes: number;
  readonly #idleMs: number;
  #bytes = 0;

  constructor(metrics: EventsMetrics, limits: HistoryLimits = {}) {
    this.#metrics = metrics;
    this.#maxBytes = limits.maxBytes ?? 64 << 20;
    this.#idleMs = limits.idleMs ?? 15_000;
  }

  /** Whether another answer may begin; the only one always may. */
  fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#maxBytes;
  }

  /**
   * Sends a body whose head is out. Its bytes count until it has left or its client is gone, because they hold on to events
   * that history itself may have dropped meanwhile.
   */
  send(body: ServerResponse | ServerHttp2Stream, pieces: readonly Buffer[], bytes: number): void {
    const connection = "req" in body ? body.req.socket : body;
    // Its end was told before anybody listened.
    if (connection.destroyed) return;
    this.#bytes += bytes;
    body.once("close", () => (this.#bytes -= bytes));
    body.setTimeout(this.#idleMs, () => {
      this.#metrics.dropped.inc({ reason: "slow" });
      connection.destroy();
    });
    Readable.from(portions(pieces), { highWaterMark: 1 }).pipe(body);
  }
}

/** Joined only when they are due: what waits for a client are history's own buffers and one portion. */
function* portions(pieces: readonly Buffer[]): Generator<Buffer> {
  let part: Buffer[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    part.push(piece);
    bytes += piece.length;
    if (bytes < portionBytes) continue;
    yield Buffer.concat(part, bytes);
    part = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(part, bytes);
}
