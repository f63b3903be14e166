/** Calls to one company's data: limits, tokens, faults inside HTTP 200, and a count of everything. */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Logger } from "../../shared/log.ts";
import type { Metrics } from "../metrics.ts";
import type { Db } from "../store/store.ts";
import type { QboConnection } from "../store/tables.ts";
import type { Fetch, QboConfig } from "./config.ts";
import { endpoints, minorVersion } from "./endpoints.ts";
import { QboFault, QboNotAuthorised, QboRateLimited, QboUnreachable } from "./errors.ts";
import type { Limiter } from "./limiter.ts";
import { parseJson, reason, type Tokens } from "./tokens.ts";

const callMs = 60_000;
/** What a 429 asks for. Source: Intuit's "API call limits and throttles". */
const throttledMs = 60_000;
const longestPauseMs = 15 * 60_000;
const throttledRetries = 2;

export interface QboCall {
  /** Name in the metrics, such as `query`. */
  readonly operation: string;
  /** Below `/v3/company/<realm>/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON to post; absent: a GET. */
  readonly body?: unknown;
}

const faultBody = z.object({
  Fault: z.object({ Error: z.array(z.object({ code: z.coerce.string(), Message: z.string().default(""), Detail: z.string().default("") })).min(1), type: z.string().optional() }),
});

export interface ClientParts {
  readonly config: QboConfig;
  readonly db: Db;
  readonly tokens: Tokens;
  readonly limiter: Limiter;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Breaks off the calls under way; what they wrote is found again by their requestid. */
  readonly stop: AbortSignal;
}

/** An answer that was read to its end. */
interface Reply {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly text: string;
}

export class QboClient {
  readonly #parts: ClientParts;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** Aborted when this program ends: no call is made any more. */
  get stop(): AbortSignal {
    return this.#parts.stop;
  }

  /**
   * @returns the answer's JSON
   * @throws QboFault for a refusal, QboNotAuthorised, QboRateLimited after repeated 429s, QboUnreachable for anything else
   */
  async call(realm: string, call: QboCall): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const reply = await this.#authorised(realm, call);
      if (reply.status !== 429) return this.#read(call, reply);
      await this.#throttled(realm, reply);
      if (attempt === throttledRetries) throw new QboRateLimited("QuickBooks still limits this company's calls");
    }
  }

  /** A 401 gets one fresh token; a second one is not the token's age. */
  async #authorised(realm: string, call: QboCall): Promise<Reply> {
    const { tokens } = this.#parts;
    const company = await tokens.usable(realm);
    const reply = await this.#send(company, call);
    if (reply.status !== 401) return reply;
    const again = await this.#send(await tokens.renew(realm, company.generation), call);
    if (again.status === 401) throw new QboNotAuthorised("QuickBooks refuses a fresh access token");
    return again;
  }

  async #send(company: QboConnection, call: QboCall): Promise<Reply> {
    const { limiter, metrics, clock, stop } = this.#parts;
    // Asked for before this process started, or of another replica.
    if (company.paused_until !== null) limiter.pause(company.realm_id, Math.min(company.paused_until, clock.now() + longestPauseMs));
    await limiter.take(company.realm_id);
    const over = new AbortController();
    const done = new AbortController();
    void clock.sleep(callMs, done.signal).then(() => over.abort());
    try {
      const response = await this.#fetch(company, call, AbortSignal.any([over.signal, stop]));
      const text = await response.text();
      metrics.qboRequests.inc({ operation: call.operation, status: String(response.status) });
      return { status: response.status, retryAfter: response.headers.get("retry-after"), text };
    } catch (error) {
      metrics.qboRequests.inc({ operation: call.operation, status: over.signal.aborted ? "timeout" : "unreachable" });
      throw new QboUnreachable(over.signal.aborted ? `QuickBooks did not answer within ${callMs / 1000} s` : `QuickBooks cannot be reached: ${reason(error)}`, { cause: error });
    } finally {
      done.abort();
    }
  }

  #fetch(company: QboConnection, call: QboCall, signal: AbortSignal): Promise<Response> {
    const { config, fetch } = this.#parts;
    const query = new URLSearchParams({ ...call.query, minorversion: minorVersion });
    return fetch(`${endpoints(config).api}/v3/company/${encodeURIComponent(company.realm_id)}/${call.path}?${query}`, {
      method: call.body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${company.access_token}`, accept: "application/json", ...(call.body === undefined ? {} : { "content-type": "application/json" }) },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      redirect: "error",
      signal,
    });
  }

  #read(call: QboCall, reply: Reply): unknown {
    const { metrics } = this.#parts;
    const ok = reply.status >= 200 && reply.status < 300;
    const body = parseJson(reply.text);
    const fault = faultBody.safeParse(body);
    if (fault.success) {
      if (ok) metrics.qboRequests.inc({ operation: call.operation, status: "fault" });
      const [first] = fault.data.Fault.Error;
      if (reply.status >= 500) throw new QboUnreachable(`QuickBooks answered ${reply.status}: ${first?.Message ?? ""}`, { status: reply.status });
      throw new QboFault(first?.code ?? "", [first?.Message, first?.Detail].filter((t) => t !== undefined && t !== "").join(": "));
    }
    if (!ok || typeof body !== "object" || body === null) throw new QboUnreachable(`QuickBooks answered ${reply.status} without JSON that can be used`, { status: reply.status });
    return body;
  }

  async #throttled(realm: string, reply: Reply): Promise<void> {
    const { limiter, metrics, clock, db, log } = this.#parts;
    metrics.qboRateLimited.inc();
    const until = clock.now() + Math.min(Math.max(throttledMs, askedPause(reply.retryAfter, clock.now())), longestPauseMs);
    limiter.pause(realm, until);
    log.warn({ realm, until: new Date(until).toISOString() }, "QuickBooks limits this company's calls; waiting");
    await db.updateTable("qbo_connections").set({ paused_until: until }).where("realm_id", "=", realm).execute();
  }
}

/** @param retryAfter seconds or an HTTP date, as RFC 9110 allows @returns milliseconds; 0 when nothing can be read from it */
function askedPause(retryAfter: string | null, now: number): number {
  const text = retryAfter?.trim() ?? "";
  const pause = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(pause) ? 0 : pause;
}
