/** When what is posted goes out: how long the clients' writer rests, and what those get who come meanwhile. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Client } from "../../../services/crm-events/hub.ts";
import { LiveClients } from "../../../services/crm-events/live-clients.ts";
import { createMetrics } from "../../../services/crm-events/metrics.ts";
import type { Frame } from "../../../services/crm-events/sse.ts";
import type { Transport } from "../../../services/crm-events/transport.ts";

const kib = 1024;
/** Milliseconds by the clock that the tests set. */
let now = 0;

beforeEach(() => {
  now = 50_000;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
  vi.spyOn(performance, "now").mockImplementation(() => now);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets time pass, 0: the turn ends. */
function pass(ms: number): void {
  for (let i = 0; i < ms; i++) {
    now++;
    vi.advanceTimersByTime(1);
  }
  if (ms === 0) vi.advanceTimersByTime(0);
}

/** A client that takes some milliseconds to write to, and reads at once unless it is stuck. */
class Reader implements Transport {
  readonly writes: { readonly at: number; readonly text: string; readonly frame: Frame }[] = [];
  sent = 0;
  looks = 0;
  unread = 0;
  stuck = false;
  readonly #costMs: number;

  constructor(costMs: number) {
    this.#costMs = costMs;
  }

  get pending(): number {
    this.looks++;
    return this.unread;
  }
  get texts(): string[] {
    return this.writes.map(({ text }) => text);
  }

  write(frame: Frame): boolean {
    this.writes.push({ at: now, text: `${frame.body}`, frame });
    if (this.stuck) this.unread += frame.body.length;
    now += this.#costMs;
    return true;
  }
  end(): void {}
  destroy(): void {}
  onClose(): void {}
  async writable(): Promise<void> {}
}

const made = (transport: Transport): Client => ({ transport, slot: 0, sentAtPing: undefined, closed: false });

function liveClients(...readers: Reader[]) {
  const metrics = createMetrics();
  const dropped: Client[] = [];
  const live: LiveClients = new LiveClients({ clientBufferBytes: 1024 * kib, totalBufferBytes: 128 * kib, metrics, drop: (client) => (dropped.push(client), live.delete(client)) });
  for (const reader of readers) live.add(made(reader));
  const post = (text: string) => live.post([Buffer.from(text)]);
  return { live, post, dropped, metrics };
}

describe("what is posted", () => {
  test("goes out at the end of the turn when nothing did before", () => {
    const reader = new Reader(30);
    const { post } = liveClients(reader);
    post("one ");
    post("two ");
    expect(reader.texts).toEqual([]);
    pass(0);
    expect(reader.texts).toEqual(["one two "]);
    pass(30);
    post("three ");
    pass(0);
    expect(reader.texts).toEqual(["one two ", "three "]);
  });

  test("waits after a write for as long as that took, and goes out as one", () => {
    const [first, second] = [new Reader(20), new Reader(30)];
    const { post } = liveClients(first, second);
    post("one ");
    pass(0);
    const end = now;
    post("two ");
    pass(20);
    post("three ");
    pass(29);
    expect(first.texts).toEqual(["one "]);
    pass(1);
    expect([first.texts, second.texts]).toEqual([["one ", "two three "], ["one ", "two three "]]);
    expect(first.writes[1]!.at - end).toBe(50);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("waits a whole millisecond for a rest of less", () => {
    const reader = new Reader(10.2);
    const { post } = liveClients(reader);
    post("one ");
    pass(0);
    const end = now;
    post("two ");
    pass(11);
    expect(reader.writes[1]!.at - end).toBeGreaterThanOrEqual(10.2);
  });

  test("waits for 100 ms at most", () => {
    const reader = new Reader(3_000);
    const { post } = liveClients(reader);
    post("one ");
    pass(0);
    post("two ");
    pass(99);
    expect(reader.texts).toEqual(["one "]);
    pass(1);
    expect(reader.texts).toEqual(["one ", "two "]);
  });

  test("does not wait any longer when it is 64 KiB, and is rested for too", () => {
    const reader = new Reader(40);
    const { post } = liveClients(reader);
    post("one ");
    pass(0);
    post("two ");
    pass(30);
    post("x".repeat(64 * kib));
    expect(reader.texts.slice(1)).toEqual([`two ${"x".repeat(64 * kib)}`]);
    expect(vi.getTimerCount()).toBe(0);
    post("three ");
    pass(39);
    expect(reader.writes).toHaveLength(2);
    pass(1);
    expect(reader.texts[2]).toBe("three ");
  });

  test("keeps no process alive", () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    const { post } = liveClients(new Reader(40));
    post("one ");
    pass(0);
    post("two ");
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false]);
  });

  test("goes out once, and nothing is left to do, when all clients are taken out", () => {
    const reader = new Reader(40);
    const { live, post } = liveClients(reader);
    post("one ");
    expect(live.clear()).toHaveLength(1);
    expect([reader.texts, vi.getTimerCount()]).toEqual([["one "], 0]);
    const again = new Reader(40);
    live.add(made(again));
    post("two ");
    live.clear();
    post("three ");
    expect([again.texts, vi.getTimerCount()]).toEqual([["two "], 0]);
    pass(200);
    expect([reader.texts, again.texts]).toEqual([["one "], ["two "]]);
  });

  test("goes to nobody when all clients have left, and not to who comes then", () => {
    const reader = new Reader(40);
    const { live, post } = liveClients();
    const client = made(reader);
    live.add(client);
    post("one ");
    pass(0);
    post("two ");
    live.delete(client);
    post("nobody's ");
    const late = new Reader(1);
    live.add(made(late));
    pass(40);
    expect([reader.texts, late.texts]).toEqual([["one "], []]);
    post("three ");
    pass(100);
    expect(late.texts).toEqual(["three "]);
  });
});

describe("those who come while something waits", () => {
  test("get what follows, once, with the others", async () => {
    const [old, first, second, third, last] = Array.from({ length: 5 }, () => new Reader(10));
    const { live, metrics, post } = liveClients(old!);
    post("one ");
    pass(0);
    post("two ");
    live.add(made(first!));
    live.add(made(second!));
    post("three ");
    live.add(made(third!));
    post("four ");
    live.add(made(last!));
    expect(old!.writes).toHaveLength(1);
    pass(10);
    expect([old, first, second, third, last].map((reader) => reader!.texts)).toEqual([["one ", "two three four "], ["three four "], ["three four "], ["four "], []]);
    expect(first!.writes[0]!.frame).toBe(second!.writes[0]!.frame);
    expect((await metrics.bytes.get()).values[0]!.value).toBe("one two three four three four three four four ".length);
    pass(100);
    post("five ");
    pass(0);
    expect([old, first, third, last].map((reader) => reader!.texts.at(-1))).toEqual(["five ", "five ", "five ", "five "]);
  });

  test("and had left before get what follows their return", () => {
    const [old, back] = [new Reader(10), new Reader(10)];
    const { live, post } = liveClients(old);
    const client = made(back);
    post("one ");
    live.add(client);
    post("two ");
    live.delete(client);
    post("three ");
    live.add(client);
    post("four ");
    pass(0);
    expect([old.texts, back.texts]).toEqual([["one two three four "], ["four "]]);
  });

  test("share a large event with all others", () => {
    const [old, late] = [new Reader(10), new Reader(10)];
    const { live, post } = liveClients(old);
    post("one ");
    live.add(made(late));
    post("two ");
    post("x".repeat(64 * kib));
    expect([old.texts.slice(0, -1), late.texts.slice(0, -1)]).toEqual([["one two "], ["two "]]);
    expect(late.writes.at(-1)!.frame).toBe(old.writes.at(-1)!.frame);
  });
});

describe("who brings events", () => {
  test("waits for no rest, and leaves little to it", async () => {
    const reader = new Reader(40);
    const { live, post } = liveClients(reader);
    post("one ");
    pass(0);
    post("x".repeat(31 * kib));
    await live.room();
    expect(reader.writes).toHaveLength(1);
    post("x".repeat(kib));
    await live.room();
    expect(reader.writes).toHaveLength(2);
  });

  test("waits for those who are behind when all is written", async () => {
    const reader = new Reader(40);
    reader.stuck = true;
    const { live, post } = liveClients(reader);
    post("x".repeat(65 * kib));
    await live.room();
    post("two ");
    await live.room();
    expect(reader.texts.slice(1)).toEqual(["two "]);
  });

  test("looks at nobody again while nothing was written that anybody has not read", async () => {
    const reader = new Reader(40);
    const { live, post } = liveClients(reader);
    post("one ");
    pass(0);
    const looks = reader.looks;
    post("two ");
    await live.room();
    expect(reader.looks).toBe(looks);
  });
});
