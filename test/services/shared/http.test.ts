import { fastify } from "fastify";
import { describe, expect, it } from "vitest";
import { commandCenterApp } from "../../../services/command-center/app.ts";
import { createStandin } from "../../../services/qbo-standin/app.ts";
import { answerUnserved, requestTimeoutMs } from "../../../services/shared/http.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";
import { simulatorApp } from "../../../services/simulator/app.ts";
import { Scenarios } from "../../../services/simulator/scenarios.ts";
import { slackStandinApp } from "../../../services/slack-standin/app.ts";

const log = createLogger("test", "silent");
const registry = () => createRegistry(false);

describe("a request that is sent slowly", () => {
  const apps = {
    "command-center": () => commandCenterApp({ readers: {}, feed: { url: "http://127.0.0.1:9" }, assets: { build: "x", files: new Map([["index.html", { body: Buffer.from(""), type: "text/html", etag: "x" }]]) }, links: {}, pollMs: 1000, registry: registry(), log }),
    simulator: () => simulatorApp({ scenarios: new Scenarios([]), crm: {} as never, registry: registry(), log }),
    "slack-standin": () => slackStandinApp({ webhooks: {}, deadManSeconds: 60, registry: registry(), log }),
    "qbo-standin": () => createStandin({ clientId: "c", clientSecret: () => "s", verifier: () => "v", webhookUrl: undefined, accessTokenSeconds: 60, log, processMetrics: false }).app,
  };
  it.each(Object.entries(apps))("is not waited for by %s for ever", (_name, make) => {
    expect(make().server.requestTimeout).toBe(requestTimeoutMs);
  });
});

describe("what no route serves", () => {
  const app = fastify();
  answerUnserved(app, (path, allowed) => ({ path, allowed }));
  app.get("/things", () => "");
  app.post("/things", () => "");
  app.get("/things/:id/parts.json", { exposeHeadRoute: false }, () => "");
  void app.register(async (scope) => void scope.post("/files/*", () => ""));

  it.each([
    ["PUT", "/things?a=1", 405, ["GET", "HEAD", "POST"]],
    ["OPTIONS", "/things", 405, ["GET", "HEAD", "POST"]],
    ["HEAD", "/things/7/parts.json", 405, ["GET"]],
    ["POST", "/things/7/parts.json", 405, ["GET"]],
    ["GET", "/files/a/b", 405, ["POST"]],
    ["GET", "/things/7", 404, []],
    ["GET", "/things/7/8/parts.json", 404, []],
    ["GET", "/things/7/partsXjson", 404, []],
    ["GET", "/", 404, []],
    ["GET", "/constructor", 404, []],
  ] as const)("%s %s", async (method, url, status, allowed) => {
    const response = await app.inject({ method, url });
    expect([response.statusCode, response.headers.allow]).toEqual([status, allowed.length > 0 ? allowed.join(", ") : undefined]);
    if (method !== "HEAD") expect(response.json()).toEqual({ path: url.split("?")[0], allowed });
  });
});
