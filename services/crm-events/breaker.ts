/**
 * A circuit breaker: after failures in a row nobody calls for a while, then one caller tries for all.
 * The pauses grow twofold, with chance in them so that replicas do not come back in step.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface BreakerOptions {
  /** Failures in a row that open it. @default 5 */
  readonly threshold?: number;
  /** First pause in milliseconds. @default 500 */
  readonly firstPauseMs?: number;
  /** Longest pause in milliseconds. @default 15000 */
  readonly longestPauseMs?: number;
  /** Called when it opens (true) and when it closes again (false). */
  readonly onChange?: (open: boolean, error?: unknown) => void;
  /** From 0 up to 1. @default Math.random */
  readonly random?: () => number;
  /** @default waits, and stops waiting when the signal is aborted */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

export class CircuitBreaker {
  readonly #options: Required<BreakerOptions>;
  #failures = 0;
  #pauses = 0;
  #open = false;
  /** Pause, and then the one attempt, that others wait for. */
  #trial: Promise<void> | undefined;
  #endTrial: (() => void) | undefined;

  constructor(options: BreakerOptions = {}) {
    this.#options = {
      threshold: 5,
      firstPauseMs: 500,
      longestPauseMs: 15_000,
      onChange: () => undefined,
      random: Math.random,
      wait: (ms, signal) => sleep(ms, undefined, { signal }),
      ...options,
    };
  }

  /** True from the failure that opened it until a call succeeds again. */
  get open(): boolean {
    return this.#open;
  }

  /**
   * Waits until a call may be made. While open, one caller at a time gets through, each after a pause; the others learn
   * from its outcome, so every caller must report `success` or `failure`, or `abandon` the call.
   * @throws the signal's reason when it is aborted
   */
  async permit(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#open) {
      if (this.#trial === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#trial = promise;
        this.#endTrial = resolve;
        try {
          await this.#options.wait(this.#pause(), signal);
          return;
        } catch (error) {
          this.#finishTrial();
          throw error;
        }
      }
      await orAborted(this.#trial, signal);
    }
  }

  /** A call succeeded. */
  success(): void {
    this.#failures = 0;
    if (!this.#open) return;
    this.#open = false;
    this.#pauses = 0;
    this.#options.onChange(false);
    this.#finishTrial();
  }

  /** A call failed. */
  failure(error?: unknown): void {
    this.#failures++;
    if (!this.#open && this.#failures >= this.#options.threshold) {
      this.#open = true;
      this.#options.onChange(true, error);
    }
    this.#finishTrial();
  }

  /** A call that was permitted is given up without an outcome; somebody else may try. */
  abandon(): void {
    this.#finishTrial();
  }

  #pause(): number {
    const { firstPauseMs, longestPauseMs, random } = this.#options;
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** this.#pauses++);
    return pause * (0.75 + 0.5 * random());
  }

  #finishTrial(): void {
    this.#trial = undefined;
    this.#endTrial?.();
    this.#endTrial = undefined;
  }
}

/** Waits for a promise. @throws what it rejects with, or the signal's reason when that is aborted first */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason as Error);
  signal.addEventListener("abort", stop);
  // Nobody may be waiting any more when the slower of the two fails.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
