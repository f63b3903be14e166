import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { getJson, reasonOf } from "../../../services/command-center/sources/get-json.ts";
import { prometheusSource } from "../../../services/command-center/sources/prometheus.ts";
import { readQbo } from "../../../services/command-center/sources/qbo.ts";
import { readInbox } from "../../../services/command-center/sources/slack-inbox.ts";
import { fakeCrmApi, FakeServer, fakePrometheus, fakeSlack, healthySamples } from "./fakes.ts";
import { qboStatus } from "./harness.ts";

const running: FakeServer[] = [];
const start = async (server: FakeServer) => {
  running.push(await server.start());
  return server;
};
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

describe("getJson", () => {
  const schema = z.object({ a: z.number() });
  const problemOf = async (handler: ConstructorParameters<typeof FakeServer>[0], timeoutMs = 15_000) => {
    const { url } = await start(new FakeServer(handler));
    return getJson(url, schema, timeoutMs).then(() => "none", reasonOf);
  };

  it("reads what fits", async () => {
    const { url } = await start(new FakeServer((_request, response) => response.end('{"a":1,"b":2}')));
    expect(await getJson(url, schema, 2000)).toEqual({ a: 1 });
  });

  it("says in words what went wrong", async () => {
    expect(await problemOf((_q, r) => r.writeHead(503).end("no"))).toBe("answers 503");
    expect(await problemOf((_q, r) => r.end("<html>"))).toBe("answers something that is not JSON");
    expect(await problemOf((_q, r) => r.end('{"a":"x"}'))).toBe("answers something unexpected");
    expect(await problemOf(() => undefined, 200)).toBe("does not answer in time");
    expect(await problemOf((_q, r) => void r.socket?.destroy())).toBe("cut the connection");
    expect(await problemOf((_q, r) => r.writeHead(302, { location: "/elsewhere" }).end())).toBe("cannot be read");
    expect(await problemOf((_q, r) => r.end("x".repeat(5 * 1024 * 1024)))).toBe("answers more than can be read");
    expect(await getJson("http://127.0.0.1:1", schema, 2000).catch(reasonOf)).toMatch(/refuses the connection|cannot be read/);
  });
});

describe("prometheusSource", () => {
  const source = async (samples = healthySamples()) => {
    const { url } = await start(fakePrometheus(samples));
    return prometheusSource({ url, group: "crm-events-sse", targetPct: 85, timeoutMs: 2000 });
  };

  it("reads the pipeline, the budget and the freshness", async () => {
    const prometheus = await source();
    expect(await prometheus.pipeline()).toMatchObject({ clients: 7, eventsPerSecond: 8.42, lag: 37, skew: 1.4, consumers: 2, partitions: [{ partition: 0, lag: 4 }, { partition: 1, lag: 9 }, {}, {}, {}, {}] });
    expect(await prometheus.budget()).toMatchObject({ target: 85, rate: 91.3, orgs: [{ org: "initech", rate: 82.2 }, { org: "globex" }, { org: "acme" }] });
    expect(await prometheus.freshness()).toEqual({ groups: [{ group: "kafka", ageSeconds: 21, stale: false }, { group: "crm_finance.recording", ageSeconds: 12, stale: false }], down: [], targets: 2 });
  });

  it("has no figure where there is no series or no number, which is not 0", async () => {
    const prometheus = await source({ "kafka:group_skew_ratio": [[{}, Number.NaN]] });
    expect(await prometheus.pipeline()).toEqual({ clients: null, eventsPerSecond: null, lag: null, skew: null, consumers: null, partitions: [] });
    expect((await prometheus.budget()).rate).toBeNull();
    expect(await prometheus.freshness()).toEqual({ groups: [], down: [], targets: 0 });
  });

  it("names targets that are down and rules that are old", async () => {
    const prometheus = await source({ prometheus_rule_group: [[{ rule_group: "x;old" }, 301]], up: [[{ job: "kafka-exporter", instance: "kafka-exporter:9308" }, 0], [{ job: "a", instance: "b" }, 1]] });
    expect(await prometheus.freshness()).toEqual({ groups: [{ group: "old", ageSeconds: 301, stale: true }], down: ["kafka-exporter kafka-exporter:9308"], targets: 2 });
  });

  it("does not call a group old that Prometheus had no time for since it started", async () => {
    const never = { rule_group: "x;never" };
    const young = await source({ prometheus_rule_group: [[never, 1_795_544_686], [{ rule_group: "x;just" }, 2]], process_start_time_seconds: [[{}, 42]] });
    expect((await young.freshness()).groups).toEqual([{ group: "never", ageSeconds: 42, stale: false }, { group: "just", ageSeconds: 2, stale: false }]);
    const old = await source({ prometheus_rule_group: [[never, 1_795_544_686]], process_start_time_seconds: [[{}, 301]] });
    expect((await old.freshness()).groups).toEqual([{ group: "never", ageSeconds: 301, stale: true }]);
  });

  it("puts an hour of samples on an even grid", async () => {
    const { eventsPerSecond } = await (await source()).trends();
    expect([eventsPerSecond.times.length, eventsPerSecond.values.filter((v) => v === null)]).toEqual([121, []]);
    expect(eventsPerSecond.times.at(-1)! - eventsPerSecond.times[0]!).toBe(3600);
  });
});

describe("readQbo", () => {
  it("names each company's state, and calls a word that it does not know unknown", async () => {
    const state = { qbo: qboStatus({ webhook_events_waiting: 2, writes_waiting: 3, problem: "x".repeat(999) }) as unknown };
    const { url } = await start(fakeCrmApi(state));
    expect(await readQbo(url, 2000)).toMatchObject({ state: "connected", environment: "stand-in", companies: [{ name: "acme, company 9130347", state: "connected", waiting: 5, problem: "x".repeat(300) }] });
    state.qbo = qboStatus({ writes_failed: 2 });
    expect((await readQbo(url, 2000)).companies[0]!.problem).toContain("2 of its writes were given up");
    state.qbo = { state: "brand_new", environment: null, companies: [] };
    expect(await readQbo(url, 2000)).toEqual({ state: "unknown", environment: null, companies: [] });
    state.qbo = { status: "ok" };
    await expect(readQbo(url, 2000)).rejects.toThrow("answers something unexpected");
  });
});

describe("readInbox", () => {
  it("has whole characters only, wherever a text is cut and whatever it holds", async () => {
    const message = (text: string) => ({ id: 1, at: "2026-01-01T00:00:00.000Z", channel: "#crm-alerts\udc00", payload: { attachments: [{ title: "T\ud800", title_link: "https://x.example/\ud800", text }] } });
    const { url } = await start(fakeSlack({ messages: [message("a\ud800b"), message(`${"x".repeat(399)}😀`), message(`<https://x.example/\udc00|y>`)] }));
    const inbox = await readInbox(url, 2000);
    expect(JSON.stringify(inbox)).not.toMatch(/\\ud[89a-f]/);
    expect(inbox.messages.map((m) => m.text[0]!.text)).toEqual(["y", `${"x".repeat(399)}\ufffd…`, "a\ufffdb"]);
  });

  it("shows the newest messages with their links, cut to size", async () => {
    const message = (id: number) => ({ id, at: "2026-01-01T00:00:00.000Z", channel: "#crm-alerts", payload: { attachments: [{ title: `T${id} &amp; more`, title_link: "javascript:x", color: "good", text: `*bold* <https://x.example/|link> ${"y".repeat(1000)}` }] } });
    const { url } = await start(fakeSlack({ messages: Array.from({ length: 50 }, (_, i) => message(i)) }));
    const { messages, deadMan } = await readInbox(url, 2000);
    expect(messages.map((m) => m.id)).toEqual(Array.from({ length: 20 }, (_, i) => 49 - i));
    expect(messages[0]).toMatchObject({ title: "T49 & more", link: null, tone: "good", text: [{ text: "bold", bold: true }, { text: " " }, { text: "link", link: "https://x.example/" }, {}] });
    expect(messages[0]?.text.map((s) => s.text).join("")).toHaveLength(401);
    expect(deadMan?.state).toBe("alive");
  });
});
