/** What the fetch loop does while it waits for an answer or a handler, and the world changes. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { CircuitBreaker } from "../../../services/crm-events/breaker.ts";
import { FetchLoop, type FetchLoopOptions } from "../../../services/crm-events/fetch-loop.ts";
import { PartitionsOutOfRange, type FetchedPartition, type TopicReader, type Wanted } from "../../../services/crm-events/topic-reader.ts";

afterEach(() => vi.restoreAllMocks());

const facts = { id: "t", epoch: "e", leaders: [1, 2] };
const oneLeader = { ...facts, leaders: [1, 1] };

/** Fetches from a pretended broker; what it asks for of partition 0 is noted. */
function setup(answer: (node: number, offset: number) => FetchedPartition | Error | undefined, options: Partial<FetchLoopOptions>, more: Partial<TopicReader> = {}, begin = facts) {
  const asked: number[] = [];
  const stop = new AbortController();
  const reader = {
    describe: async () => facts,
    bounds: async () => ({ starts: [], ends: [] }),
    fetch: async (node: number, _facts: unknown, wanted: readonly Wanted[]) => {
      const first = wanted.find(({ partition }) => partition === 0);
      if (first !== undefined) asked.push(first.offset);
      const given = first && answer(node, first.offset);
      if (given instanceof Error) throw given;
      if (given === undefined) await sleep(10);
      return given === undefined ? [] : [given];
    },
    ...more,
  } as unknown as TopicReader;
  const loop = new FetchLoop(
    {
      reader,
      breaker: new CircuitBreaker({ onChange: () => undefined }),
      signal: stop.signal,
      maxBytes: 1,
      onFetched: () => undefined,
      onOutOfRange: (_, { start }) => start,
      onPartitions: () => undefined,
      onError: () => undefined,
      ...options,
    },
    begin,
  );
  return { asked, loop, stop };
}

const hundredFrom = (offset: number): FetchedPartition => ({ partition: 0, messages: [], next: offset + 100, end: 1_000 });

test("a partition whose leader moves is handled by one broker's loop at a time", async () => {
  const seen: string[] = [];
  const { loop, stop } = setup(
    (node, offset) => ((node === 1 && offset === 0) || (node === 2 && offset === 100) ? hundredFrom(offset) : undefined),
    {
      onFetched: async ({ next }) => {
        seen.push(`begin ${next}`);
        const later = performance.now() + 6_000;
        if (next === 100) vi.spyOn(performance, "now").mockImplementation(() => later);
        await sleep(next === 100 ? 500 : 20);
        seen.push(`end ${next}`);
        if (next === 200) stop.abort();
      },
    },
    { describe: async () => ({ ...facts, leaders: [2, 2] }) },
  );
  loop.assign(new Map([[0, 0], [1, 0]]));
  await loop.run();
  expect(seen).toEqual(["begin 100", "end 100", "begin 200", "end 200"]);
});

test("a partition that is assigned anew is read on only when the handler is done with it", async () => {
  const seen: string[] = [];
  const { loop, stop } = setup((_, offset) => (offset < 200 ? hundredFrom(offset) : undefined), {
    onFetched: async ({ next }) => {
      seen.push(`begin ${next}`);
      if (next === 100) loop.assign(new Map([[0, 50]]));
      await sleep(20);
      seen.push(`end ${next}`);
      if (next === 150) stop.abort();
    },
  });
  loop.assign(new Map([[0, 0]]));
  await loop.run();
  expect(seen).toEqual(["begin 100", "end 100", "begin 150", "end 150"]);
});

test.each([
  { what: "is not read again when it was given away meanwhile", anew: new Map<number, number>(), asks: [0] },
  { what: "is read from where it is assigned anew", anew: new Map([[0, 70]]), asks: [0, 70] },
])("a partition that begins behind the wanted offset $what", async ({ anew, asks }) => {
  const bounds = Promise.withResolvers<{ starts: number[]; ends: number[] }>();
  const asking = Promise.withResolvers<void>();
  const { asked, loop, stop } = setup(
    (_, offset) => (offset === 0 ? new PartitionsOutOfRange([0]) : undefined),
    {},
    { bounds: () => (asking.resolve(), bounds.promise) },
  );
  loop.assign(new Map([[0, 0]]));
  const running = loop.run();
  await asking.promise;
  loop.assign(anew);
  bounds.resolve({ starts: [40, 0], ends: [100, 0] });
  await sleep(300);
  stop.abort();
  await running;
  expect([...new Set(asked)]).toEqual(asks);
});

test("a partition that begins behind the wanted offset is read from its start", async () => {
  const { asked, loop, stop } = setup((_, offset) => (offset === 0 ? new PartitionsOutOfRange([0]) : hundredFrom(offset)), { onFetched: () => stop.abort() }, { bounds: async () => ({ starts: [40, 0], ends: [100, 0] }) });
  loop.assign(new Map([[0, 0]]));
  await loop.run();
  expect(asked).toEqual([0, 40]);
});

test("a partition that loses its leader while its bounds are asked for stays where it is", async () => {
  let lost = true;
  const { asked, loop, stop } = setup(
    (_, offset) => (lost ? new PartitionsOutOfRange([0]) : hundredFrom(offset)),
    { onFetched: () => stop.abort(), onOutOfRange: () => 999 },
    { bounds: async () => ((lost = false), { starts: [undefined, 0], ends: [undefined, 0] }) },
  );
  loop.assign(new Map([[0, 7]]));
  await loop.run();
  expect(asked).toEqual([7, 7]);
});

test("a partition without a leader is left alone until it has one, and the others are read", async () => {
  const asked: number[][] = [];
  let [now, leaders] = [performance.now(), [1, -1]];
  const answered = new Set<number>();
  const { loop, stop } = setup(
    () => undefined,
    { onAnswered: (partitions) => partitions.forEach((partition) => answered.add(partition)) },
    {
      describe: async () => ({ ...facts, leaders }),
      fetch: async (node, _facts, wanted) => {
        asked.push([node, ...wanted.map(({ partition }) => partition)]);
        await sleep(10);
        if (wanted.some(({ partition }) => partition === 1)) stop.abort();
        return [];
      },
    },
    { ...facts, leaders },
  );
  loop.assign(new Map([[0, 0], [1, 0]]));
  const running = loop.run();
  await sleep(100);
  expect(new Set(asked.map(String))).toEqual(new Set(["1,0"]));
  expect([...answered]).toEqual([0]);
  leaders = [1, 2];
  now += 6_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  await running;
  expect(asked.map(String)).toContain("2,1");
});

test("an answer that comes too late says nothing about what was assigned since", async () => {
  const { asked, loop, stop } = setup(
    (_, offset) => {
      if (offset === 0) loop.assign(new Map([[0, 70]]));
      return offset === 0 ? new PartitionsOutOfRange([0]) : undefined;
    },
    {},
    { bounds: async () => ({ starts: [40, 0], ends: [100, 0] }) },
  );
  loop.assign(new Map([[0, 0]]));
  const running = loop.run();
  await sleep(300);
  stop.abort();
  await running;
  expect([...new Set(asked)]).toEqual([0, 70]);
});

test("how far behind every partition of an answer is, is told before any of it is handled", async () => {
  const behind: [number, number][] = [];
  const answers = [0, 1].map((partition) => ({ partition, messages: [], next: 5, end: 100 + partition }));
  const { loop, stop } = setup(
    () => undefined,
    { onFetched: () => stop.abort(), onBehind: (partition, messages) => behind.push([partition, messages]) },
    { describe: async () => oneLeader, fetch: async () => answers },
    oneLeader,
  );
  loop.assign(new Map([[0, 3], [1, 4]]));
  await loop.run();
  expect(behind).toEqual([[0, 97], [1, 97]]);
});
