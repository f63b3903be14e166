/** Keeps a value that is dear to compute for a while; concurrent callers share one computation. */
import type { Clock } from "./clock.ts";

/**
 * @param ageMs how long a value is good, in milliseconds
 * @returns a function that gives the value, and throws what `compute` throws; a failure is not kept
 */
export function cached<T>(clock: Clock, ageMs: number, compute: () => Promise<T>): () => Promise<T> {
  let value: { readonly it: T; readonly at: number } | undefined;
  let running: Promise<T> | undefined;
  return async () => {
    const age = value === undefined ? ageMs : clock.now() - value.at;
    // Below 0, the clock was set back: how old the value is cannot be told.
    if (value !== undefined && age >= 0 && age < ageMs) return value.it;
    running ??= compute()
      .then((it) => {
        value = { it, at: clock.now() };
        return it;
      })
      .finally(() => {
        running = undefined;
      });
    return running;
  };
}
