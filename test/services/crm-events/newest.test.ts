/** Which events a replica that starts has in its history, and in which order it gives them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { History } from "../../../services/crm-events/history.ts";
import { startsOfNewest } from "../../../services/crm-events/newest.ts";

const now = Date.parse("2026-06-01T00:00:00Z");

/** A topic whose partitions have messages of these ages in milliseconds, newest last, behind offsets that are gone. */
function topicOf(ages: readonly (readonly number[])[], gone = 0) {
  const times = ages.map((each) => each.toSorted((a, b) => b - a).map((age) => now - age));
  const offsetsAt = async (time: number) => times.map((each) => gone + each.findIndex((t) => t >= time)).map((offset) => (offset < gone ? Number.POSITIVE_INFINITY : offset));
  return { times, topic: { offsetsAt }, bounds: { starts: times.map(() => gone), ends: times.map((each) => gone + each.length) } };
}

describe("where a replica begins to read", () => {
  test("is the start of a topic that is small enough", async () => {
    const { bounds, topic } = topicOf([[3, 2, 1], [], [5]], 7);
    expect(await startsOfNewest(topic, bounds, 4, now)).toEqual([7, 7, 7]);
  });

  test("leaves out old messages of a busy partition, not new ones of a quiet one", async () => {
    const busy = Array.from({ length: 5_000 }, (_, i) => 60_000 + i * 10);
    const { bounds, topic } = topicOf([busy, [30_000, 20, 10], []]);
    const [first, second, third] = await startsOfNewest(topic, bounds, 1_000, now);
    expect(second).toBe(0);
    expect(third).toBe(0);
    expect(5_000 - first! + 3).toBeLessThanOrEqual(1_000);
    expect(5_000 - first! + 3).toBeGreaterThanOrEqual(900);
  });

  test("gives at most so many, and nothing older than what it leaves out", async () => {
    const ages = fc.array(fc.integer({ min: 0, max: 10_000_000 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.array(ages, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 100 }), async (all, count) => {
        const { bounds, times, topic } = topicOf(all, 3);
        const newest = Math.max(...times.flat());
        fc.pre(times.flat().filter((time) => time === newest).length <= count);
        const starts = await startsOfNewest(topic, bounds, count, now);
        const taken = times.flatMap((each, p) => each.slice(starts[p]! - 3));
        const left = times.flatMap((each, p) => each.slice(0, starts[p]! - 3));
        expect(taken.length).toBeLessThanOrEqual(count);
        expect(Math.min(...taken)).toBeGreaterThanOrEqual(Math.max(...left));
      }),
    );
  });

  test("is found though producers' clocks are wrong", async () => {
    const { bounds, topic } = topicOf([Array.from({ length: 50 }, () => -1e12), Array.from({ length: 50 }, () => now)]);
    const starts = await startsOfNewest(topic, bounds, 10, now);
    expect(starts).toEqual([45, 45]);
  });
});

describe("the newest events of history", () => {
  const append = (history: History, partition: number, offset: number, age: number) => history.append({ partition, offset, json: Buffer.from(`${partition}.${offset}`), time: Date.now() - age });
  const newest = (history: History, count: number) => history.newest(count).map(({ json }) => json.toString());

  test("are those by time, though one partition was read after the other", () => {
    const history = new History(10, 1 << 20, { epoch: "e", next: [0, 0] });
    for (const [offset, age] of [[0, 9_000], [1, 5_000], [2, 1_000]] as const) append(history, 0, offset, age);
    for (const [offset, age] of [[0, 8_000], [1, 4_000]] as const) append(history, 1, offset, age);
    expect(newest(history, 3)).toEqual(["0.1", "1.1", "0.2"]);
    expect(newest(history, 9)).toEqual(["0.0", "1.0", "0.1", "1.1", "0.2"]);
  });

  test("stay in a partition's order whatever its producers' clocks say", () => {
    const history = new History(10, 1 << 20, { epoch: "e", next: [0, 0] });
    for (const [offset, age] of [[0, 3_000], [1, -1e12], [2, 9_000]] as const) append(history, 0, offset, age);
    expect(newest(history, 9)).toEqual(["0.0", "0.1", "0.2"]);
  });
});
