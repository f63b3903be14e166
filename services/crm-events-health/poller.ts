/** Polls Prometheus in the background and keeps the last verdict; whoever asks gets it at once, and learns when it is too old. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HealthEnv } from "./env.ts";
import type { Log } from "./log.ts";
import type { ProbeMetrics } from "./metrics.ts";
import { Prometheus } from "./prometheus.ts";
import { beginsAnew, emptyState, judge, observe, type Observation, type Verdict, type WindowConfig, type WindowState } from "./verdict.ts";

export interface LastVerdict extends Verdict {
  /** Milliseconds since the poll that it comes from. */
  readonly ageMs: number;
  /** Milliseconds since the name of the verdict last changed. */
  readonly sinceMs: number;
  readonly skew: number | undefined;
  readonly consumers: number | undefined;
}

const backOffMs = 100;
/**
 * Age up to which a sample is current: three evaluations. After a restart Prometheus gives for 5 minutes what it knew before,
 * as if nothing had been missed.
 */
const freshSeconds = 90;
/** The same for what is past, where nothing comes late any more: what was not renewed by then leaves a hole. */
const freshPastSeconds = 45;
/** Between the times that are asked for when the probe starts: half an evaluation, so that no sample is stepped over, and less in a short window. */
const longestStepSeconds = 15;
const fewestSteps = 60;

export class Poller {
  readonly #env: HealthEnv;
  readonly #config: WindowConfig;
  readonly #log: Log;
  readonly #metrics: ProbeMetrics;
  readonly #now: () => number;
  readonly #prometheus: Prometheus;
  readonly #staleMs: number;
  readonly #stop = new AbortController();
  #state: WindowState = emptyState;
  #verdict: Verdict = { name: "unknown", reason: "nothing was asked yet" };
  #polledAt: number;
  #changedAt: number;
  #running: Promise<void> | undefined;

  /** @param now milliseconds of a clock that never goes back. @default the process's own */
  constructor(env: HealthEnv, log: Log, metrics: ProbeMetrics, now: () => number = performance.now.bind(performance)) {
    this.#env = env;
    this.#log = log;
    this.#metrics = metrics;
    this.#now = now;
    this.#polledAt = this.#changedAt = now();
    this.#config = { mode: env.windowMode, windowMs: env.windowMinutes * 60_000, skewThreshold: env.skewThreshold, minConsumers: env.minConsumers };
    // Three polls, and the time that one may take when every attempt has to wait.
    this.#staleMs = 3 * env.pollSeconds * 1_000 + (env.promRetries + 1) * (env.promTimeoutMs + backOffMs);
    this.#prometheus = new Prometheus({
      url: env.promUrl,
      timeoutMs: env.promTimeoutMs,
      retries: env.promRetries,
      onRetry: () => metrics.retries++,
      onTimeout: () => metrics.timeouts++,
    });
  }

  get config(): WindowConfig {
    return this.#config;
  }

  /** What holds now. A verdict that no poll has renewed for long says nothing about now. */
  get verdict(): LastVerdict {
    const now = this.#now();
    const ageMs = now - this.#polledAt;
    const stale = ageMs > this.#staleMs;
    const { name, reason }: Verdict = stale ? { name: "unknown", reason: `no poll has ended for ${Math.round(ageMs / 1_000)} s` } : this.#verdict;
    const sinceMs = stale ? ageMs - this.#staleMs : now - this.#changedAt;
    return { name, reason, ageMs, sinceMs, skew: this.#state.lastSample?.skew, consumers: this.#state.lastSample?.consumers };
  }

  /** Polls until `close`. */
  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#prometheus.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const began = this.#now();
      await this.poll();
      const rest = this.#env.pollSeconds * 1_000 - (this.#now() - began);
      await sleep(Math.max(0, rest), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Asks once and judges. */
  async poll(): Promise<void> {
    const began = this.#now();
    const observation = await this.#observe();
    if (this.#stop.signal.aborted) return;
    if (observation.kind === "sample" && beginsAnew(this.#state, observation.at, this.#config)) await this.#backfill(observation.at);
    this.#state = observe(this.#state, observation, this.#config);
    const now = this.#now();
    const verdict = judge(this.#state, now, this.#config);
    this.#metrics.poll(verdict.name, (now - began) / 1_000);
    if (verdict.name !== this.#verdict.name) {
      const fields = { from: this.#verdict.name, to: verdict.name, reason: verdict.reason };
      if (verdict.name === "ready" || verdict.name === "warming_up") this.#log.info(fields, "verdict changed");
      else this.#log.warn(fields, "verdict changed");
      this.#changedAt = now;
    }
    this.#verdict = verdict;
    this.#polledAt = now;
  }

  /** Both queries end before it does, so that no attempt of one poll runs into the next. */
  async #observe(): Promise<Observation> {
    const ask = (series: string) => this.#prometheus.value(this.#query(series, freshSeconds));
    const [skew, consumers] = await Promise.allSettled([ask("kafka:group_skew_ratio"), ask("kafka:group_consumer_count")]);
    const at = this.#now();
    if (skew.status === "fulfilled" && consumers.status === "fulfilled") return { kind: "sample", at, skew: skew.value, consumers: consumers.value };
    const [what, error]: [string, unknown] = skew.status === "rejected" ? ["skew", skew.reason] : ["consumers", (consumers as PromiseRejectedResult).reason];
    return { kind: "failure", at, why: `${what}: ${error instanceof Error ? error.message : "failed"}` };
  }

  /** So that a probe that was restarted, or cut off, need not watch a whole window again: Prometheus remembers it. */
  async #backfill(now: number): Promise<void> {
    // A little further back than the window, so that the first sample is a whole window old.
    const seconds = (1.1 * this.#config.windowMs) / 1_000;
    const end = Date.now() / 1_000;
    const step = Math.min(seconds / fewestSteps, longestStepSeconds);
    const ask = (series: string) => this.#prometheus.history(this.#query(series, freshPastSeconds), end, seconds, step);
    try {
      const [skews, consumers] = await Promise.all([ask("kafka:group_skew_ratio"), ask("kafka:group_consumer_count")]);
      const counts = new Map(consumers);
      const offset = now - Date.now();
      for (const [time, skew] of skews) {
        const at = Math.min(now, time * 1_000 + offset);
        const count = counts.get(time);
        if (count !== undefined) this.#state = observe(this.#state, { kind: "sample", at, skew, consumers: count }, this.#config);
      }
    } catch {
      // Then the window is watched from now on.
    }
  }

  /** @param ageSeconds older samples are none. A recorded sample has the time of its evaluation */
  #query(series: string, ageSeconds: number): string {
    const ofGroup = `${series}{consumergroup="${this.#env.consumerGroup}"}`;
    return `${ofGroup} and timestamp(${ofGroup}) > time() - ${ageSeconds}`;
  }
}
