import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dayMs, growth, inWindow, sampledEdges, windowEnding, type Sample } from "../../../services/crm-api/crm/window.ts";

describe("windows", () => {
  it("are open on the left and closed on the right", () => {
    const window = windowEnding(1_000, 100);
    expect([900, 901, 1_000, 1_001].map((at) => inWindow(at, window))).toEqual([false, true, true, false]);
  });

  it("have the first and last sample inside as their real edges", () => {
    expect(sampledEdges([1_000, 900, 950, 890, 1_010], windowEnding(1_000, 100))).toEqual({ from: 950, to: 1_000 });
    expect(sampledEdges([900], windowEnding(1_000, 100))).toBeUndefined();
  });

  it("never take history from before the first sample for growth", () => {
    // A Prometheus that starts fresh under an old CRM sees 5 000 000 at once.
    expect(growth([{ at: 990, value: 5_000_000 }], windowEnding(1_000, dayMs))).toBe(0);
    expect(growth([{ at: 990, value: 5_000_000 }, { at: 995, value: 5_000_300 }], windowEnding(1_000, dayMs))).toBe(300);
  });

  it("count an organisation that was made inside from its exported 0", () => {
    expect(growth([{ at: 500, value: 0 }, { at: 900, value: 1_200 }], windowEnding(1_000, dayMs))).toBe(1_200);
  });

  it("lose nothing in gaps between samples", () => {
    const ledger = fc.array(fc.record({ at: fc.integer({ min: 1, max: 100_000 }), cents: fc.integer({ min: 1, max: 9_999 }) }), { maxLength: 60 });
    const times = fc.uniqueArray(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(ledger, times, fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 100_000 }), (entries, sampleTimes, to, length) => {
        const sumUpTo = (at: number) => entries.filter((e) => e.at <= at).reduce((sum, e) => sum + e.cents, 0);
        const samples: Sample[] = sampleTimes.map((at) => ({ at, value: sumUpTo(at) }));
        const window = windowEnding(to, length);
        const edges = sampledEdges(sampleTimes, window);
        const exact = edges === undefined ? undefined : entries.filter((e) => inWindow(e.at, edges)).reduce((sum, e) => sum + e.cents, 0);
        expect(growth(samples, window)).toBe(exact);
      }),
    );
  });
});
