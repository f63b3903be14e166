/**
 * Windows of time, as both the store's sums and a recorded copy of its counters understand them.
 *
 * A window is open on the left and closed on the right, like a range selector of Prometheus 3. A copy of a counter is known
 * only at its sample times, so that its edges are those samples: what it says about a window is exact for the time between
 * the first sample inside and the last one, and gaps in between lose nothing.
 */

/** From (not included) to (included), in milliseconds since 1970. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** A counter's value at a time. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

export const dayMs = 24 * 60 * 60 * 1000;

/** The window of `length` milliseconds that ends at `to`. */
export const windowEnding = (to: number, length: number): Window => ({ from: to - length, to });

export const inWindow = (at: number, window: Window): boolean => at > window.from && at <= window.to;

/**
 * The edges that a copy of a counter really has inside a window.
 * @param times sample times, in any order
 * @returns undefined when no sample lies inside
 */
export function sampledEdges(times: readonly number[], window: Window): Window | undefined {
  const inside = times.filter((at) => inWindow(at, window));
  return inside.length === 0 ? undefined : { from: Math.min(...inside), to: Math.max(...inside) };
}

/**
 * The growth of a counter that never falls, by its copy: latest sample less the window's first. History that was there
 * before the first sample is never taken for growth.
 * @returns undefined when no sample lies inside
 */
export function growth(samples: readonly Sample[], window: Window): number | undefined {
  const inside = samples.filter((s) => inWindow(s.at, window)).sort((a, b) => a.at - b.at);
  const [first, last] = [inside.at(0), inside.at(-1)];
  return first === undefined || last === undefined ? undefined : last.value - first.value;
}
