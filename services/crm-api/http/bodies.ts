/**
 * Reads the bodies of requests, within a size for all that are on their way at once.
 *
 * Fastify would keep a body in the pieces in which it comes, and a piece of one byte takes a hundred times its size.
 */
import type { IncomingMessage } from "node:http";
import { Refusal } from "../crm/errors.ts";

/** Of this process, whose memory they share. */
const arrivingBytes = 32 * 1024 * 1024;

interface Arriving {
  bytes: Buffer;
  length: number;
  readonly refuse: (why: Refusal) => void;
}

/** Oldest first. */
const arriving = new Set<Arriving>();
let held = 0;

/**
 * @param limit most bytes of this one
 * @returns the whole body
 * @throws Refusal 413 when it is longer, 408 when it had to give way, 400 when it was cut off
 */
export function readBody(payload: IncomingMessage, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const body: Arriving = { bytes: Buffer.alloc(0), length: 0, refuse: reject };
  const cutOff = () => refuse(body, new Refusal(400, "invalid", "was cut off", "body"));
  arriving.add(body);
  payload.on("data", (piece: Buffer) => take(body, piece, limit)).on("error", cutOff).once("close", cutOff);
  payload.once("end", () => {
    if (forget(body)) resolve(body.bytes.subarray(0, body.length));
  });
  if (Number(payload.headers["content-length"]) > limit) refuse(body, tooLarge());
  return promise;
}

function take(body: Arriving, piece: Buffer, limit: number): void {
  // What still comes of a body that was refused is dropped.
  if (!arriving.has(body)) return;
  const length = body.length + piece.length;
  if (length > limit) return refuse(body, tooLarge());
  if (length > body.bytes.length) {
    const larger = Buffer.alloc(Math.min(limit, Math.max(length, 2 * body.bytes.length)));
    body.bytes.copy(larger);
    held += larger.length - body.bytes.length;
    body.bytes = larger;
  }
  piece.copy(body.bytes, body.length);
  body.length = length;
  // Only the whole body shows who sent it, so that anybody can begin many: those that wait longest for their end give way.
  for (const oldest of arriving) {
    if (held <= arrivingBytes) break;
    refuse(oldest, new Refusal(408, "timeout", "came too slowly", "body"));
  }
}

const tooLarge = (): Refusal => new Refusal(413, "too_large", "is too large", "body");

function refuse(body: Arriving, why: Refusal): void {
  if (!forget(body)) return;
  body.bytes = Buffer.alloc(0);
  body.refuse(why);
}

/** @returns whether it was still on its way */
function forget(body: Arriving): boolean {
  if (!arriving.delete(body)) return false;
  held -= body.bytes.length;
  return true;
}
