/**
 * Keeps to QuickBooks' limits before QuickBooks has to: 10 calls in any second and 500 in any minute for each company, with
 * a margin for calls that travel at different speeds.
 */
import type { Clock } from "../clock.ts";

const limits: readonly (readonly [calls: number, perMs: number])[] = [
  [10, 1_100],
  [500, 61_000],
];
const kept = Math.max(...limits.map(([calls]) => calls));

interface Lane {
  /** When the last calls started, oldest first. */
  starts: number[];
  pausedUntil: number;
  /** When the clock was last looked at. */
  seenAt: number;
  /** Callers wait in the order in which they came. */
  tail: Promise<void>;
}

export class Limiter {
  readonly #clock: Clock;
  readonly #stop: AbortSignal;
  readonly #lanes = new Map<string, Lane>();

  /** @param stop ends all waiting: nobody may call any more */
  constructor(clock: Clock, stop: AbortSignal) {
    this.#clock = clock;
    this.#stop = stop;
  }

  /** Resolves when the company may be called, or when `stop` came. */
  take(realm: string): Promise<void> {
    const lane = this.#lane(realm);
    lane.tail = lane.tail.then(() => this.#start(lane));
    return lane.tail;
  }

  /** Nothing is sent to the company before `until`, in milliseconds since 1970. */
  pause(realm: string, until: number): void {
    const lane = this.#lane(realm);
    this.#now(lane);
    lane.pausedUntil = Math.max(lane.pausedUntil, until);
  }

  async #start(lane: Lane): Promise<void> {
    for (;;) {
      const now = this.#now(lane);
      const wait = this.#freeAt(lane) - now;
      if (wait <= 0 || this.#stop.aborted) break;
      await this.#clock.sleep(wait, this.#stop);
    }
    lane.starts.push(this.#now(lane));
    if (lane.starts.length > kept) lane.starts.shift();
  }

  /** The time. When the clock was set back, what is noted goes with it, or calls would wait for the old time to come. */
  #now(lane: Lane): number {
    const now = this.#clock.now();
    const back = lane.seenAt - now;
    if (back > 0) {
      lane.starts = lane.starts.map((at) => at - back);
      lane.pausedUntil -= back;
    }
    lane.seenAt = now;
    return now;
  }

  #freeAt(lane: Lane): number {
    const times = limits.map(([calls, perMs]) => (lane.starts.at(-calls) ?? Number.NEGATIVE_INFINITY) + perMs);
    return Math.max(lane.pausedUntil, ...times);
  }

  #lane(realm: string): Lane {
    let lane = this.#lanes.get(realm);
    if (lane === undefined) this.#lanes.set(realm, (lane = { starts: [], pausedUntil: 0, seenAt: 0, tail: Promise.resolve() }));
    return lane;
  }
}
