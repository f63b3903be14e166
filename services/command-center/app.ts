/** The command center's server: the page, and one origin for all that it shows. */
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { commandCenter } from "../../rules/metrics.ts";
import { answerUnserved, requestTimeoutMs } from "../shared/http.ts";
import type { Logger } from "../shared/log.ts";
import { counter, gauge, type Registry } from "../shared/metrics.ts";
import type { Asset, Assets } from "./assets.ts";
import { Collector, type Reader } from "./collector.ts";
import { EventFeed, type FeedOptions } from "./event-feed.ts";
import type { SourceName } from "./state.ts";
import { Viewers } from "./viewers.ts";

/** What the service is made of. */
export interface CommandCenterDeps {
  readonly readers: Readonly<Record<string, Reader>>;
  readonly feed: Omit<FeedOptions, "log">;
  readonly assets: Assets;
  /** Name to address, shown as links. */
  readonly links: Readonly<Record<string, string>>;
  readonly pollMs: number;
  /** @default 30 s, or `pollMs` when that is longer */
  readonly idleMs?: number;
  readonly registry: Registry;
  readonly log: Logger;
}

/** Path of the page. */
export const pagePath = "/ops/crm-events";

const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/**
 * Builds the service; it does not listen. Reading begins when the app is ready and ends when it closes.
 * @throws Error when the page's files are not complete
 */
export function commandCenterApp(deps: CommandCenterDeps): FastifyInstance {
  const { registry, log, pollMs } = deps;
  const app = fastify({ loggerInstance: log as FastifyBaseLogger, logController: new LogController({ disableRequestLogging: true }), bodyLimit: 1024, requestTimeout: requestTimeoutMs, forceCloseConnections: true });
  answerUnserved(app, (_path, allowed) => ({ error: allowed.length > 0 ? `this path takes ${allowed.join(", ")}` : "there is nothing at this path" }));
  const sourceUp = gauge(registry, commandCenter.upstreamUp);
  const failures = counter(registry, commandCenter.upstreamFailures);
  const onRead = (source: SourceName, ok: boolean) => {
    sourceUp.set({ source }, ok ? 1 : 0);
    if (!ok) failures.inc({ source });
  };
  const collector = new Collector({ readers: deps.readers, pollMs, idleMs: deps.idleMs ?? Math.max(30_000, pollMs), log, onRead });
  const feed = new EventFeed({ ...deps.feed, log });
  const viewing = gauge(registry, commandCenter.viewers);
  const dropped = counter(registry, commandCenter.droppedViewers);
  const viewers = new Viewers({
    collector,
    feed,
    about: { build: deps.assets.build, everySeconds: pollMs / 1000, links: deps.links },
    onChange: (count, slow) => {
      viewing.set(count);
      if (slow) dropped.inc();
    },
  });
  app.addHook("onReady", async () => {
    collector.start();
    feed.start();
  });
  app.addHook("preClose", async () => {
    viewers.close();
    await Promise.all([collector.stop(), feed.stop()]);
  });
  countRequests(app, registry);
  addPage(app, deps.assets);
  addApi(app, collector, feed, viewers, deps);
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/metrics", async (_request, reply) => {
    sourceUp.set({ source: "crm-events" }, feed.section().ok ? 1 : 0);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  return app;
}

function countRequests(app: FastifyInstance, registry: Registry): void {
  const requests = counter(registry, commandCenter.requests);
  app.addHook("onResponse", async (request, reply) => {
    requests.inc({ route: request.routeOptions.url ?? "none", status: reply.raw.statusCode });
  });
}

function addPage(app: FastifyInstance, { files }: Assets): void {
  const html = files.get("index.html");
  if (html === undefined) throw new Error("the page's files lack index.html");
  app.get("/", (_request, reply) => reply.redirect(pagePath));
  app.get(pagePath, (request, reply) => sendAsset(request, reply.headers(securityHeaders), html));
  app.get<{ Params: { name: string } }>("/assets/:name", (request, reply) => {
    const asset = files.get(request.params.name);
    return asset === undefined ? reply.code(404).send({ error: "no such file" }) : sendAsset(request, reply, asset);
  });
}

/** Always asked again, answered in full only when it changed: a new version shows at the next visit. */
function sendAsset(request: FastifyRequest, reply: FastifyReply, { body, type, etag }: Asset): FastifyReply {
  reply.headers({ etag, "cache-control": "no-cache", "x-content-type-options": "nosniff" });
  return request.headers["if-none-match"] === etag ? reply.code(304).send() : reply.type(type).send(body);
}

function addApi(app: FastifyInstance, collector: Collector, feed: EventFeed, viewers: Viewers, deps: CommandCenterDeps): void {
  app.get("/api/state", (_request, reply) =>
    reply.header("cache-control", "no-store").send({ at: new Date().toISOString(), build: deps.assets.build, links: deps.links, sections: { ...collector.snapshot(), feed: feed.section() } }),
  );
  // A stream has no end that an answer to HEAD could wait for.
  app.get<{ Querystring: { after?: string } }>("/api/live", { exposeHeadRoute: false }, (request, reply) => {
    if (viewers.full) return reply.code(503).header("retry-after", "10").send({ error: "too many open pages" });
    // A browser that reconnects by itself sends the header; a page that had to make a new connection gives the parameter.
    const header = request.headers["last-event-id"];
    const position = typeof header === "string" && header !== "" ? header : request.query.after;
    viewers.add(reply, typeof position === "string" ? position : undefined);
    return reply;
  });
}
