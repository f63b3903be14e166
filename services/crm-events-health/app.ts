/** Answers from the last verdict; nobody who asks ever waits for Prometheus. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { originForm } from "../shared/request-target.ts";
import type { HealthEnv } from "./env.ts";
import type { ProbeMetrics } from "./metrics.ts";
import type { Poller } from "./poller.ts";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const json = (status: number, value: object): Answer => ({ status, type: "application/json", body: `${JSON.stringify(value)}\n` });
const text = (body: string): Answer => ({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body });

const wholeSeconds = (ms: number) => Math.round(ms / 1_000);

/** @returns the handler of every request */
export function createApp(env: HealthEnv, poller: Pick<Poller, "verdict">, metrics: ProbeMetrics): (request: IncomingMessage, response: ServerResponse) => void {
  const routes: Record<string, () => Answer> = {
    "/health": () => json(200, { status: "ok" }),
    "/healthz": () => json(200, { status: "ok" }),
    "/ready": () => {
      const { name, reason } = poller.verdict;
      return json(name === "ready" ? 200 : 500, { status: name, ...(reason !== "" && { reason }) });
    },
    "/status": () => json(200, statusOf(env, poller)),
    "/metrics": () => {
      const { ageMs, name } = poller.verdict;
      return text(metrics.render(name, ageMs / 1_000));
    },
  };
  return (request, response) => {
    response.on("error", () => undefined);
    const route = routes[originForm(request.url ?? "").split("?")[0]!];
    const read = request.method === "GET" || request.method === "HEAD";
    if (route === undefined) return send(request, response, json(404, { error: `no such path; there are ${Object.keys(routes).join(", ")}` }));
    if (!read) return send(request, response, json(405, { error: "only GET and HEAD are answered" }), { Allow: "GET, HEAD" });
    send(request, response, route());
  };
}

function statusOf(env: HealthEnv, poller: Pick<Poller, "verdict">): object {
  const { ageMs, consumers, name, reason, sinceMs, skew } = poller.verdict;
  return {
    window_minutes: env.windowMinutes,
    window_mode: env.windowMode,
    skew_threshold: env.skewThreshold,
    min_consumers: env.minConsumers,
    consumer_group: env.consumerGroup,
    poll_seconds: env.pollSeconds,
    verdict: { status: name, reason, age_seconds: wholeSeconds(ageMs), since_seconds: wholeSeconds(sinceMs), skew: skew ?? null, consumers: consumers ?? null },
  };
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(body), "Cache-Control": "no-store" });
  response.end(request.method === "HEAD" ? undefined : body);
}
