/** Repeats one kind of work at a steady pace, one piece at a time. */
import type { Clock } from "./clock.ts";

export interface Lane {
  /** Pieces per second. */
  readonly perSecond: number;
  /** Whether there is anything to do now. */
  readonly active: () => boolean;
  /** Does one piece. Whatever it throws ends the piece, not the lane. */
  readonly step: () => Promise<void>;
}

/** How often an idle lane looks again. */
const idleMs = 200;
/** Pieces that a lane may make up for after it was held up. */
const arrears = 3;

/** Runs a lane until the signal. */
export async function runLane({ perSecond, active, step }: Lane, clock: Clock, signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
  const everyMs = 1000 / perSecond;
  const wait = (ms: number) => clock.sleep(ms, signal);
  let next = clock.now();
  while (!signal.aborted) {
    const now = clock.now();
    if (!active()) {
      next = now;
      await wait(Math.min(idleMs, everyMs));
    } else if (now < next) {
      await wait(Math.min(next - now, idleMs));
    } else {
      next = Math.max(next, now - arrears * everyMs) + everyMs;
      await step().catch(onError);
    }
  }
}
