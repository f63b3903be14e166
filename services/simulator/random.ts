/** Reproducible random numbers; not for anything secret. */

export interface Random {
  /** @returns at least 0, less than 1 */
  next(): number;
  /** @returns between the bounds, the upper one excluded */
  between(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
}

/**
 * Mulberry32, a 32-bit generator by Tommy Ettinger (public domain).
 * @param seed any whole numbers; each list of them begins a sequence of its own
 */
export function random(...seed: readonly number[]): Random {
  let state = 0x9e3779b9;
  for (const part of seed) state = Math.imul(state ^ (part + 0x7f4a7c15), 0x85ebca6b) ^ (state >>> 13);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (low, high) => low + next() * (high - low),
    pick: (items) => {
      if (items.length === 0) throw new Error("nothing to pick from");
      return items[Math.floor(next() * items.length)] as (typeof items)[number];
    },
  };
}
