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
  #trial: PromiseWithResolvers<void> | undefined;

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
   * Makes a call when it may be made, and learns from its outcome. While open, one caller at a time gets through, each after
   * a pause, and the others wait for what becomes of it.
   * @param signal when it is aborted, a call that fails says nothing about the other side
   * @param answered whether an error still shows that the other side can be reached. @default none does
   * @throws what the call throws, or the signal's reason when it is aborted before the call is made
   */
  async run<T>(signal: AbortSignal, call: () => Promise<T>, answered: (error: unknown) => boolean = () => false): Promise<T> {
    const trial = await this.#permit(signal);
    try {
      const result = await call();
      this.#success();
      return result;
    } catch (error) {
      if (answered(error)) this.#success();
      else if (!signal.aborted) this.#failure(error);
      throw error;
    } finally {
      // Whatever became of it: as long as a trial is held, nobody else gets through.
      if (trial !== undefined) this.#finish(trial);
    }
  }

  /** Waits until a call may be made. @returns the trial that the call is, while open */
  async #permit(signal: AbortSignal): Promise<PromiseWithResolvers<void> | undefined> {
    signal.throwIfAborted();
    while (this.#open) {
      if (this.#trial !== undefined) {
        await orAborted(this.#trial.promise, signal);
        continue;
      }
      const trial = (this.#trial = Promise.withResolvers<void>());
      try {
        await this.#options.wait(this.#pause(), signal);
        return trial;
      } catch (error) {
        this.#finish(trial);
        throw error;
      }
    }
    return undefined;
  }

  #success(): void {
    this.#failures = 0;
    if (!this.#open) return;
    this.#open = false;
    this.#pauses = 0;
    if (this.#trial !== undefined) this.#finish(this.#trial);
    this.#options.onChange(false);
  }

  #failure(error: unknown): void {
    this.#failures++;
    if (this.#open || this.#failures < this.#options.threshold) return;
    this.#open = true;
    this.#options.onChange(true, error);
  }

  #pause(): number {
    const { firstPauseMs, longestPauseMs, random } = this.#options;
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** this.#pauses++);
    return pause * (0.75 + 0.5 * random());
  }

  #finish(trial: PromiseWithResolvers<void>): void {
    if (this.#trial === trial) this.#trial = undefined;
    trial.resolve();
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
