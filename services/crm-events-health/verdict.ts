/**
 * Judges the consumer group over a window of samples. Pure: time comes with each observation.
 *
 * `sustained`: not ready only after a whole window of bad samples, ready again with the first good one.
 * `strict`: what `max_over_time(skew) <= limit` and `min_over_time(consumers) >= minimum` say: one bad sample in the window fails.
 *
 * Two states are neither good nor bad: `unknown` while the newest observation failed, and `warming_up` until samples reach
 * back a whole window. A short failure does not empty the window; one longer than a fifth of it does.
 */

export type WindowMode = "sustained" | "strict";
export type VerdictName = "ready" | "not_ready" | "unknown" | "warming_up";

export const verdictNames: readonly VerdictName[] = ["ready", "not_ready", "unknown", "warming_up"];

export interface WindowConfig {
  readonly mode: WindowMode;
  readonly windowMs: number;
  /** Highest skew that is good. */
  readonly skewThreshold: number;
  /** Lowest number of consumers that is good. */
  readonly minConsumers: number;
}

/** What one poll saw. */
export type Observation =
  | { readonly kind: "sample"; readonly at: number; readonly skew: number; readonly consumers: number }
  | { readonly kind: "failure"; readonly at: number; readonly why: string };

export interface Verdict {
  readonly name: VerdictName;
  /** In words; empty when ready. */
  readonly reason: string;
}

export interface WindowState {
  /** When the samples that are held began; undefined while there is none. */
  readonly since: number | undefined;
  readonly lastSample: { readonly at: number; readonly skew: number; readonly consumers: number } | undefined;
  /** When the bad samples began that last until now; undefined after a good one. */
  readonly badSince: number | undefined;
  readonly lastBad: { readonly at: number; readonly reason: string } | undefined;
  /** Why the newest observation gave no sample; undefined when it did. */
  readonly failure: string | undefined;
}

export const emptyState: WindowState = { since: undefined, lastSample: undefined, badSince: undefined, lastBad: undefined, failure: "nothing was asked yet" };

/** Part of the window for which samples may be missing without its being begun anew. */
const longestHole = 1 / 5;

/** What is wrong with a sample, in words; empty when nothing is. */
export function faultOf(sample: { readonly skew: number; readonly consumers: number }, config: Pick<WindowConfig, "skewThreshold" | "minConsumers">): string {
  const faults: string[] = [];
  if (!(sample.skew <= config.skewThreshold)) faults.push(`skew ${shown(sample.skew, config.skewThreshold)} is above ${config.skewThreshold}`);
  if (!(sample.consumers >= config.minConsumers)) faults.push(`${sample.consumers} consumers are fewer than ${config.minConsumers}`);
  return faults.join("; ");
}

/** With two decimals, or all of them where two would not show that it is above the limit. */
function shown(skew: number, limit: number): number {
  const rounded = Math.round(skew * 100) / 100;
  return rounded > limit ? rounded : skew;
}

/** Whether a sample at this time would begin the window anew: there is none before it, or none for too long. */
export function beginsAnew(state: WindowState, at: number, config: WindowConfig): boolean {
  return state.lastSample === undefined || at - state.lastSample.at > config.windowMs * longestHole;
}

/** The state after an observation. Observations come in the order of their times. */
export function observe(state: WindowState, observation: Observation, config: WindowConfig): WindowState {
  if (observation.kind === "failure") return { ...state, failure: observation.why };
  const { at, consumers, skew } = observation;
  const before = beginsAnew(state, at, config) ? emptyState : state;
  const fault = faultOf(observation, config);
  return {
    since: before.since ?? at,
    lastSample: { at, skew, consumers },
    badSince: fault === "" ? undefined : (before.badSince ?? at),
    lastBad: fault === "" ? before.lastBad : { at, reason: fault },
    failure: undefined,
  };
}

/** The verdict at a time, which is not before the newest observation. */
export function judge(state: WindowState, now: number, config: WindowConfig): Verdict {
  if (state.failure !== undefined) return { name: "unknown", reason: state.failure };
  const covered = now - state.since!;
  if (covered < config.windowMs) return { name: "warming_up", reason: `${seconds(covered)} of ${seconds(config.windowMs)} are seen` };
  const { badSince, lastBad } = state;
  if (config.mode === "sustained") {
    if (badSince === undefined || now - badSince < config.windowMs) return { name: "ready", reason: "" };
    return { name: "not_ready", reason: `${lastBad!.reason}, for ${seconds(now - badSince)}` };
  }
  if (lastBad === undefined || now - lastBad.at >= config.windowMs) return { name: "ready", reason: "" };
  return { name: "not_ready", reason: lastBad.at === state.lastSample!.at ? lastBad.reason : `${lastBad.reason}, ${seconds(now - lastBad.at)} ago` };
}

const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`;
