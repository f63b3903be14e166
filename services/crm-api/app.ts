/** The HTTP side of the service: routes, refusals, metrics of requests. Listens to nothing by itself. */
import type { IncomingMessage } from "node:http";
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { requestTimeoutMs } from "../shared/http.ts";
import type { Logger } from "../shared/log.ts";
import { methodLabel } from "../shared/metrics.ts";
import type { Changes } from "./crm/unit.ts";
import { readBody } from "./http/bodies.ts";
import { crmRoutes } from "./http/crm-routes.ts";
import { answerNonsense, answerProblems, problemOf } from "./http/problems.ts";
import { qboRoutes, type QboParts } from "./http/qbo-routes.ts";
import { Refusal } from "./crm/errors.ts";
import { storeMetrics, type Metrics } from "./metrics.ts";

const bodyBytes = 64 * 1024;
/** Each may hold as much of an unfinished head as Node takes, 16 KiB. */
const maxConnections = 1_000;

export interface AppParts {
  readonly changes: Changes;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Undefined when no QuickBooks application is configured. */
  readonly qbo: QboParts | undefined;
  /** Why this process is not well, or undefined. */
  readonly problem: () => string | undefined;
}

/** @returns an app that is ready for `inject` or `listen` */
export function createApp(parts: AppParts): FastifyInstance {
  const app = Fastify({
    loggerInstance: parts.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: 500 },
    requestTimeout: requestTimeoutMs,
    // Node's own refusal of a request without Host says nothing.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, requireHostHeader: false },
    clientErrorHandler: answerNonsense,
    forceCloseConnections: "idle",
    frameworkErrors: (error, _request, reply) => {
      const { status, problem } = problemOf(error);
      void (reply as FastifyReply).code(status).send(problem);
    },
  });
  app.server.maxConnections = maxConnections;
  acceptJsonOnly(app);
  requireHost(app);
  answerProblems(app);
  countRequests(app, parts.metrics);
  crmRoutes(app, parts.changes);
  qboRoutes(app, parts.changes, parts.metrics, parts.qbo);
  selfRoutes(app, parts);
  return app;
}

/** Bytes that are no UTF-8 are refused rather than replaced, and packed ones are not unpacked; an empty body is no body. */
function acceptJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", async (request: FastifyRequest, payload: IncomingMessage): Promise<unknown> => {
    const body = await readBody(payload, bodyBytes);
    if ((request.headers["content-encoding"] ?? "identity") !== "identity") throw new Refusal(415, "unsupported_media_type", "send the body as it is", "content-encoding");
    if (body.length === 0) return undefined;
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    } catch (error) {
      throw new Refusal(400, "invalid", `is not JSON in UTF-8 (${error instanceof Error ? error.message : "unreadable"})`, "body");
    }
  });
}

function requireHost(app: FastifyInstance): void {
  app.addHook("onRequest", async (request, reply) => {
    if (request.headers.host !== undefined || request.raw.httpVersion !== "1.1") return;
    void reply.header("connection", "close");
    throw new Refusal(400, "invalid", "a request of HTTP/1.1 names its host");
  });
}

function countRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook("onResponse", async (request, reply) => {
    const method = methodLabel(request.method);
    // The route's pattern, never the path: labels must stay few.
    const route = request.routeOptions.url ?? "unknown";
    metrics.httpRequests.inc({ method, route, status: String(reply.statusCode) });
    metrics.httpDuration.observe({ method, route }, reply.elapsedTime / 1000);
    request.log.debug({ method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, "request");
  });
}

function selfRoutes(app: FastifyInstance, parts: AppParts): void {
  const { changes, metrics } = parts;
  app.get("/healthz", async (_request, reply) => {
    const problem = parts.problem();
    return reply.code(problem === undefined ? 200 : 503).send(problem === undefined ? { status: "ok", store: changes.store.kind } : { status: "unwell", reason: problem });
  });
  const expose = storeMetrics(metrics, changes.store, changes.clock);
  app.get("/metrics", async (_request, reply) => reply.type(metrics.registry.contentType).send(await expose()));
}
