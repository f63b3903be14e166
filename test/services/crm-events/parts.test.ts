/** The pure parts around the streams: limits, commits, the circuit breaker, the environment. */
import { describe, expect, test } from "vitest";
import { CircuitBreaker, orAborted } from "../../../services/crm-events/breaker.ts";
import { Committer } from "../../../services/crm-events/committer.ts";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { RateLimit, TrustedProxies } from "../../../services/crm-events/rate-limit.ts";
import { readEnv } from "../../../services/shared/env.ts";

describe("the rate limit", () => {
  test("allows a burst of a minute's worth, then as many as the minute gives", () => {
    let now = 0;
    const limit = new RateLimit(60, () => now);
    for (let i = 0; i < 60; i++) expect(limit.take("10.0.0.1")).toBe(0);
    expect(limit.take("10.0.0.1")).toBe(1);
    expect(limit.take("::ffff:10.0.0.1")).toBe(1);
    expect(limit.take("10.0.0.2")).toBe(0);
    now = 2_000;
    expect([limit.take("10.0.0.1"), limit.take("10.0.0.1"), limit.take("10.0.0.1")]).toEqual([0, 0, 1]);
  });

  test("counts an IPv6 network of one subscriber as one", () => {
    const limit = new RateLimit(1, () => 0);
    expect(limit.take("2001:db8:1:2:a:b:c:d")).toBe(0);
    expect(limit.take("2001:0db8:1:2::1")).toBeGreaterThan(0);
    expect(limit.take("2001:db8:1:3::1")).toBe(0);
    expect(limit.take("::1")).toBe(0);
  });

  test("forgets addresses that have been silent", () => {
    let now = 0;
    const limit = new RateLimit(10, () => now);
    for (let i = 0; i < 100; i++) limit.take(`10.0.0.${i}`);
    now = 30_000;
    limit.take("10.0.1.1");
    now = 61_000;
    limit.sweep();
    expect(limit.size).toBe(1);
    for (let i = 0; i < 60_000; i++) limit.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    expect(limit.size).toBe(50_000);
  });

  test("believes X-Forwarded-For of trusted proxies only", () => {
    const none = new TrustedProxies([]);
    expect(none.clientOf("10.0.0.1", "1.2.3.4")).toBe("10.0.0.1");
    const some = new TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.168.1.1"]);
    expect(some.clientOf("::ffff:10.0.0.1", "9.9.9.9, 1.2.3.4, 10.7.7.7")).toBe("1.2.3.4");
    expect(some.clientOf("11.0.0.1", "1.2.3.4")).toBe("11.0.0.1");
    expect(some.clientOf("fd00::5", "2001:db8::1")).toBe("2001:db8::1");
    expect(some.clientOf("10.0.0.1", "nonsense")).toBe("10.0.0.1");
    expect(some.clientOf("10.0.0.1", undefined)).toBe("10.0.0.1");
    for (const range of ["", "10.0.0.0/33", "x", "10.0.0.0/8/8", "10.0.0.0/-1", "fd00::/129"]) expect(() => new TrustedProxies([range])).toThrow(/TRUSTED_PROXIES: ".*" is neither/);
  });
});

describe("commits", () => {
  const setup = (commit: (offsets: ReadonlyMap<number, number>) => Promise<void>) => {
    const counts: number[] = [];
    const errors: unknown[] = [];
    return { counts, errors, committer: new Committer({ commit, onCommitted: (n) => counts.push(n), onError: (e) => errors.push(e), retryMs: 1 }) };
  };

  test("run one at a time and take the newest offset of each partition", async () => {
    const seen: [number, number][][] = [];
    let running = 0;
    const { counts, committer } = setup(async (offsets) => {
      expect(++running).toBe(1);
      seen.push([...offsets]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
    });
    committer.mark(0, { next: 1, count: 1 });
    committer.mark(1, { next: 5, count: 5 });
    await new Promise((resolve) => setTimeout(resolve, 1));
    committer.mark(0, { next: 2, count: 1 });
    committer.mark(0, { next: 9, count: 7 });
    await committer.close();
    expect(seen).toEqual([[[0, 1], [1, 5]], [[0, 9]]]);
    expect(counts).toEqual([6, 8]);
  });

  test("that fail are repeated with what came since, and counted once", async () => {
    let failures = 2;
    const seen: [number, number][][] = [];
    const until = async (commits: number) => {
      while (counts.length < commits) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const { counts, errors, committer } = setup(async (offsets) => {
      seen.push([...offsets]);
      if (failures-- > 0) throw new Error("no coordinator");
    });
    committer.mark(0, { next: 3, count: 3 });
    await new Promise((resolve) => setTimeout(resolve, 0));
    committer.mark(0, { next: 4, count: 1 });
    await until(1);
    expect(seen.at(-1)).toEqual([[0, 4]]);
    expect(counts).toEqual([4]);
    // However often it was tried.
    expect(errors).toHaveLength(1);
    failures = 1;
    committer.mark(0, { next: 5, count: 1 });
    await until(2);
    expect(errors).toHaveLength(2);
  });

  test("are not repeated for partitions that were taken away", async () => {
    let fail = true;
    const seen: number[] = [];
    const { counts, committer } = setup(async (offsets) => {
      seen.push(offsets.get(0)!);
      if (fail) throw new Error("rebalance");
    });
    committer.mark(0, { next: 3, count: 3 });
    await Promise.resolve();
    committer.forget();
    fail = false;
    await new Promise((resolve) => setTimeout(resolve, 10));
    await committer.close();
    expect(seen.length).toBeLessThanOrEqual(1);
    expect(counts).toEqual([]);
  });
});

describe("the circuit breaker", () => {
  const setup = () => {
    const waits: { ms: number; go: () => void }[] = [];
    const changes: boolean[] = [];
    const breaker = new CircuitBreaker({
      threshold: 3,
      firstPauseMs: 100,
      longestPauseMs: 300,
      random: () => 0.5,
      onChange: (open) => changes.push(open),
      wait: (ms, signal) => new Promise<void>((resolve, reject) => (waits.push({ ms, go: resolve }), signal.addEventListener("abort", () => reject(signal.reason as Error)))),
    });
    return { breaker, changes, waits, signal: new AbortController() };
  };
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  const none = new AbortController().signal;
  const works = async () => undefined;
  const fails = async () => {
    throw new Error("no broker");
  };
  const failing = async (breaker: CircuitBreaker, times: number) => {
    for (let i = 0; i < times; i++) await expect(breaker.run(none, fails)).rejects.toThrow("no broker");
  };

  test("lets everybody through until failures in a row open it", async () => {
    const { breaker, changes } = setup();
    await failing(breaker, 2);
    expect(await breaker.run(none, async () => 7)).toBe(7);
    await failing(breaker, 2);
    expect(breaker.open).toBe(false);
    await failing(breaker, 1);
    expect([breaker.open, changes]).toEqual([true, [true]]);
  });

  test("takes an error that was answered for a success", async () => {
    const { breaker } = setup();
    await failing(breaker, 2);
    await expect(breaker.run(none, fails, (error) => error instanceof Error)).rejects.toThrow("no broker");
    await failing(breaker, 2);
    expect(breaker.open).toBe(false);
  });

  test("lets one try after a pause, the others when that one succeeded; the pauses grow up to the longest", async () => {
    const { breaker, changes, waits } = setup();
    await failing(breaker, 3);
    const passed: string[] = [];
    const first = expect(breaker.run(none, async () => (passed.push("first"), fails()))).rejects.toThrow();
    const second = expect(breaker.run(none, async () => (passed.push("second"), fails()))).rejects.toThrow();
    expect(waits.map(({ ms }) => ms)).toEqual([100]);
    waits[0]!.go();
    await first;
    await settle();
    expect(passed).toEqual(["first"]);
    expect(waits.map(({ ms }) => ms)).toEqual([100, 200]);
    waits[1]!.go();
    await second;
    const third = breaker.run(none, async () => passed.push("third"));
    const fourth = breaker.run(none, async () => passed.push("fourth"));
    expect(waits.map(({ ms }) => ms)).toEqual([100, 200, 300]);
    waits[2]!.go();
    await Promise.all([third, fourth]);
    expect(passed).toEqual(["first", "second", "third", "fourth"]);
    expect(changes).toEqual([true, false]);
  });

  test("lets nobody wait once the signal is aborted, and another takes over the try", async () => {
    const { breaker, waits, signal } = setup();
    await failing(breaker, 3);
    const leaving = breaker.run(signal.signal, works);
    const queued = breaker.run(signal.signal, works);
    const staying = breaker.run(none, works);
    signal.abort(new Error("stopping"));
    await expect(leaving).rejects.toThrow("stopping");
    await expect(queued).rejects.toThrow("stopping");
    await settle();
    expect(waits).toHaveLength(2);
    waits[1]!.go();
    await staying;
  });

  test("gives the try to another when the call that has it is given up", async () => {
    const { breaker, waits, signal } = setup();
    await failing(breaker, 3);
    const trying = breaker.run(signal.signal, () => orAborted(new Promise<void>(() => undefined), signal.signal));
    const waiting = breaker.run(none, works);
    waits[0]!.go();
    await settle();
    expect(waits).toHaveLength(1);
    signal.abort(new Error("the session is over"));
    await expect(trying).rejects.toThrow("the session is over");
    await settle();
    expect(waits).toHaveLength(2);
    waits[1]!.go();
    await waiting;
    expect(breaker.open).toBe(false);
  });

  test("lets a late failure of an earlier call neither end nor double the try", async () => {
    const { breaker, waits } = setup();
    const late = Promise.withResolvers<void>();
    const early = expect(breaker.run(none, () => late.promise)).rejects.toThrow("late");
    await failing(breaker, 3);
    const first = breaker.run(none, works);
    const second = breaker.run(none, works);
    late.reject(new Error("late"));
    await early;
    await settle();
    expect(waits).toHaveLength(1);
    waits[0]!.go();
    await Promise.all([first, second]);
  });
});

describe("the environment", () => {
  test("leaves room for one event of any size and what else waits for a client", () => {
    expect(readEnv(eventsEnv, { KAFKA_BROKERS: "a", MAX_EVENT_BYTES: "1048576", CLIENT_BUFFER_BYTES: "1179648" }).CLIENT_BUFFER_BYTES).toBe(1_179_648);
  });

  test("has defaults for everything but the brokers", () => {
    expect(readEnv(eventsEnv, { KAFKA_BROKERS: "a:9092, b:9092" })).toMatchObject({ KAFKA_BROKERS: ["a:9092", "b:9092"], PORT: 9010, KAFKA_GROUP: "crm-events-sse", HISTORY_EVENTS: 10_000, CLIENT_BUFFER_BYTES: 1_048_576, CONNECTS_PER_MINUTE: 120, MAX_CLIENTS: 12_000, CORS_ORIGINS: [] });
  });

  test.each([
    [{}, /KAFKA_BROKERS/],
    [{ KAFKA_BROKERS: "a", TLS_CERT_FILE: "x" }, /TLS_KEY_FILE: TLS needs both/],
    [{ KAFKA_BROKERS: "a", KAFKA_DEAD_LETTER_TOPIC: "aetherlink.events" }, /KAFKA_DEAD_LETTER_TOPIC: must be another topic/],
    [{ KAFKA_BROKERS: "a", HISTORY_EVENTS: "many" }, /HISTORY_EVENTS/],
    [{ KAFKA_BROKERS: "a", MAX_CLIENTS: "0" }, /MAX_CLIENTS/],
    [{ KAFKA_BROKERS: "a", CLIENT_BUFFER_BYTES: "262144" }, /CLIENT_BUFFER_BYTES: at least 393216 is expected, 131072 more than MAX_EVENT_BYTES/],
    [{ KAFKA_BROKERS: "a", MAX_EVENT_BYTES: "1048576" }, /CLIENT_BUFFER_BYTES: at least 1179648 is expected, 131072 more than MAX_EVENT_BYTES/],
  ])("is refused with the variable's name: %j", (env, message) => {
    expect(() => readEnv(eventsEnv, env)).toThrow(message);
  });
});
