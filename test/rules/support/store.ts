/**
 * A store whose counters are scraped, in minutes: what a window of the finance rules must give, computed from the
 * store's own events between two sample times.
 */

/** A random source that gives the same numbers at every run (Numerical Recipes' linear congruential generator). */
export function dice(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % below;
}

export interface Organisation {
  readonly id: string;
  /** Minute of its first sample. */
  readonly since: number;
  /** What the counter had gained before Prometheus first looked. */
  readonly history: number;
  /** Gain in each minute. */
  readonly events: readonly number[];
  /** Minutes in which each replica was scraped. */
  readonly scraped: readonly (readonly boolean[])[];
  /** Minutes that each replica is behind the store. */
  readonly behind: readonly number[];
}

/** What the store has gained up to a minute, without history. */
const gained = (o: Organisation, minute: number): number => o.events.slice(0, Math.max(0, minute)).reduce((sum, n) => sum + n, 0);

/** Sum of the store's own events in `(from, to]`. */
export const storeSum = (o: Organisation, from: number, to: number): number => gained(o, to) - gained(o, from);

/** A replica's samples in promtool's notation, every `step` minutes. */
export function samples(o: Organisation, replica: number, minutes: number, step: number): string {
  const values: string[] = [];
  for (let minute = 0; minute <= minutes; minute += step) {
    const seen = minute >= o.since && o.scraped[replica]![minute];
    values.push(seen ? String(o.history + gained(o, Math.max(o.since, minute - o.behind[replica]!))) : "_");
  }
  return values.join(" ");
}

/** The minutes of the store that the samples of a scrape show, one for each replica that was scraped. */
const shown = (o: Organisation, minute: number): number[] =>
  minute < o.since ? [] : o.scraped.flatMap((scraped, replica) => (scraped[minute] ? [Math.max(o.since, minute - o.behind[replica]!)] : []));

/** The newest state known to Prometheus from samples in the last 5 minutes, at a rule evaluation. */
function copied(o: Organisation, minute: number, step: number): number | undefined {
  const seen: number[] = [];
  for (let at = minute; at > minute - 5 && at >= 0; at -= step) seen.push(...shown(o, at));
  return seen.length > 0 ? Math.max(...seen) : undefined;
}

/**
 * The edges of a window in minutes of the store, both of them times that a sample shows.
 * @returns `undefined` when nothing was ever known
 */
export function edges(o: Organisation, at: number, window: number, step: number): { from: number; to: number } | undefined {
  let to: number | undefined;
  for (let minute = at; minute >= 0 && to === undefined; minute -= step) to = copied(o, minute, step);
  if (to === undefined) return undefined;
  const start = at - window;
  for (let minute = start; minute > start - 7 && minute >= 0; minute -= step) {
    const from = copied(o, minute, step);
    if (from !== undefined) return { from, to };
  }
  for (let minute = Math.max(0, start + step); minute <= at; minute += step) {
    const seen = shown(o, minute);
    // A 0 of any replica counts, though another one may show the first gain.
    const zero = seen.filter((at) => o.history + gained(o, at) === 0);
    if (seen.length > 0) return { from: zero[0] ?? Math.max(...seen), to };
  }
  return { from: to, to };
}
