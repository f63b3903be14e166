import { afterEach, describe, expect, it } from "vitest";
import { slackStandinApp } from "../../../services/slack-standin/app.ts";
import { slackStandinEnv } from "../../../services/slack-standin/env.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";

const crm = "/services/T000/B000/crm";
const ops = "/services/T000/B000/ops";
const { WEBHOOK_PATHS: webhooks } = readEnv(slackStandinEnv, {});
const opened: ReturnType<typeof slackStandinApp>[] = [];

function build(now: () => number = Date.now) {
  const app = slackStandinApp({ webhooks, deadManSeconds: 60, registry: createRegistry(false), log: createLogger("test", "silent"), now });
  opened.push(app);
  const post = async (path: string, payload: unknown, type = "application/json") => {
    const { statusCode, body } = await app.inject({ method: "POST", url: path, headers: { "content-type": type }, payload: typeof payload === "string" ? payload : JSON.stringify(payload) });
    return `${statusCode} ${body}`;
  };
  const messages = async (query = "") => (await app.inject(`/messages${query}`)).json<{ messages: { id: number; at: string; channel: string; payload: { text?: string } }[] }>().messages;
  return { app, post, messages };
}

afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
});

describe("a webhook", () => {
  it("takes a message as JSON, with any content type, and as a form", async () => {
    const { post, messages } = build();
    expect(await post(crm, { text: "one" })).toBe("200 ok");
    expect(await post(ops, { text: "two" }, "text/plain")).toBe("200 ok");
    expect(await post(crm, `payload=${encodeURIComponent('{"text":"three + more"}')}`, "application/x-www-form-urlencoded")).toBe("200 ok");
    expect((await messages()).map((m) => [m.id, m.channel, m.payload.text])).toEqual([
      [1, "#crm-alerts", "one"],
      [2, "#ops-alerts", "two"],
      [3, "#crm-alerts", "three + more"],
    ]);
  });

  it("keeps every field of an Alertmanager message", async () => {
    const { post, messages } = build();
    const payload = { channel: "#crm-alerts", username: "Alertmanager", attachments: [{ title: "CrmApiDown", title_link: "http://am/", text: "down", fallback: "down", color: "danger", mrkdwn_in: ["text"], fields: [{ title: "Severity", value: "critical", short: true }], actions: [{ type: "button", text: "Runbook", url: "http://r/" }] }] };
    expect(await post(crm, payload)).toBe("200 ok");
    expect((await messages())[0]?.payload).toEqual(payload);
  });

  it.each([
    ["", "400 invalid_payload"],
    ["{not json", "400 invalid_payload"],
    ['"text"', "400 invalid_payload"],
    ['{"text":7}', "400 invalid_payload"],
    ["{}", "400 no_text"],
    ['{"text":""}', "400 no_text"],
    ['{"attachments":[]}', "400 no_text"],
    ['{"attachments":[{}]}', "400 missing_text_or_fallback_or_attachments"],
    ['{"text":"x","channel":"#nowhere"}', "404 channel_not_found"],
    ['{"text":"x","channel":"@nobody"}', "400 user_not_found"],
    ['{"blocks":[{"type":"section"}]}', "400 invalid_blocks"],
    ['{"blocks":[{"text":{"type":"mrkdwn","text":"no type"}}]}', "400 invalid_blocks"],
    [JSON.stringify({ blocks: [{ type: "section", text: { type: "mrkdwn", text: "x".repeat(3001) } }] }), "400 invalid_blocks"],
    [JSON.stringify({ blocks: Array(51).fill({ type: "divider" }) }), "400 invalid_blocks"],
    [JSON.stringify({ attachments: Array(101).fill({ text: "x" }) }), "400 too_many_attachments"],
    [JSON.stringify({ text: "x".repeat(600_000) }), "413 payload_too_large"],
    [`{"text":"x","more":${"[".repeat(100)}${"]".repeat(100)}}`, "400 invalid_payload"],
    [`{"text":"x","more":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "400 invalid_payload"],
  ])("refuses $0", async (body, answer) => {
    const { post, messages } = build();
    expect(await post(crm, body)).toBe(answer);
    expect(await messages()).toEqual([]);
  });

  it("takes what is just within the limits", async () => {
    const { post } = build();
    expect(await post(crm, { blocks: Array(50).fill({ type: "divider" }) })).toBe("200 ok");
    expect(await post(crm, { attachments: Array(100).fill({ text: "x" }) })).toBe("200 ok");
    expect(await post(crm, { text: "x", channel: "ops-alerts" })).toBe("200 ok");
    expect(await post(crm, { text: "x", channel: "C0123ABCD" })).toBe("200 ok");
  });

  it("cuts text at 40 000 characters, as Slack does", async () => {
    const { post, messages } = build();
    await post(crm, { text: "x".repeat(40_001) });
    expect((await messages())[0]?.payload.text).toHaveLength(40_000);
  });

  it("does not exist at other paths, and takes only POST", async () => {
    const { post, app } = build();
    expect(await post("/services/T000/B000/other", { text: "x" })).toBe("404 no_service");
    expect((await app.inject(crm)).statusCode).toBe(405);
  });
});

describe("the message list", () => {
  it("is filtered by channel, id and time, and can be emptied", async () => {
    const { app, post, messages } = build();
    await post(crm, { text: "one" });
    await post(ops, { text: "two" });
    await post(crm, { text: "three" });
    const texts = async (query: string) => (await messages(query)).map((m) => m.payload.text);
    expect(await texts("?channel=%23crm-alerts")).toEqual(["one", "three"]);
    expect(await texts("?since=2")).toEqual(["three"]);
    expect(await texts(`?since=${new Date(Date.now() - 60_000).toISOString()}`)).toEqual(["one", "two", "three"]);
    expect(await texts(`?since=${Date.now() + 60_000}`)).toEqual([]);
    expect((await app.inject("/messages?since=yesterday")).statusCode).toBe(400);
    expect((await app.inject("/messages?chanel=x")).statusCode).toBe(400);
    await app.inject({ method: "DELETE", url: "/messages" });
    expect(await messages()).toEqual([]);
    await post(crm, { text: "four" });
    expect((await messages())[0]?.id).toBe(4);
  });
});

describe("faults", () => {
  it("meet exactly the number of requests asked for", async () => {
    const { post, messages } = build();
    expect(await post("/faults", { mode: "500", count: 2 })).toBe('200 {"mode":"500","count":2}');
    expect(await post(crm, { text: "a" })).toBe("500 rollup_error");
    expect(await post(ops, { text: "b" })).toBe("500 rollup_error");
    expect(await post(crm, { text: "c" })).toBe("200 ok");
    await post("/faults", { mode: "429" });
    expect(await post(crm, { text: "d" })).toBe("429 rate_limited");
    await post("/faults", { mode: "invalid_token" });
    expect(await post(crm, { text: "e" })).toBe("200 invalid_token");
    expect((await messages()).map((m) => m.payload.text)).toEqual(["c"]);
  });

  it("end with ok and refuse what they do not know", async () => {
    const { post } = build();
    await post("/faults", { mode: "500", count: 9 });
    expect(await post("/faults", { mode: "ok" })).toBe('200 {"mode":"ok","count":0}');
    expect(await post(crm, { text: "a" })).toBe("200 ok");
    expect(await post("/faults", { mode: "slow" })).toMatch(/^400 .*mode/);
    expect(await post("/faults", "no json")).toMatch(/^400 /);
  });

  it("cut and hang real connections, and do not keep the service from closing", async () => {
    const { app, post } = build();
    const address = await app.listen({ host: "127.0.0.1", port: 0 });
    const send = (ms: number) => fetch(address + crm, { method: "POST", body: '{"text":"x"}', signal: AbortSignal.timeout(ms) });
    await post("/faults", { mode: "reset" });
    await expect(send(5000)).rejects.toThrow("fetch failed");
    await post("/faults", { mode: "hang", count: 2 });
    await expect(send(200)).rejects.toThrow("timeout");
    const hanging = send(15_000).catch(() => "cut");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await app.close();
    expect(await hanging).toBe("cut");
  });
});

describe("the dead man's switch over HTTP", () => {
  it("waits, lives with beats and takes no resolved alert for one", async () => {
    let now = Date.parse("2026-01-01T00:00:00Z");
    const { app, post } = build(() => now);
    const state = async () => (await app.inject("/deadman")).json();
    expect(await state()).toEqual({ state: "waiting", last_beat_at: null, missed: 0 });
    await post("/deadman", { status: "resolved", alerts: [] });
    expect((await state()).state).toBe("waiting");
    await post("/deadman", { status: "firing", alerts: [] });
    now += 60_000;
    expect(await state()).toEqual({ state: "alive", last_beat_at: "2026-01-01T00:00:00.000Z", missed: 0 });
    now += 90_000;
    expect(await state()).toMatchObject({ state: "dead", missed: 2 });
    await post("/deadman", "");
    expect((await state()).state).toBe("alive");
  });
});

describe("metrics", () => {
  it("count messages by channel from 0 and refusals by their word", async () => {
    const { app, post } = build();
    expect((await app.inject("/metrics")).body).toContain('slack_standin_messages_total{channel="#ops-alerts"} 0');
    await post(ops, { text: "x" });
    await post(ops, "{}");
    const { body } = await app.inject("/metrics");
    expect(body).toContain('slack_standin_messages_total{channel="#ops-alerts"} 1');
    expect(body).toContain('slack_standin_requests_total{outcome="no_text"} 1');
    expect(body).toContain('slack_standin_deadman_state{state="waiting"} 1');
  });
});

describe("the page", () => {
  it("shows messages, newest first, with nothing of them as markup", async () => {
    const { app, post } = build();
    await post(crm, { text: "first" });
    await post(crm, { username: "<img src=x>", text: "<script>alert(1)</script> <javascript:alert(1)|click> *bold* <https://runbooks.example.com/a?b=1&amp;c=2|Runbook>", attachments: [{ title: "</style><b>", title_link: "javascript:alert(1)", color: '"><script>', text: "`x`", actions: [{ type: "button", text: "<i>", url: "data:text/html,x" }] }] });
    const { body, headers } = await app.inject("/");
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /);
    expect(body.indexOf('id="m2"')).toBeLessThan(body.indexOf('id="m1"'));
    expect(body).not.toMatch(/<script|<img|<b>|<i>|href="(javascript|data)/);
    expect(body).toContain('<a href="https://runbooks.example.com/a?b=1&amp;c=2" rel="noreferrer noopener">Runbook</a>');
    expect(body).toContain("<strong>bold</strong>");
    expect((await app.inject("/?channel=%23ops-alerts")).body).toContain("No messages yet.");
  });

  it("shows messages whose blocks hold something else where a text would be", async () => {
    const { app, post } = build();
    const odd = [{ text: 1 }, { text: ["x"] }, { text: {} }, "x", 1, null].map((text) => ({ type: "divider", text }));
    expect(await post(crm, { text: "odd", blocks: odd, attachments: [{ blocks: odd }] })).toBe("200 ok");
    await post(crm, { blocks: [{ type: "header", text: { type: "plain_text", text: "the header" } }] });
    const { statusCode, body } = await app.inject("/");
    expect(statusCode).toBe(200);
    expect(body).toContain("<p>odd</p>");
    expect(body).toContain("<p>the header</p>");
  });
});

describe("the environment", () => {
  it("names a wrong webhook path or channel", () => {
    expect(() => readEnv(slackStandinEnv, { WEBHOOK_PATHS: '{"/x":"#crm"}' })).toThrow("a webhook path looks like /services/T000/B000/name");
    expect(() => readEnv(slackStandinEnv, { WEBHOOK_PATHS: '{"/services/T/B/x":"crm"}' })).toThrow("a channel looks like #crm-alerts");
    expect(() => readEnv(slackStandinEnv, { WEBHOOK_PATHS: "{" })).toThrow("WEBHOOK_PATHS: expected JSON");
  });
});
