import { afterEach, describe, expect, it } from "vitest";
import { commandCenterApp } from "../../../services/command-center/app.ts";
import { loadAssets, type Asset } from "../../../services/command-center/assets.ts";
import { commandCenterEnv } from "../../../services/command-center/env.ts";
import { readersOf } from "../../../services/command-center/readers.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";

const asset = (text: string, type: string): Asset => ({ body: Buffer.from(text), type, etag: `"${text.length}"` });
const assets = { build: "b1", files: new Map([["index.html", asset("<!doctype html>", "text/html")], ["main.js", asset("js", "text/javascript")]]) };
const apps: ReturnType<typeof commandCenterApp>[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

function build(env: NodeJS.ProcessEnv = {}) {
  const dead = "http://127.0.0.1:1";
  const read = readEnv(commandCenterEnv, { CRM_API_URL: dead, CRM_EVENTS_URL: dead, PROMETHEUS_URL: dead, ALERTMANAGER_URL: dead, ...env });
  const app = commandCenterApp({ readers: readersOf(read), feed: { url: read.CRM_EVENTS_URL }, assets, links: read.LINKS, pollMs: 100, registry: createRegistry(false), log: createLogger("test", "silent") });
  apps.push(app);
  return app;
}

describe("the command center's server", () => {
  it("gives the page under a policy that lets nothing foreign run", async () => {
    const app = build();
    expect((await app.inject("/")).headers.location).toBe("/ops/crm-events");
    const { headers, body } = await app.inject("/ops/crm-events");
    expect(body).toBe("<!doctype html>");
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; .*require-trusted-types-for 'script'/);
    expect(headers["content-security-policy"]).not.toContain("unsafe");
  });

  it("gives its files, unchanged ones only by name", async () => {
    const app = build();
    expect((await app.inject("/assets/main.js")).body).toBe("js");
    expect((await app.inject({ url: "/assets/main.js", headers: { "if-none-match": '"2"' } })).statusCode).toBe(304);
    expect((await app.inject("/assets/..%2fserver.mjs")).statusCode).toBe(404);
  });

  it("answers with every section while all sources are away", async () => {
    const app = build({ LINKS: '{"Grafana":"http://localhost:3000"}' });
    const { sections, links } = (await app.inject("/api/state")).json();
    expect(Object.keys(sections).sort()).toEqual(["alerts", "budget", "feed", "freshness", "pipeline", "qbo", "trends"]);
    expect(sections.alerts).toMatchObject({ source: "alertmanager", ok: false, value: null });
    expect(links).toEqual({ Grafana: "http://localhost:3000" });
    expect((await app.inject("/healthz")).statusCode).toBe(200);
  });

  it("has an inbox only where there is a Slack stand-in", async () => {
    const app = build({ SLACK_INBOX_URL: "http://127.0.0.1:1" });
    expect((await app.inject("/api/state")).json().sections).toHaveProperty("inbox");
  });

  it("streams state and events, and ends its streams when it closes", async () => {
    const app = build();
    const address = await app.listen({ host: "127.0.0.1", port: 0 });
    const response = await fetch(`${address}/api/live`);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!/event: state\ndata: .*\n\nevent: events\nid: \w+-0\ndata: .*\n\n/s.test(text)) text += (await reader.read()).value;
    const metrics = (await app.inject("/metrics")).body;
    expect(metrics).toContain("command_center_viewers 1");
    expect(metrics).toContain('command_center_upstream_up{source="crm-events"} 0');
    await app.close();
    for (;;) if ((await reader.read()).done) break;
  });

  it("answers HEAD of its stream without taking a viewer's place", async () => {
    const app = build();
    const address = await app.listen({ host: "127.0.0.1", port: 0 });
    const { status } = await fetch(`${address}/api/live`, { method: "HEAD", signal: AbortSignal.timeout(5_000) });
    expect(status).toBe(405);
    expect((await app.inject("/metrics")).body).not.toMatch(/command_center_viewers [1-9]/);
    expect((await fetch(`${address}/api/state`, { method: "HEAD" })).status).toBe(200);
  });

  it("refuses to start without its bundle or with a wrong environment", () => {
    expect(() => loadAssets("/nowhere")).toThrow('run "node tools/bundle.ts command-center"');
    expect(() => build({ PROMETHEUS_URL: "ftp://x" })).toThrow("PROMETHEUS_URL");
    expect(() => build({ LINKS: '{"x":"javascript:alert(1)"}' })).toThrow("LINKS");
  });
});
