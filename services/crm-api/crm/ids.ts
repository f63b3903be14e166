/** Identifiers that sort by the time they were made (UUID version 7, RFC 9562). */
import { randomBytes } from "node:crypto";

let lastMs = 0;
let counter = 0;

/**
 * @param now milliseconds since 1970
 * @returns a new UUID; those of one process sort in the order in which they were made, even within a millisecond
 */
export function newId(now: number): string {
  const ms = Math.max(now, lastMs);
  counter = ms === lastMs ? counter + 1 : 0;
  if (counter > 0xfff) {
    counter = 0;
    lastMs = ms + 1;
  } else {
    lastMs = ms;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  const random = randomBytes(8);
  random[0] = 0x80 | (random[0]! & 0x3f);
  const tail = random.toString("hex");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}
