import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createApp } from "../../../services/crm-events-health/app.ts";
import { readHealthEnv, type HealthEnv } from "../../../services/crm-events-health/env.ts";
import { createLog } from "../../../services/crm-events-health/log.ts";
import { ProbeMetrics } from "../../../services/crm-events-health/metrics.ts";
import { Poller } from "../../../services/crm-events-health/poller.ts";
import { healthProbe } from "../../../rules/metrics.ts";
import { badAnswers, FakePrometheus, recorded, values, type Answer } from "./fake-prometheus.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A probe that polls when told to, by a clock that the test moves. */
async function probe(answer: Answer, env: Record<string, string> = {}) {
  const prometheus = new FakePrometheus(answer);
  const url = await prometheus.listen();
  const settings: HealthEnv = readHealthEnv({ PROM_URL: url, PROM_TIMEOUT_MS: "1500", ...env });
  const lines: Record<string, unknown>[] = [];
  const clock = { ms: 1_000_000 };
  const metrics = new ProbeMetrics();
  const poller = new Poller(settings, createLog("crm-events-health", "info", (line) => lines.push(JSON.parse(line))), metrics, () => clock.ms);
  const server: Server = createServer(createApp(settings, poller, metrics));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => prometheus.close(), () => poller.close(), () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  return {
    port,
    clock,
    lines,
    metrics,
    poller,
    prometheus,
    get: (path: string, init?: RequestInit) => fetch(`${base}${path}`, init),
    /** Polls every 5 s for so long. */
    run: async (ms: number) => {
      for (const end = clock.ms + ms; clock.ms < end; ) {
        clock.ms += 5_000;
        await poller.poll();
      }
    },
  };
}

const good = { skew: 1, consumers: 2 };

describe("the probe", () => {
  test("asks for the two recorded series of its group", async () => {
    const { prometheus, poller } = await probe(values("1", "2"), { CONSUMER_GROUP: "some.group-1" });
    await poller.poll();
    expect(prometheus.queries.filter((query) => !query.includes("range"))).toEqual([
      '/api/v1/query?query=kafka:group_skew_ratio{consumergroup="some.group-1"} and timestamp(kafka:group_skew_ratio{consumergroup="some.group-1"}) > time() - 90',
      '/api/v1/query?query=kafka:group_consumer_count{consumergroup="some.group-1"} and timestamp(kafka:group_consumer_count{consumergroup="some.group-1"}) > time() - 90',
    ]);
  });

  test("goes from unknown over warming up to ready, and to not ready after a window of bad samples", async () => {
    const { clock, get, lines, prometheus, run } = await probe(values("1.5", "3"));
    const ready = async () => [(await get("/ready")).status, ((await (await get("/ready")).json()) as { status: string }).status];
    expect(await ready()).toEqual([500, "unknown"]);
    await run(5_000);
    expect(await ready()).toEqual([500, "warming_up"]);
    await run(300_000);
    expect(await ready()).toEqual([200, "ready"]);
    expect(await (await get("/ready")).json()).toEqual({ status: "ready" });
    prometheus.answer = values("1.5", "1");
    await run(290_000);
    expect(await ready()).toEqual([200, "ready"]);
    await run(15_000);
    const answer = await get("/ready");
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ status: "not_ready", reason: "1 consumers are fewer than 2, for 300 s" });
    prometheus.answer = values("4", "2");
    await run(5_000);
    expect(await ready()).toEqual([200, "ready"]);
    clock.ms += 2_000;
    expect(await (await get("/status")).json()).toEqual({
      window_minutes: 5,
      window_mode: "sustained",
      skew_threshold: 4,
      min_consumers: 2,
      consumer_group: "crm-events-sse",
      poll_seconds: 5,
      verdict: { status: "ready", reason: "", age_seconds: 2, since_seconds: 2, skew: 4, consumers: 2 },
    });
    expect(lines.map(({ level, from, to }) => [level, from, to])).toEqual([
      ["info", "unknown", "warming_up"],
      ["info", "warming_up", "ready"],
      ["warn", "ready", "not_ready"],
      ["info", "not_ready", "ready"],
    ]);
  });

  test("in strict mode fails at the first bad sample", async () => {
    const { get, prometheus, run } = await probe(values("1", "2"), { WINDOW_MODE: "strict" });
    await run(305_000);
    expect((await get("/ready")).status).toBe(200);
    prometheus.answer = values("4.1", "2");
    await run(5_000);
    expect(((await (await get("/ready")).json()) as { status: string }).status).toBe("not_ready");
  });

  test("after a restart takes the window from Prometheus' memory, if it has one", async () => {
    const { get, poller } = await probe(recorded((age) => (age % 30 === 0 && age <= 600 ? good : undefined)));
    await poller.poll();
    expect(await (await get("/ready")).json()).toEqual({ status: "ready" });
  });

  test("takes no value for current that Prometheus had before it was restarted", async () => {
    const { get, poller, prometheus } = await probe(recorded((age) => (age % 30 === 0 && age >= 200 && age <= 900 ? good : undefined)));
    await poller.poll();
    expect(await (await get("/ready")).json()).toEqual({ status: "unknown", reason: "skew: there is no series" });
    prometheus.answer = recorded((age) => (age === 0 || (age % 30 === 0 && age >= 210 && age <= 900) ? { skew: 1, consumers: 0 } : undefined));
    await poller.poll();
    expect(((await (await get("/ready")).json()) as { status: string }).status).toBe("warming_up");
  });

  test.each([
    [60, "ready"],
    [120, "warming_up"],
  ])("with %d s between two samples of Prometheus' memory is %s", async (gap, verdict) => {
    const { get, poller } = await probe(recorded((age) => (age === 10 || (age >= 10 + gap && (age - 10 - gap) % 30 === 0) ? good : undefined)));
    await poller.poll();
    expect(((await (await get("/ready")).json()) as { status: string }).status).toBe(verdict);
  });

  test("finds one bad sample in the memory of a long window", async () => {
    const oneBad = recorded((age) => (age % 30 !== 0 || age > 4_200 ? undefined : age === 1_050 ? { skew: 9, consumers: 2 } : good));
    const { get, poller } = await probe(oneBad, { WINDOW_MODE: "strict", WINDOW_MINUTES: "60" });
    await poller.poll();
    expect(((await (await get("/ready")).json()) as { status: string }).status).toBe("not_ready");
  });

  test("takes the longest window from Prometheus' memory at once", async () => {
    const skew = 4 / 3;
    const { get, poller, prometheus } = await probe(recorded((age) => (age % 30 === 0 ? { skew, consumers: 2 } : undefined)), { WINDOW_MINUTES: "1440" });
    await poller.poll();
    expect(await (await get("/ready")).json()).toEqual({ status: "ready" });
    const ranges = prometheus.queries.filter((query) => query.includes("query_range")).map((query) => new URL(query, "http://prometheus").searchParams);
    // More steps are refused by Prometheus.
    for (const range of ranges) expect((Number(range.get("end")) - Number(range.get("start"))) / Number(range.get("step"))).toBeLessThan(11_000);
  });

  test("says unknown once its own polls have stopped", async () => {
    const { clock, get, run } = await probe(values("1", "2"));
    await run(305_000);
    clock.ms += 15_000;
    expect((await get("/ready")).status).toBe(200);
    clock.ms += 10_000;
    const answer = await get("/ready");
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ status: "unknown", reason: "no poll has ended for 25 s" });
    expect(await (await get("/metrics")).text()).toContain('health_probe_status{verdict="unknown"} 1');
  });

  test("is alive whatever it says of others", async () => {
    const { get, prometheus } = await probe(values("1", "2"));
    await prometheus.close();
    for (const path of ["/health", "/healthz"]) expect((await get(path)).status).toBe(200);
  });

  test("answers other paths and methods properly", async () => {
    const { get } = await probe(values("1", "2"));
    expect((await get("/nowhere")).status).toBe(404);
    const post = await get("/ready", { method: "POST" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const head = await get("/ready", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([500, ""]);
  });

  test("answers a request that names the whole address, as to a proxy", async () => {
    const { port } = await probe(values("1", "2"));
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(port, "127.0.0.1").setEncoding("utf8").once("data", (text) => (socket.destroy(), resolve(`${text}`)));
      socket.write("GET http://h:9011/health?x HTTP/1.1\r\nHost: h\r\n\r\n");
    });
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("exports every metric that is promised, from 0 on", async () => {
    const { get, run } = await probe(values("1", "2"));
    const before = await (await get("/metrics")).text();
    for (const { name, type } of Object.values(healthProbe)) expect(before).toContain(`# TYPE ${name} ${type}\n`);
    expect(before).toContain('health_probe_checks_total{verdict="not_ready"} 0\n');
    expect(before).toContain("process_start_time_seconds");
    await run(15_000);
    const after = await (await get("/metrics")).text();
    expect(after).toContain('health_probe_checks_total{verdict="warming_up"} 3\n');
    expect(after).toContain('health_probe_status{verdict="warming_up"} 1\n');
    expect(after).toContain('health_probe_status{verdict="ready"} 0\n');
    expect(after).toContain("health_probe_duration_seconds_count 3\n");
    expect(after).toContain('health_probe_duration_seconds_bucket{le="+Inf"} 3\n');
  });
});

describe("a bad answer", () => {
  test.each(Object.keys(badAnswers))("(%s) is unknown with its reason, and tried again only where that may help", async (name) => {
    const { answer, reason, retried } = badAnswers[name]!;
    const { get, metrics, poller, prometheus } = await probe(answer, { PROM_RETRIES: "1", ...(/within/.test(reason.source) && { PROM_TIMEOUT_MS: "150" }) });
    await poller.poll();
    const verdict = (await (await get("/ready")).json()) as { status: string; reason: string };
    expect(verdict.status).toBe("unknown");
    expect(verdict.reason).toMatch(reason);
    expect(verdict.reason).toMatch(/^(skew|consumers): /);
    expect(metrics.retries).toBe(retried ? 2 : 0);
    expect(prometheus.queries).toHaveLength(retried ? 4 : 2);
    expect(metrics.timeouts > 0).toBe(/within/.test(reason.source));
  });

  test("is over with the next good one", async () => {
    const { get, prometheus, run } = await probe(values("1", "2"));
    await run(305_000);
    prometheus.answer = badAnswers["a login page"]!.answer;
    await run(5_000);
    expect((await get("/ready")).status).toBe(500);
    prometheus.answer = values("1", "2");
    await run(5_000);
    expect((await get("/ready")).status).toBe(200);
  });

  test("of only one of the two queries is enough", async () => {
    const { get, poller } = await probe((response, request) => (request.url!.includes("consumer_count") ? badAnswers["no series"]!.answer : values("1", "2"))(response, request));
    await poller.poll();
    expect(await (await get("/ready")).json()).toEqual({ status: "unknown", reason: "consumers: there is no series" });
  });

  test("that no Prometheus gives is unknown too", async () => {
    const { get, poller, prometheus } = await probe(values("1", "2"));
    await prometheus.close();
    await poller.poll();
    expect(((await (await get("/ready")).json()) as { reason: string }).reason).toMatch(/cannot be reached: ECONNREFUSED/);
    closers.shift();
  });
});

describe("its environment", () => {
  test("has the defaults of the documents", () => {
    expect(readHealthEnv({ PROM_URL: "http://prometheus:9090", LOG_LEVEL: "" })).toMatchObject({ host: "0.0.0.0", port: 9011, promTimeoutMs: 1_500, promRetries: 2, windowMinutes: 5, windowMode: "sustained", skewThreshold: 4, minConsumers: 2, consumerGroup: "crm-events-sse", pollSeconds: 5, logLevel: "info" });
  });

  test("is refused as a whole, with every wrong variable and no value", () => {
    const wrong = { PORT: "70000", PROM_TIMEOUT_MS: "1.5", PROM_RETRIES: "-1", WINDOW_MODE: "lenient", SKEW_THRESHOLD: "NaN", CONSUMER_GROUP: 'x"} or vector(1)', LOG_LEVEL: "loud", PROM_URL: "http://user:hunter2@prom" };
    expect(() => readHealthEnv(wrong)).toThrow(/^wrong environment: /);
    try {
      readHealthEnv(wrong);
    } catch (error) {
      const { message } = error as Error;
      for (const name of Object.keys(wrong)) expect(message).toContain(`${name}: `);
      for (const value of ["hunter2", "lenient", "vector(1)"]) expect(message).not.toContain(value);
    }
    expect(() => readHealthEnv({})).toThrow("PROM_URL: required");
    expect(() => readHealthEnv({ PROM_URL: "http://p", POLL_SECONDS: "60" })).toThrow("POLL_SECONDS: at most a tenth");
  });
});

test("its log has one JSON line per event and no secret, however deep", () => {
  const lines: string[] = [];
  const log = createLog("crm-events-health", "warn", (line) => lines.push(line));
  log.info({ a: 1 }, "unseen");
  const loop: Record<string, unknown> = { password: "hunter2", nested: [{ Authorization: "Bearer hunter2" }], err: new Error("broken"), n: 5n };
  loop["self"] = loop;
  log.warn(loop, "seen");
  log.error({}, "seen too");
  expect(lines).toHaveLength(2);
  expect(lines.join("")).not.toContain("hunter2");
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: "warn", service: "crm-events-health", message: "seen", password: "[redacted]", err: { type: "Error", message: "broken" }, n: "5" });
});
