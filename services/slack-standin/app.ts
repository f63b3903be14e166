/** The Slack stand-in: webhooks that answer like Slack's, an inbox to read, faults on demand and a dead man's switch. */
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { slackStandin } from "../../rules/metrics.ts";
import { counter, gauge, type Registry } from "../shared/metrics.ts";
import { requestTimeoutMs } from "../shared/http.ts";
import type { Logger } from "../shared/log.ts";
import { DeadMan } from "./dead-man.ts";
import { Faults, faultSchema, type Fault } from "./faults.ts";
import { Inbox } from "./inbox.ts";
import { checkChannel, readMessage, type Refusal } from "./message-check.ts";
import { inboxPage, pageHeaders } from "./page.ts";

/** What the stand-in is made of. */
export interface SlackStandinDeps {
  /** Webhook path to the channel that it is bound to. */
  readonly webhooks: Readonly<Record<string, string>>;
  readonly deadManSeconds: number;
  readonly registry: Registry;
  readonly log: Logger;
  readonly inbox?: Inbox;
  /** Milliseconds since the epoch, for the dead man's switch. */
  readonly now?: () => number;
}

/** Slack refuses larger bodies too. */
const bodyLimit = 256 * 1024;
/** Where the dead man's switch speaks; a channel that no webhook has. */
export const deadManChannel = "#dead-man";

const listQuery = z.strictObject({ channel: z.string().optional(), since: z.string().optional() });

/**
 * Builds the service; it does not listen.
 * @returns a Fastify instance whose `close` also ends the clock of the dead man's switch
 */
export function slackStandinApp(deps: SlackStandinDeps): FastifyInstance {
  const app = fastify({ loggerInstance: deps.log as FastifyBaseLogger, logController: new LogController({ disableRequestLogging: true }), bodyLimit, requestTimeout: requestTimeoutMs, forceCloseConnections: true });
  const inbox = deps.inbox ?? new Inbox();
  const faults = new Faults();
  // Bodies stay text: the webhook itself decides what is a valid one.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) deps.log.error({ err: error }, "request failed");
    return reply.code(status).type("text/plain").send(status === 413 ? "payload_too_large" : status >= 500 ? "internal error" : error.message);
  });
  addWebhooks(app, deps, inbox, faults);
  addDeadMan(app, deps, inbox);
  addInbox(app, inbox, faults, Object.values(deps.webhooks));
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/metrics", async (_request, reply) => reply.type(deps.registry.contentType).send(await deps.registry.metrics()));
  return app;
}

function addWebhooks(app: FastifyInstance, deps: SlackStandinDeps, inbox: Inbox, faults: Faults): void {
  const requests = counter(deps.registry, slackStandin.requests);
  const messages = counter(deps.registry, slackStandin.messages);
  const channels = [...new Set(Object.values(deps.webhooks))];
  for (const channel of channels) messages.inc({ channel }, 0);

  const answer = (reply: FastifyReply, status: number, text: string) => {
    requests.inc({ outcome: text });
    return reply.code(status).type("text/html").send(text);
  };
  const refuse = (reply: FastifyReply, { status, code }: Refusal) => answer(reply, status, code);

  app.post("/services/*", (request, reply) => {
    const channel = deps.webhooks[request.url.split("?")[0] ?? ""];
    if (channel === undefined) return refuse(reply, { status: 404, code: "no_service" });
    const fault = faults.next();
    if (fault !== "ok") {
      requests.inc({ outcome: `fault_${fault}` });
      return misbehave(reply, fault);
    }
    const read = readMessage(typeof request.body === "string" ? request.body : "", request.headers["content-type"] ?? "");
    if ("refusal" in read) return refuse(reply, read.refusal);
    const wrongChannel = checkChannel(read.payload.channel, channels);
    if (wrongChannel) return refuse(reply, wrongChannel);
    inbox.add(channel, read.payload);
    messages.inc({ channel });
    return answer(reply, 200, "ok");
  });
  app.route({ method: ["GET", "PUT", "PATCH", "DELETE"], url: "/services/*", handler: (_request, reply) => reply.code(405).header("allow", "POST").type("text/plain").send("method_not_allowed") });
}

function misbehave(reply: FastifyReply, fault: Exclude<Fault["mode"], "ok">): FastifyReply {
  if (fault === "500") return reply.code(500).type("text/html").send("rollup_error");
  if (fault === "429") return reply.code(429).header("retry-after", "1").type("text/html").send("rate_limited");
  if (fault === "invalid_token") return reply.code(200).type("text/html").send("invalid_token");
  reply.hijack();
  // A hanging request ends when its sender gives up or this process does.
  if (fault === "reset") reply.raw.socket?.resetAndDestroy();
  return reply;
}

function addDeadMan(app: FastifyInstance, deps: SlackStandinDeps, inbox: Inbox): void {
  const beats = counter(deps.registry, slackStandin.deadManBeats);
  const deadMan = new DeadMan(
    deps.deadManSeconds,
    (state, status) => {
      const text = state === "dead" ? `:skull: No beat since ${status.last_beat_at}: the monitoring is silent.` : ":heartbeat: The monitoring is back.";
      inbox.add(deadManChannel, { text });
      deps.log.warn({ ...status }, "dead man's switch changed");
    },
    deps.now,
  );
  gauge(deps.registry, slackStandin.deadManState, (states) => {
    for (const state of ["waiting", "alive", "dead"] as const) states.set({ state }, deadMan.status().state === state ? 1 : 0);
  });
  const clock = setInterval(() => deadMan.check(), 1000).unref();
  app.addHook("onClose", () => clearInterval(clock));

  app.get("/deadman", () => deadMan.status());
  app.post("/deadman", (request) => {
    if (saysResolved(request)) return { beat: false, reason: "a resolved alert is no beat" };
    deadMan.beat();
    beats.inc();
    return { beat: true };
  });
}

/** A Watchdog that resolves says that the rules stopped, which is the contrary of a beat. */
function saysResolved(request: FastifyRequest): boolean {
  try {
    return z.object({ status: z.literal("resolved") }).safeParse(JSON.parse(String(request.body))).success;
  } catch {
    return false;
  }
}

function addInbox(app: FastifyInstance, inbox: Inbox, faults: Faults, channels: readonly string[]): void {
  app.get("/messages", (request, reply) => {
    const query = listQuery.safeParse(request.query);
    if (!query.success) return reply.code(400).send({ error: "known parameters are channel and since" });
    const since = readSince(query.data.since);
    if (since === null) return reply.code(400).send({ error: "since: give a message id, an ISO 8601 time or milliseconds since 1970" });
    return { messages: inbox.list(query.data.channel, since) };
  });
  app.delete("/messages", (_request, reply) => {
    inbox.clear();
    return reply.code(204).send();
  });
  app.get("/faults", () => faults.status());
  app.post("/faults", (request, reply) => {
    const fault = faultSchema.safeParse(readJson(request.body));
    if (!fault.success) return reply.code(400).send({ error: fault.error.issues.map((i) => `${i.path.join(".") || "body"}: ${i.message}`).join("; ") });
    faults.set(fault.data);
    return faults.status();
  });
  app.get("/", (request, reply) => {
    const query = z.object({ channel: z.string().optional() }).safeParse(request.query);
    const channel = query.data?.channel;
    return reply.headers(pageHeaders).send(inboxPage(inbox.list(channel).reverse(), { channels: [...new Set([...channels, deadManChannel])], channel }));
  });
}

function readJson(body: unknown): unknown {
  try {
    return JSON.parse(String(body));
  } catch {
    return undefined;
  }
}

/** @returns a message id, a time, nothing for nothing, or null for neither */
function readSince(text: string | undefined): number | Date | undefined | null {
  if (text === undefined) return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : undefined;
  // No inbox ever counts this many messages, so larger numbers are times.
  if (number !== undefined) return number < 1e11 ? number : new Date(number);
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? null : time;
}
