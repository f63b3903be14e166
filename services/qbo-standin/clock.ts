/** The stand-in's own clock, which a test may set apart from everybody else's. */

/** QuickBooks dates things in its data centre's zone. */
const zoneMinutes = -8 * 60;

export class StandinClock {
  /** Milliseconds by which it is ahead. */
  offsetMs = 0;

  now(): number {
    return Date.now() + this.offsetMs;
  }
}

const pad = (n: number, width = 2): string => String(n).padStart(width, "0");

/** Such as `2026-01-31T04:05:06-08:00`; whole seconds, as objects are dated. */
export function qboTime(ms: number, withMs = false): string {
  const local = new Date(ms + zoneMinutes * 60_000);
  const text = local.toISOString().slice(0, withMs ? 23 : 19);
  return `${text}-${pad(-zoneMinutes / 60)}:00`;
}

export const qboDate = (ms: number): string => qboTime(ms).slice(0, 10);
