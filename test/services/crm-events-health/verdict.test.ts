import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyState, judge, observe, type Observation, type Verdict, type WindowConfig, type WindowMode, type WindowState } from "../../../services/crm-events-health/verdict.ts";

const minute = 60_000;
const poll = 5_000;
const config = (mode: WindowMode): WindowConfig => ({ mode, windowMs: 5 * minute, skewThreshold: 4, minConsumers: 2 });

const good = { skew: 1, consumers: 2 };
const skewed = { skew: 5.25, consumers: 2 };
const alone = { skew: 1, consumers: 1 };

/** A probe that polls every 5 s; what it sees is a function of time. */
class Run {
  state: WindowState = emptyState;
  now = 0;
  readonly #config: WindowConfig;

  constructor(mode: WindowMode) {
    this.#config = config(mode);
  }

  /** Polls for so long, always with the same result. @returns the verdict at the end */
  for(ms: number, seen: { skew: number; consumers: number } | string): Verdict {
    let verdict = this.verdict;
    for (const end = this.now + ms; this.now < end; verdict = this.verdict) {
      this.now += poll;
      this.state = observe(this.state, typeof seen === "string" ? { kind: "failure", at: this.now, why: seen } : { kind: "sample", at: this.now, ...seen }, this.#config);
    }
    return verdict;
  }

  get verdict(): Verdict {
    return judge(this.state, this.now, this.#config);
  }
}

describe.each(["sustained", "strict"] as const)("in %s mode", (mode) => {
  test("nothing is known before the first answer", () => {
    expect(new Run(mode).verdict).toEqual({ name: "unknown", reason: "nothing was asked yet" });
  });

  test("it warms up until samples reach back a whole window, good or bad", () => {
    for (const seen of [good, skewed]) {
      const run = new Run(mode);
      expect(run.for(poll, seen)).toEqual({ name: "warming_up", reason: "0 s of 300 s are seen" });
      expect(run.for(5 * minute - poll, seen)).toEqual({ name: "warming_up", reason: "295 s of 300 s are seen" });
      expect(run.for(poll, seen).name).toBe(seen === good ? "ready" : "not_ready");
    }
  });

  test("a failure is unknown at once, with its reason, and over with the next answer", () => {
    const run = new Run(mode);
    run.for(6 * minute, good);
    expect(run.for(poll, "skew: there is no series")).toEqual({ name: "unknown", reason: "skew: there is no series" });
    expect(run.for(poll, good).name).toBe("ready");
    expect(run.for(30_000, "Prometheus is away").name).toBe("unknown");
    expect(run.for(poll, good).name).toBe("ready");
  });

  test("failures for more than a fifth of the window begin it anew", () => {
    const run = new Run(mode);
    run.for(6 * minute, good);
    run.for(70_000, "Prometheus is away");
    expect(run.for(poll, good).name).toBe("warming_up");
    expect(run.for(5 * minute, good).name).toBe("ready");
  });

  test("thresholds themselves are good, beyond them is bad, and both faults are named", () => {
    const at = (seen: typeof good) => new Run(mode).for(6 * minute, seen);
    expect(at({ skew: 4, consumers: 2 }).name).toBe("ready");
    expect(at({ skew: 4.0001, consumers: 2 })).toEqual({ name: "not_ready", reason: expect.stringMatching(/^skew 4\.0001 is above 4\b/) });
    expect(at({ skew: 13 / 3, consumers: 2 }).reason).toMatch(/^skew 4\.33 is above 4\b/);
    expect(at({ skew: 4, consumers: 1 }).name).toBe("not_ready");
    expect(at({ skew: 9, consumers: 0 }).reason).toMatch(/skew 9 is above 4; 0 consumers are fewer than 2/);
  });
});

describe("sustained", () => {
  test.each([
    ["one sample", poll],
    ["4 min 45 s", 285_000],
    ["a window less one poll", 5 * minute],
  ])("a spike of %s passes unseen", (_name, ms) => {
    const run = new Run("sustained");
    run.for(6 * minute, good);
    expect(run.for(ms, skewed).name).toBe("ready");
    expect(run.for(poll, good).name).toBe("ready");
  });

  test("5 min 15 s of skew is not ready, and the first good sample is ready again", () => {
    const run = new Run("sustained");
    run.for(6 * minute, good);
    expect(run.for(315_000, skewed)).toEqual({ name: "not_ready", reason: "skew 5.25 is above 4, for 310 s" });
    expect(run.for(poll, good).name).toBe("ready");
    expect(run.for(poll, skewed).name).toBe("ready");
  });

  test("a consumer that comes and goes within the window is ready all the time", () => {
    const run = new Run("sustained");
    run.for(6 * minute, good);
    for (let i = 0; i < 20; i++) {
      expect(run.for(4 * minute, alone).name).toBe("ready");
      expect(run.for(poll, good).name).toBe("ready");
    }
  });

  test("different faults in a row are one bad stretch", () => {
    const run = new Run("sustained");
    run.for(6 * minute, good);
    run.for(3 * minute, skewed);
    expect(run.for(2 * minute + poll, alone).name).toBe("not_ready");
  });
});

describe("strict", () => {
  test("one bad sample in the window fails, and a whole window later it is ready", () => {
    const run = new Run("strict");
    run.for(6 * minute, good);
    expect(run.for(poll, skewed)).toEqual({ name: "not_ready", reason: "skew 5.25 is above 4" });
    expect(run.for(5 * minute - poll, good)).toEqual({ name: "not_ready", reason: "skew 5.25 is above 4, 295 s ago" });
    expect(run.for(poll, good).name).toBe("ready");
  });

  test("consumers 2, 1, 2 fail for a window from the last bad sample on", () => {
    const run = new Run("strict");
    run.for(6 * minute, good);
    run.for(1 * minute, alone);
    expect(run.for(4 * minute, good).name).toBe("not_ready");
    expect(run.for(1 * minute, good).name).toBe("ready");
  });
});

const reading = fc.oneof(
  { weight: 6, arbitrary: fc.constant(good) },
  { weight: 3, arbitrary: fc.constant(skewed) },
  { weight: 2, arbitrary: fc.constant(alone) },
  { weight: 1, arbitrary: fc.constant("away" as const) },
);
/** Stretches of equal readings, so that whole windows of one kind do occur. */
const walk = fc.array(fc.tuple(reading, fc.integer({ min: 1, max: 80 })), { minLength: 1, maxLength: 25 });

test.each(["sustained", "strict"] as const)("random walks give in %s mode exactly what the samples of the window say", { timeout: 120_000 }, (mode) => {
  const { windowMs } = config(mode);
  fc.assert(
    fc.property(walk, (stretches) => {
      const run = new Run(mode);
      const samples: { at: number; bad: boolean }[] = [];
      for (const [seen, polls] of stretches) {
        for (let i = 0; i < polls; i++) {
          const verdict = run.for(poll, seen);
          if (seen === "away") {
            expect(verdict.name).toBe("unknown");
            continue;
          }
          if (run.now - (samples.at(-1)?.at ?? run.now) > windowMs / 5) samples.length = 0;
          samples.push({ at: run.now, bad: seen !== good });
          expect(verdict.name).toBe(fromWindow(mode, samples, run.now, windowMs));
        }
      }
    }),
    { numRuns: 400 },
  );
});

/** The definition, straight from the list of all samples. */
function fromWindow(mode: WindowMode, samples: readonly { at: number; bad: boolean }[], now: number, windowMs: number): string {
  if (now - samples[0]!.at < windowMs) return "warming_up";
  if (mode === "strict") return samples.some(({ at, bad }) => bad && now - at < windowMs) ? "not_ready" : "ready";
  const lastGood = samples.findLastIndex(({ bad }) => !bad);
  const badSince = samples[lastGood + 1]?.at;
  return badSince !== undefined && now - badSince >= windowMs ? "not_ready" : "ready";
}

test("in sustained mode it never leaves ready twice within one window", () => {
  fc.assert(
    fc.property(walk, (stretches) => {
      const run = new Run("sustained");
      let last = "";
      let fell = Number.NEGATIVE_INFINITY;
      for (const [seen, polls] of stretches) {
        for (let i = 0; i < polls; i++) {
          const { name } = run.for(poll, seen === "away" ? good : seen);
          if (last === "ready" && name === "not_ready") {
            expect(run.now - fell).toBeGreaterThan(5 * minute);
            fell = run.now;
          }
          last = name;
        }
      }
    }),
  );
});

test("an observation never changes the state that it was given", () => {
  const before = Object.freeze(observe(emptyState, { kind: "sample", at: 0, ...skewed } satisfies Observation, config("strict")));
  const copy = structuredClone(before);
  observe(before, { kind: "sample", at: 10, ...good }, config("strict"));
  observe(before, { kind: "failure", at: 20, why: "x" }, config("strict"));
  expect(before).toEqual(copy);
});
