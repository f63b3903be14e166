/** The group's member with a pretended group: what was asked under one assignment must not take effect under the next. */
import type { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { CircuitBreaker } from "../../../services/crm-events/breaker.ts";
import { GroupMember } from "../../../services/crm-events/group.ts";
import { createMetrics } from "../../../services/crm-events/metrics.ts";

const pretended = vi.hoisted(() => ({
  member: undefined as unknown,
  commits: [] as [number, number][],
  bounds: async (): Promise<{ starts: number[]; ends: number[] }> => ({ starts: [], ends: [] }),
}));

vi.mock("@platformatic/kafka", async (original) => {
  // Runs before what is imported above is there.
  const { EventEmitter: Emitter } = await import("node:events");
  class Consumer extends Emitter {
    topics = { track: () => undefined };
    memberId = null;
    generationId = 0;
    assignments: { topic: string; partitions: number[] }[] = [];
    constructor() {
      super();
      pretended.member = this;
    }
    async joinGroup() {}
    async listCommittedOffsets() {
      return new Map([["events", [-1n]]]);
    }
    async commit({ offsets }: { offsets: { partition: number; offset: bigint }[] }) {
      for (const { offset, partition } of offsets) pretended.commits.push([partition, Number(offset)]);
    }
    async close() {}
  }
  return { ...(await original<object>()), Consumer };
});

vi.mock("../../../services/crm-events/topic-reader.ts", async (original) => ({
  ...(await original<object>()),
  TopicReader: class {
    describe = async () => ({ id: "t", epoch: "e", leaders: [1] });
    bounds = () => pretended.bounds();
    fetch = async () => (await sleep(10), []);
    async close() {}
  },
}));

interface Member extends EventEmitter {
  generationId: number;
  assignments: { topic: string; partitions: number[] }[];
}

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function running(test: (join: (generation: number, partitions: number[]) => void) => Promise<void>): Promise<void> {
  pretended.commits = [];
  const group = new GroupMember({ connection: { clientId: "test", bootstrapBrokers: [] } as never, topic: "events", group: "g", deadLetters: { park: async () => undefined }, breaker: new CircuitBreaker({ onChange: () => undefined }), metrics: createMetrics(), log: log as never, maxEventBytes: 1_000 });
  group.start();
  await vi.waitFor(() => expect(pretended.member).toBeDefined());
  const member = pretended.member as Member;
  await sleep(20);
  await test((generation, partitions) => {
    Object.assign(member, { generationId: generation, assignments: [{ topic: "events", partitions }] });
    member.emit("consumer:group:join");
  });
  await group.close();
  pretended.member = undefined;
}

test("the start of a partition that was never committed is committed", async () => {
  pretended.bounds = async () => ({ starts: [40], ends: [100] });
  await running(async (join) => {
    join(1, [0]);
    await vi.waitFor(() => expect(pretended.commits).toEqual([[0, 40]]));
  });
});

test("it is not when the partition was given away while its start was asked for", async () => {
  const asked = Promise.withResolvers<void>();
  const bounds = Promise.withResolvers<{ starts: number[]; ends: number[] }>();
  pretended.bounds = () => (asked.resolve(), bounds.promise);
  await running(async (join) => {
    join(1, [0]);
    await asked.promise;
    join(2, []);
    bounds.resolve({ starts: [40], ends: [100] });
    await sleep(50);
  });
  expect(pretended.commits).toEqual([]);
});
