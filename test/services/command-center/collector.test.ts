import { EventEmitter } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Collector, type Reader } from "../../../services/command-center/collector.ts";
import { EventFeed } from "../../../services/command-center/event-feed.ts";
import { SourceProblem } from "../../../services/command-center/sources/get-json.ts";
import { Viewers } from "../../../services/command-center/viewers.ts";
import { createLogger } from "../../../services/shared/log.ts";

const log = createLogger("test", "silent");
let collector: Collector | undefined;
afterEach(async () => {
  vi.useRealTimers();
  await collector?.stop();
});

function collect(read: Reader["read"], more: Partial<Reader> = {}) {
  collector = new Collector({ readers: { one: { source: "prometheus", read, ...more } }, pollMs: 100, idleMs: 10_000, log });
  return collector;
}

/** Waits for an expectation to hold; long, for machines that are busy. */
const eventually = (check: () => void) => vi.waitFor(check, 15_000);

describe("Collector", () => {
  it("keeps the last good value and says in words why it is old", async () => {
    vi.useFakeTimers({ now: Date.parse("2026-01-01T00:00:00Z") });
    const read = vi.fn<() => Promise<unknown>>().mockResolvedValue({ n: 1 });
    const updates: unknown[] = [];
    const c = collect(read);
    c.subscribe((update) => updates.push(update["one"]));
    await vi.advanceTimersByTimeAsync(1);
    expect(updates).toEqual([{ source: "prometheus", ok: true, readAt: "2026-01-01T00:00:00.000Z", problem: null, value: { n: 1 } }]);
    await vi.advanceTimersByTimeAsync(100);
    expect(updates[1]).not.toHaveProperty("value");
    read.mockRejectedValue(new SourceProblem("answers 503"));
    await vi.advanceTimersByTimeAsync(100);
    expect(updates[2]).toEqual({ source: "prometheus", ok: false, readAt: "2026-01-01T00:00:00.100Z", problem: "answers 503" });
    expect(c.snapshot()["one"]).toMatchObject({ ok: false, value: { n: 1 } });
  });

  it("reads seldom while nobody looks, and at once when somebody does", async () => {
    vi.useFakeTimers();
    const read = vi.fn<() => Promise<unknown>>().mockResolvedValue(1);
    const c = collect(read);
    c.start();
    await vi.advanceTimersByTimeAsync(9000);
    expect(read).toHaveBeenCalledTimes(1);
    const end = c.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(1000);
    expect(read.mock.calls.length).toBeGreaterThan(9);
    end();
    const calls = read.mock.calls.length;
    await vi.advanceTimersByTimeAsync(9000);
    expect(read.mock.calls.length).toBeLessThanOrEqual(calls + 1);
  });

  it("goes back to reading often when somebody comes back right after the last one left", async () => {
    vi.useFakeTimers();
    const read = vi.fn<() => Promise<unknown>>().mockResolvedValue(1);
    const c = collect(read);
    const end = c.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(50);
    end();
    await vi.advanceTimersByTimeAsync(60);
    c.subscribe(() => undefined);
    const calls = read.mock.calls.length;
    await vi.advanceTimersByTimeAsync(1000);
    expect(read.mock.calls.length - calls).toBeGreaterThan(8);
  });

  it("never reads twice at a time, and reads what changes slowly only every n-th round", async () => {
    vi.useFakeTimers();
    let reading = 0;
    let most = 0;
    const read = vi.fn(async () => {
      most = Math.max(most, ++reading);
      await new Promise((resolve) => setTimeout(resolve, 250));
      reading -= 1;
    });
    const c = collect(read, { everyRounds: 3 });
    c.start();
    for (let i = 0; i < 5; i++) c.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(2000);
    expect(most).toBe(1);
    expect(read.mock.calls.length).toBeLessThanOrEqual(5);
  });
});

/** What `Viewers` uses of a reply. */
class FakeStream extends EventEmitter {
  writableLength = 0;
  destroyed = false;
  ended = false;
  written = "";
  writeHead() {}
  write(text: string) {
    this.written += text;
  }
  end() {
    this.ended = true;
  }
  destroy() {
    this.destroyed = true;
    this.emit("close");
  }
}

describe("Viewers", () => {
  it("cut off a page that does not read, and no other", async () => {
    const c = collect(async () => Math.random());
    const feed = new EventFeed({ url: "http://127.0.0.1:1", log });
    const changes: [number, boolean][] = [];
    const viewers = new Viewers({ collector: c, feed, about: { build: "b", everySeconds: 1, links: {} }, maxViewers: 2, maxBufferedBytes: 1000, onChange: (n, slow) => changes.push([n, slow]) });
    const streams = [new FakeStream(), new FakeStream()];
    for (const raw of streams) viewers.add({ raw, hijack() {} } as never, undefined);
    expect(viewers.full).toBe(true);
    streams[0]!.writableLength = 1001;
    await eventually(() => expect(streams[0]!.destroyed).toBe(true));
    expect(streams[1]!.destroyed).toBe(false);
    expect(changes).toEqual([[1, false], [2, false], [1, true]]);
    await eventually(() => expect(streams[1]!.written.match(/event: state/g)!.length).toBeGreaterThan(2));
    viewers.close();
    expect(streams[1]!.ended).toBe(true);
  });
});
