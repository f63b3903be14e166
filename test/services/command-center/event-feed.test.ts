import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it, vi } from "vitest";
import { EventFeed } from "../../../services/command-center/event-feed.ts";
import { EventRing } from "../../../services/command-center/event-ring.ts";
import { toFeedItem, toHistory } from "../../../services/command-center/feed-item.ts";
import type { FeedItem } from "../../../services/command-center/state.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { crmEvent, FakeEvents } from "./fakes.ts";

const item = (n: number): FeedItem => ({ kind: "event", id: String(n), type: "t", at: "", org: "o", aggregate: "a", amountCents: null, data: "{}" });
const ids = (items: readonly FeedItem[]) => items.map((i) => i.id);

/** Waits for an expectation to hold; long, for machines that are busy. */
const eventually = (check: () => void) => vi.waitFor(check, 15_000);

describe("EventRing", () => {
  it("resumes without a hole, and says when it cannot", () => {
    const ring = new EventRing("abc", 3);
    expect(ring.resume(undefined)).toEqual({ items: [], restarted: false });
    for (let n = 1; n <= 5; n++) ring.add(item(n));
    expect(ring.position).toBe("abc-5");
    expect(ids(ring.resume(undefined).items)).toEqual(["3", "4", "5"]);
    expect(ring.resume("abc-5")).toEqual({ items: [], restarted: false });
    expect(ids(ring.resume("abc-2").items)).toEqual(["3", "4", "5"]);
    expect(ring.resume("abc-2").restarted).toBe(false);
    for (const position of ["abc-1", "abc-6", "old-5", "abc-", "abc", "", "abc--1", "abc-1e1"]) {
      expect([position, ring.resume(position).restarted]).toEqual([position, true]);
    }
  });
});

describe("feed items", () => {
  it("are made of events and gaps, and of nothing else", () => {
    expect(toFeedItem({ event: "message", data: JSON.stringify(crmEvent(1)) })).toMatchObject([{ kind: "event", id: "event-1", type: "invoice.paid", org: "acme", aggregate: "invoice inv-1", amountCents: 12_346 }]);
    expect(toFeedItem({ event: "gap", data: '{"reason":"expired"}' })).toMatchObject([{ kind: "gap", reason: "expired" }]);
    expect(toFeedItem({ event: "gap", data: "?" })).toEqual([]);
    for (const data of ["", "null", "[]", "{}", "7", '{"id":1}']) expect(toFeedItem({ event: "message", data })).toEqual([]);
    expect(toFeedItem({ event: "other", data: "{}" })).toEqual([]);
  });

  it("are short, however long the event is", () => {
    const [long] = toFeedItem({ event: "message", data: JSON.stringify(crmEvent(1, { type: "x".repeat(9999), data: { note: "y".repeat(99_999), amount_cents: 0.5 } })) });
    expect(JSON.stringify(long).length).toBeLessThan(1700);
    expect(long).toMatchObject({ amountCents: null });
  });

  it("keep nothing of a long event but what they show", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const heap = () => (collect(), process.memoryUsage().heapUsed);
    const before = heap();
    const items = Array.from({ length: 100 }, (_, n) => toFeedItem({ event: "message", data: JSON.stringify(crmEvent(n, { data: { note: `${n}${"y".repeat(240_000)}` } })) }));
    expect(heap() - before).toBeLessThan(8 << 20);
    expect(items.flat()).toHaveLength(100);
  });

  it("are cut between any two characters", () => {
    const [long] = toFeedItem({ event: "message", data: JSON.stringify(crmEvent(1, { data: { note: "é😀".repeat(2_000) } })) });
    expect(long).toMatchObject({ data: `${JSON.stringify({ note: "é😀".repeat(2_000) }).slice(0, 1_000)}…` });
  });

  it("have whole characters only", () => {
    const items = toFeedItem({ event: "message", data: JSON.stringify(crmEvent(1, { type: `${"x".repeat(119)}😀`, org_id: "a\ud800", data: { "n\udc00": `${"y".repeat(984)}😀` } })) });
    expect(JSON.stringify(items)).not.toMatch(/[^\\](\\\\)*\\ud[89a-f]/);
    expect(JSON.stringify([...items, ...toFeedItem({ event: "gap", data: String.raw`{"reason":"\ud800"}` })])).toContain("\ufffd");
  });

  it("stand for events that are too deep to be shown", () => {
    const data = JSON.stringify(crmEvent(1)).replace(/"data":.*/, `"data":{"amount_cents":5,"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`);
    expect(toFeedItem({ event: "message", data })).toMatchObject([{ id: "event-1", amountCents: 5, data: "(too deep to show)" }]);
    expect(toHistory({ last_event_id: "e.2", events: [JSON.parse(data), crmEvent(2)] }).items).toHaveLength(2);
  });

  it("survive any history", () => {
    expect(toHistory({ last_event_id: "e.2", events: [crmEvent(1), null, {}] })).toMatchObject({ position: "e.2", items: [{ id: "event-1" }] });
    for (const answer of [null, [], "x", { events: 1 }]) expect(toHistory(answer)).toEqual({ items: [], position: undefined });
  });
});

describe("EventFeed", () => {
  let events: FakeEvents;
  let feed: EventFeed;
  const got: FeedItem[] = [];
  const start = async (silenceMs = 30_000) => {
    got.length = 0;
    events = new FakeEvents();
    await events.start();
    feed = new EventFeed({ url: events.url, log: createLogger("test", "silent"), keep: 50, silenceMs, backoffMs: [20, 100] });
    feed.subscribe((items) => got.push(...items));
  };
  afterEach(async () => {
    await feed.stop();
    await events.stop();
  });
  const connected = () => eventually(() => expect([feed.section().ok, events.streams.size]).toEqual([true, 1]));

  it("begins with the history and goes on without a hole when crm-events was away", async () => {
    await start();
    events.send(crmEvent(1), crmEvent(2));
    feed.start();
    await connected();
    events.send(crmEvent(3));
    await eventually(() => expect(ids(got)).toEqual(["event-1", "event-2", "event-3"]));
    await events.stop();
    await eventually(() => expect(feed.section().ok).toBe(false));
    events.send(crmEvent(4), crmEvent(5));
    await eventually(() => expect(feed.section().problem).toBe("refuses the connection"));
    await events.start();
    await connected();
    events.send(crmEvent(6));
    await eventually(() => expect(ids(got)).toEqual(["event-1", "event-2", "event-3", "event-4", "event-5", "event-6"]));
    expect(events.resumed).toEqual(["e.2", "e.3"]);
  });

  it.each([
    [50, 240_000, 12],
    [3, 3_000_000, 1],
    [2, 5_000_000, 0],
  ])("takes as many of %d events of %d bytes as can be read at once: %d", async (count, bytes, taken) => {
    await start();
    events.log.push(...Array.from({ length: count }, (_, n) => crmEvent(n, { data: { note: "y".repeat(bytes) } })));
    feed.start();
    await connected();
    events.send(crmEvent(count));
    const last = Array.from({ length: taken + 1 }, (_, n) => `event-${count - taken + n}`);
    await eventually(() => expect(ids(got)).toEqual(last));
  });

  it("gives up a stream that fell silent and comes back", async () => {
    await start(400);
    feed.start();
    await connected();
    await eventually(() => expect(events.resumed.length).toBeGreaterThan(1));
    await connected();
  });

  it("stops at once, connected or not", async () => {
    await start();
    feed.start();
    await connected();
    await feed.stop();
    expect(feed.section().ok).toBe(false);
  });
});
