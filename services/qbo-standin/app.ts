/** A stand-in for Intuit: the authorise page, tokens, and the accounting API of QuickBooks Online, as far as they matter here. */
import { randomInt, timingSafeEqual } from "node:crypto";
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z, ZodError } from "zod";
import { qboStandin as names } from "../../rules/metrics.ts";
import { requestTimeoutMs } from "../shared/http.ts";
import type { Logger } from "../shared/log.ts";
import { counter, createRegistry, gauge } from "../shared/metrics.ts";
import { qboTime, StandinClock } from "./clock.ts";
import { Company, intuitLimits, type Limits } from "./company.ts";
import { controlRoutes } from "./control.ts";
import { faultBody, Faults, QboRefusal, type Fault } from "./faults.ts";
import { Oauth } from "./oauth.ts";
import { Webhooks } from "./webhooks.ts";

export interface StandinOptions {
  readonly clientId: string;
  readonly clientSecret: () => string;
  readonly verifier: () => string;
  /** Where changes are announced; undefined: nowhere. */
  readonly webhookUrl: string | undefined;
  readonly accessTokenSeconds: number;
  readonly log: Logger;
  /** Default: Intuit's. */
  readonly limits?: Limits;
  /** False leaves the process's own metrics out, for tests. */
  readonly processMetrics?: boolean;
}

const bodyBytes = 1024 * 1024;

/** Everything the stand-in holds, in memory. */
export class Standin {
  readonly clock = new StandinClock();
  readonly faults = new Faults();
  readonly oauth: Oauth;
  readonly webhooks: Webhooks;
  /** The company that the authorise page gives: another one in each process, since its books are empty then. */
  nextRealm = String(randomInt(1_000_000_000, 2 ** 40)).padStart(16, "9");
  /** The person at the authorise page says no. */
  deny = false;
  readonly requests = new Map<string, number>();
  readonly #limits: Limits;
  readonly #companies = new Map<string, Company>();

  constructor(options: StandinOptions, webhookResults: ReturnType<typeof counter>) {
    this.#limits = options.limits ?? intuitLimits;
    this.oauth = new Oauth(this.clock, options.accessTokenSeconds);
    this.webhooks = new Webhooks({ url: options.webhookUrl, verifier: options.verifier, clock: this.clock, results: webhookResults, log: options.log });
  }

  company(realm: string): Company {
    let company = this.#companies.get(realm);
    if (company === undefined) this.#companies.set(realm, (company = new Company(realm, this.clock, this.#limits, (change) => this.webhooks.tell(realm, change))));
    return company;
  }

  companies(): Company[] {
    return [...this.#companies.values()];
  }

  state() {
    return {
      realm: this.nextRealm,
      refreshes: this.oauth.refreshes,
      requests: Object.fromEntries(this.requests),
      throttled: this.companies().reduce((sum, c) => sum + c.throttled, 0),
      webhooks: this.webhooks.settings,
    };
  }
}

/** @returns the app, ready for `inject` or `listen`, and what it holds */
export function createStandin(options: StandinOptions): { app: FastifyInstance; standin: Standin } {
  const registry = createRegistry(options.processMetrics ?? true);
  const requests = counter(registry, names.requests);
  const webhookResults = counter(registry, names.webhooks);
  const standin = new Standin(options, webhookResults);
  const objects = gauge(registry, names.objects, (g) => countObjects(standin, g));
  objects.reset();
  const app = Fastify({ loggerInstance: options.log as FastifyBaseLogger, logController: new LogController({ disableRequestLogging: true }), bodyLimit: bodyBytes, requestTimeout: requestTimeoutMs, forceCloseConnections: true });
  acceptBodies(app);
  const count = (operation: string, outcome: string) => {
    requests.inc({ operation, outcome });
    standin.requests.set(operation, (standin.requests.get(operation) ?? 0) + 1);
  };
  authoriseRoute(app, standin, options);
  tokenRoute(app, standin, options, count);
  apiRoutes(app, standin, count);
  controlRoutes(app, standin);
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  app.setErrorHandler((error: Error, _request, reply) => {
    if (error instanceof ZodError) return reply.code(400).send({ error: error.issues.map((i) => `${i.path.join(".") || "body"}: ${i.message}`).join("; ") });
    if (error instanceof QboRefusal) return reply.code(400).send(faultBody(error, qboTime(standin.clock.now(), true)));
    return reply.send(error);
  });
  app.addHook("onClose", async () => standin.webhooks.close());
  return { app, standin };
}

function countObjects(standin: Standin, g: ReturnType<typeof gauge>): void {
  for (const entity of ["Customer", "Invoice", "Payment"]) g.set({ entity }, standin.companies().reduce((sum, c) => sum + (c.books.rows(entity)?.size ?? 0), 0));
}

function acceptBodies(app: FastifyInstance): void {
  app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))));
  app.addContentTypeParser("application/text", { parseAs: "string" }, (_request, body, done) => done(null, body));
}

const parameters = z.record(z.string(), z.string("must be given once"));

/** @throws ZodError for a parameter that is given several times */
const parametersOf = (query: unknown): Partial<Record<string, string>> => parameters.parse(query);

/** Says yes at once, as a person would after reading. */
function authoriseRoute(app: FastifyInstance, standin: Standin, options: StandinOptions): void {
  app.get("/connect/oauth2", async ({ query }, reply) => {
    const { client_id, redirect_uri, response_type, scope, state } = parametersOf(query);
    if (client_id !== options.clientId || response_type !== "code" || scope === undefined || !scope.split(" ").includes("com.intuit.quickbooks.accounting") || redirect_uri === undefined || !URL.canParse(redirect_uri)) {
      return reply.code(400).type("text/html").send("<h1>The application asked for a connection in a way that is not understood.</h1>");
    }
    const back = new URL(redirect_uri);
    if (state !== undefined) back.searchParams.set("state", state);
    if (standin.deny) back.searchParams.set("error", "access_denied");
    else {
      back.searchParams.set("code", standin.oauth.issueCode(standin.nextRealm, redirect_uri));
      back.searchParams.set("realmId", standin.nextRealm);
    }
    return reply.redirect(back.toString(), 302);
  });
}

function sameSecret(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

type Count = (operation: string, outcome: string) => void;

function tokenRoute(app: FastifyInstance, standin: Standin, options: StandinOptions, count: Count): void {
  app.post<{ Body: Record<string, string | undefined> | undefined }>("/oauth2/v1/tokens/bearer", async (request, reply) => {
    const fault = standin.faults.next("token");
    if (fault !== undefined && !fault.mode.endsWith("after-commit")) return misbehave(fault, reply, standin, count, "token");
    const basic = Buffer.from((request.headers.authorization ?? "").replace(/^Basic /i, ""), "base64").toString();
    if (!sameSecret(basic, `${options.clientId}:${options.clientSecret()}`)) {
      count("token", "invalid_client");
      return reply.code(401).send({ error: "invalid_client" });
    }
    const form = request.body ?? {};
    const answer = form["grant_type"] === "refresh_token" ? standin.oauth.refresh(form["refresh_token"] ?? "") : standin.oauth.redeem(form["code"] ?? "", form["redirect_uri"] ?? "");
    if (fault !== undefined) return misbehave(fault, reply, standin, count, "token");
    count("token", answer === undefined ? "invalid_grant" : "ok");
    return answer === undefined ? reply.code(400).send({ error: "invalid_grant" }) : reply.send(answer);
  });
}

type ApiRequest = FastifyRequest<{ Params: { realm: string; path: string; id?: string } }>;

/** What can be written; any other path has one name in common, since the names of operations are kept. */
const writable = new Set(["customer", "invoice", "payment"]);
const operationOf = (path: string): string => (writable.has(path) ? path : "other");

function apiRoutes(app: FastifyInstance, standin: Standin, count: Count): void {
  const serve = async (request: ApiRequest, reply: FastifyReply, operation: string, work: (company: Company) => unknown) => {
    const fault = standin.faults.next(operation);
    if (fault !== undefined && !fault.mode.endsWith("after-commit")) return misbehave(fault, reply, standin, count, operation);
    const { realm } = request.params;
    if (!standin.oauth.admits((request.headers.authorization ?? "").replace(/^Bearer /i, ""), realm)) return misbehave({ mode: "401" }, reply, standin, count, operation);
    const company = standin.company(realm);
    if (!company.admit()) return misbehave({ mode: "429" }, reply, standin, count, operation);
    try {
      const answer = work(company);
      if (fault !== undefined) return await misbehave(fault, reply, standin, count, operation);
      count(operation, "ok");
      return reply.send(answer);
    } catch (error) {
      count(operation, "fault");
      throw error;
    }
  };
  const base = "/v3/company/:realm";
  app.get(`${base}/query`, async (request: ApiRequest, reply) => serve(request, reply, "query", (c) => c.query(parametersOf(request.query)["query"] ?? "")));
  app.post(`${base}/query`, async (request: ApiRequest, reply) => serve(request, reply, "query", (c) => c.query(String(request.body))));
  app.get(`${base}/cdc`, async (request: ApiRequest, reply) =>
    serve(request, reply, "cdc", (c) => {
      const { entities = "", changedSince = "" } = parametersOf(request.query);
      return c.changesSince(entities.split(","), Date.parse(changedSince));
    }),
  );
  app.get(`${base}/companyinfo/:id`, async (request: ApiRequest, reply) => serve(request, reply, "companyinfo", (c) => c.info(request.params.id ?? "")));
  app.get(`${base}/:path/:id`, async (request: ApiRequest, reply) => serve(request, reply, "read", (c) => c.read(request.params.path, request.params.id ?? "")));
  app.post(`${base}/:path`, async (request: ApiRequest, reply) => serve(request, reply, operationOf(request.params.path), (c) => c.write(request.params.path, parametersOf(request.query), request.body)));
}

/** The ways in which an answer can be wrong. */
async function misbehave({ mode, retry_after }: Fault, reply: FastifyReply, standin: Standin, count: Count, operation: string): Promise<FastifyReply> {
  count(operation, mode);
  const time = qboTime(standin.clock.now(), true);
  const html = () => reply.type("text/html").send("<html><body><h1>We're sorry, something went wrong.</h1></body></html>");
  if (mode === "401") return reply.code(401).send({ fault: { error: [{ message: "message=AuthenticationFailed; errorCode=003200; statusCode=401", code: "3200" }], type: "AUTHENTICATION" }, time });
  if (retry_after !== undefined) reply.header("retry-after", retry_after.form === "date" ? new Date(standin.clock.now() + retry_after.seconds * 1000).toUTCString() : retry_after.seconds);
  if (mode === "429") return reply.code(429).send({ Fault: { Error: [{ Message: "message=ThrottleExceeded; errorCode=003001; statusCode=429", code: "3001" }], type: "THROTTLE" }, time });
  if (mode === "500") return reply.code(500).send(faultBody(new QboRefusal("10000", "An application error has occurred while processing your request", undefined, "SystemFault"), time));
  if (mode === "fault-in-200") return reply.code(200).send(faultBody(new QboRefusal("6000", "A business validation error has occurred while processing your request"), time));
  if (mode === "stale") return reply.code(400).send(faultBody(new QboRefusal("5010", "Stale Object Error"), time));
  if (mode === "html") return html();
  if (mode === "truncated") return reply.type("application/json").send('{"QueryResponse":{"Invoice":[{"Id":"1","Sync');
  reply.hijack();
  // Hanging ends when the caller gives up.
  if (mode.startsWith("reset")) reply.raw.destroy();
  return reply;
}
