/**
 * Timing profiles. The fast one scales intervals, `for` and group times, so that a whole alert's life fits in a test;
 * it never touches windows inside expressions, which would change what an alert means.
 */
import type { Settings } from "./schema.ts";

/** Seconds of one profile. */
export interface Timing {
  readonly scrapeSeconds: number;
  readonly evaluationSeconds: number;
  /** What `for`, group and repeat times are multiplied by. */
  readonly scale: number;
}

const profiles: Record<Settings["timing"], Timing> = {
  standard: { scrapeSeconds: 15, evaluationSeconds: 30, scale: 1 },
  fast: { scrapeSeconds: 2, evaluationSeconds: 2, scale: 1 / 30 },
};

/** The profile of a stack. */
export const timingOf = (s: Pick<Settings, "timing">): Timing => profiles[s.timing];

const unitSeconds = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 } as const;

/**
 * Seconds of a Prometheus duration.
 * @param duration such as `30s`, `1h30m` or `33d`
 * @throws Error when it is not a duration
 */
export function seconds(duration: string): number {
  const pieces = [...duration.matchAll(/(\d+)(ms|[smhdwy])/g)];
  if (pieces.length === 0 || pieces.map((p) => p[0]).join("") !== duration) throw new Error(`"${duration}" is not a duration such as 30s or 5m`);
  return pieces.reduce((sum, p) => sum + Number(p[1]) * unitSeconds[p[2] as keyof typeof unitSeconds], 0);
}

/** A Prometheus duration of whole seconds, in its largest exact unit: 300 gives `5m`, 90 gives `90s`. */
export function duration(totalSeconds: number): string {
  const whole = Math.round(totalSeconds);
  for (const unit of ["d", "h", "m"] as const) {
    if (whole > 0 && whole % unitSeconds[unit] === 0) return `${whole / unitSeconds[unit]}${unit}`;
  }
  return `${whole}s`;
}

/**
 * A `for`, group or repeat time under the stack's profile.
 * @param standard the time of the standard profile, such as `5m`
 * @returns the same in the standard profile; scaled in the fast one, never under two evaluations, because Alertmanager
 *   must hear of an inhibiting alert before it sends the first message of a group
 */
export function scaled(s: Settings, standard: string): string {
  const t = timingOf(s);
  if (t.scale === 1 || seconds(standard) === 0) return standard;
  return duration(Math.max(2 * t.evaluationSeconds, seconds(standard) * t.scale));
}
