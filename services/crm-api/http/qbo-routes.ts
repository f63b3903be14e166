/** The QuickBooks side of the API. */
import type { IncomingMessage } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { conflict, Refusal } from "../crm/errors.ts";
import type { Changes } from "../crm/unit.ts";
import type { Metrics } from "../metrics.ts";
import { authoriseUrl, finishConnection } from "../qbo/connect.ts";
import type { QboConfig } from "../qbo/config.ts";
import { retryFailed } from "../qbo/pushes.ts";
import { qboStatus } from "../qbo/status.ts";
import type { Tokens } from "../qbo/tokens.ts";
import { readDelivery, receive, signatureHolds } from "../qbo/webhooks.ts";
import { readBody } from "./bodies.ts";
import { check } from "./problems.ts";
import { id } from "./schemas.ts";

export interface QboParts {
  readonly config: QboConfig;
  readonly tokens: Tokens;
  /** Tells the worker that there is something to do. */
  readonly wake: () => void;
}

const connectQuery = z.strictObject({ org_id: id.optional() });
const word = z.string().min(1).max(2048);
// Not strict: QuickBooks adds parameters as it likes.
const callbackQuery = z.object({ state: word, code: word.optional(), realmId: z.string().regex(/^[A-Za-z0-9-]{1,40}$/, "is not a company id").optional(), error: word.optional() });
const orgBody = z.strictObject({ org_id: id.optional() }).optional();

const webhookBytes = 1024 * 1024;

/** @param qbo undefined when no QuickBooks application is configured */
export function qboRoutes(app: FastifyInstance, changes: Changes, metrics: Metrics, qbo: QboParts | undefined): void {
  const configured = (): QboParts => {
    if (qbo === undefined) throw new Refusal(409, "not_configured", "no QuickBooks application is configured: set QBO_CLIENT_ID, QBO_CLIENT_SECRET_FILE and QBO_REDIRECT_URL");
    return qbo;
  };
  app.get("/qbo/status", async (request) => {
    try {
      return await qboStatus(changes.store.db, qbo?.config, changes.clock.now());
    } catch (error) {
      request.log.error({ err: error }, "the state of QuickBooks cannot be read");
      return { state: "unknown", environment: null, connect_path: null, companies: [] };
    }
  });
  // Asked by HEAD, as those do who only look where a link leads, these two would use up what a person needs.
  app.get("/qbo/connect", { exposeHeadRoute: false }, async (request, reply) => {
    const { org_id } = check(connectQuery, request.query, "query");
    const { config, tokens } = configured();
    requireSecret(tokens, request.log);
    return reply.redirect(await authoriseUrl(changes, config, org_id), 302);
  });
  app.get("/qbo/callback", { exposeHeadRoute: false }, async (request) => {
    const { tokens, wake } = configured();
    const answer = check(callbackQuery, request.query, "query");
    requireSecret(tokens, request.log);
    const connected = await finishConnection(changes, tokens, answer);
    wake();
    return { state: "connected", ...connected };
  });
  app.post("/qbo/sync", async (request, reply) => {
    const { wake } = configured();
    const orgId = check(orgBody, request.body, "body")?.org_id;
    const ask = changes.store.db.updateTable("qbo_connections").set({ sync_requested_at: changes.clock.now() }).where("state", "=", "connected");
    const asked = await (orgId === undefined ? ask : ask.where("org_id", "=", orgId)).returning("org_id").execute();
    if (asked.length === 0) throw conflict("not_connected", "no company is connected: open /qbo/connect", orgId === undefined ? undefined : "org_id");
    wake();
    return reply.code(202).send({ requested: asked.map((a) => a.org_id) });
  });
  app.post("/qbo/writes/retry", async (request, reply) => {
    const { wake } = configured();
    const retried = await retryFailed(changes, check(orgBody, request.body, "body")?.org_id);
    wake();
    return reply.code(202).send({ retried });
  });
  void app.register(async (scope) => webhookRoute(scope, changes, metrics, qbo));
}

/** @throws Refusal 503, before a person is sent to QuickBooks in vain, or the answer from there is used up */
function requireSecret(tokens: Tokens, log: FastifyBaseLogger): void {
  try {
    tokens.requireSecret();
  } catch (error) {
    log.error({ err: error }, "no company can be connected");
    throw new Refusal(503, "not_configured", error instanceof Error ? error.message : "there is no client secret");
  }
}

/** @throws Refusal 503, so that QuickBooks repeats what cannot be checked now */
function verifierOf(qbo: QboParts | undefined, log: FastifyBaseLogger): string {
  try {
    const verifier = qbo?.config.verifier?.();
    if (verifier !== undefined) return verifier;
  } catch (error) {
    log.error({ err: error }, "webhooks cannot be checked");
  }
  throw new Refusal(503, "not_configured", "there is no verifier token: set QBO_WEBHOOK_VERIFIER_FILE to a file that holds it");
}

/** In a scope of its own, because the signature is over the body's bytes, before anything reads them. */
function webhookRoute(scope: FastifyInstance, changes: Changes, metrics: Metrics, qbo: QboParts | undefined): void {
  for (const result of ["accepted", "duplicate", "unusable", "rejected"]) metrics.qboWebhooks.inc({ result }, 0);
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request: FastifyRequest, payload: IncomingMessage) => readBody(payload, webhookBytes));
  scope.post("/qbo/webhooks", async (request) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const signature = request.headers["intuit-signature"];
    try {
      if (!signatureHolds(body, String(signature ?? ""), verifierOf(qbo, request.log))) {
        throw new Refusal(401, "unauthorised", "does not fit the body", "intuit-signature");
      }
      const { events, unusable } = readDelivery(body);
      if (unusable > 0) request.log.error({ unusable }, "a webhook delivery has events that cannot be used; they are left out");
      const { accepted, duplicate } = await receive(changes, events);
      metrics.qboWebhooks.inc({ result: "accepted" }, accepted);
      metrics.qboWebhooks.inc({ result: "duplicate" }, duplicate);
      metrics.qboWebhooks.inc({ result: "unusable" }, unusable);
      if (accepted > 0) qbo?.wake();
      return { accepted, duplicate };
    } catch (error) {
      if (error instanceof Refusal) metrics.qboWebhooks.inc({ result: "rejected" });
      throw error;
    }
  });
}
