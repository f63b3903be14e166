/**
 * Keeps access tokens usable.
 *
 * A refresh may bring a new refresh token and the end of the old one, so: one refresher at a time over all replicas, the
 * new pair is stored before anybody uses it, and a pair that was stored by somebody else in the meantime wins. QuickBooks
 * keeps an old refresh token until the new one is used (for a day at most), which covers a crash between the answer and
 * the store: the next refresh repeats with the old one.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Changes } from "../crm/unit.ts";
import type { Logger } from "../../shared/log.ts";
import type { Metrics } from "../metrics.ts";
import { createLease } from "../store/lease.ts";
import type { QboConnection } from "../store/tables.ts";
import { findCompany, markUnauthorised, replaceTokens, type TokenPair } from "./companies.ts";
import type { Fetch, QboConfig } from "./config.ts";
import { endpoints, minorVersion } from "./endpoints.ts";
import { QboNotAuthorised, QboUnreachable } from "./errors.ts";

/** What an access token is to a company: QuickBooks gives it the company's data, refuses them, or did not say. */
export type Access = "opens" | "refused" | "unknown";

/** A token that is about to run out is renewed before its use. */
const marginMs = 120_000;
const callMs = 20_000;
/** A person waits for it. */
const accessMs = 10_000;
const leaseMs = 60_000;
const waitStepMs = 200;

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1),
  expires_in: z.number().positive(),
  x_refresh_token_expires_in: z.number().positive(),
  /** Since 2025 a refresh token ends five years after its grant, however often it is renewed. */
  x_refresh_token_hard_expires_in: z.number().positive().optional(),
});

export interface TokenParts {
  readonly config: QboConfig;
  readonly changes: Changes;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Unique to this process. */
  readonly holder: string;
}

export class Tokens {
  readonly #parts: TokenParts;
  readonly #renewals = new Map<string, Promise<QboConnection>>();

  constructor(parts: TokenParts) {
    this.#parts = parts;
    for (const result of ["ok", "invalid_grant", "failed"]) parts.metrics.qboTokenRefreshes.inc({ result }, 0);
  }

  /**
   * A company with an access token that is good now.
   * @throws QboNotAuthorised when a person has to connect it again; QboUnreachable when it cannot be renewed now
   */
  async usable(realm: string): Promise<QboConnection> {
    const company = await this.#connected(realm);
    return company.access_expires_at - this.#parts.clock.now() > marginMs ? company : this.renew(realm, company.generation);
  }

  /**
   * A company with newer tokens than those of `generation`, which QuickBooks refused. Concurrent callers share one refresh.
   * @throws as `usable`
   */
  renew(realm: string, generation: number): Promise<QboConnection> {
    const running = this.#renewals.get(realm);
    if (running !== undefined) return running;
    const renewal = this.#renew(realm, generation).finally(() => this.#renewals.delete(realm));
    this.#renewals.set(realm, renewal);
    return renewal;
  }

  /** Turns the code of the authorise page into the first tokens. @throws QboNotAuthorised when it is refused, QboUnreachable */
  exchange(code: string): Promise<TokenPair> {
    return this.#ask({ grant_type: "authorization_code", code, redirect_uri: this.#parts.config.redirectUrl });
  }

  /** Whether QuickBooks gives a company's data to an access token that is not stored yet; asked once, and never throws. */
  async access(realm: string, accessToken: string): Promise<Access> {
    const { config, fetch, metrics, log } = this.#parts;
    const operation = "companyinfo";
    const id = encodeURIComponent(realm);
    try {
      const response = await fetch(`${endpoints(config).api}/v3/company/${id}/companyinfo/${id}?minorversion=${minorVersion}`, {
        headers: { authorization: `Bearer ${accessToken}`, accept: "application/json" },
        redirect: "error",
        signal: AbortSignal.timeout(accessMs),
      });
      metrics.qboRequests.inc({ operation, status: String(response.status) });
      await response.body?.cancel().catch(() => undefined);
      if (response.status === 401 || response.status === 403) return "refused";
      return response.ok ? "opens" : "unknown";
    } catch (error) {
      metrics.qboRequests.inc({ operation, status: "unreachable" });
      log.warn({ reason: reason(error), realm }, "QuickBooks does not say whether it opens this company");
      return "unknown";
    }
  }

  /** @throws QboUnreachable that names the variable when the client's secret cannot be read now, and no token be asked for */
  requireSecret(): string {
    try {
      return this.#parts.config.clientSecret();
    } catch (error) {
      throw new QboUnreachable("there is no client secret: set QBO_CLIENT_SECRET_FILE to a file that holds it", { cause: error });
    }
  }

  async #connected(realm: string): Promise<QboConnection> {
    const company = await findCompany(this.#parts.changes.store.db, realm);
    if (company === undefined || company.state !== "connected") throw new QboNotAuthorised("this company has to be connected again: open /qbo/connect");
    return company;
  }

  async #renew(realm: string, generation: number): Promise<QboConnection> {
    const { changes, clock, holder } = this.#parts;
    const lease = createLease(changes.store, `qbo-refresh:${realm}`, holder, leaseMs);
    for (const giveUp = clock.now() + 2 * leaseMs; !(await lease.hold()); await clock.sleep(waitStepMs)) {
      const company = await this.#connected(realm);
      if (company.generation > generation) return company;
      if (clock.now() > giveUp) throw new QboUnreachable("another replica does not finish refreshing the tokens");
    }
    try {
      const company = await this.#connected(realm);
      return company.generation > generation ? company : await this.#refresh(company);
    } finally {
      await lease.release().catch(() => undefined);
    }
  }

  async #refresh(company: QboConnection): Promise<QboConnection> {
    const { changes, metrics, log } = this.#parts;
    let pair: TokenPair;
    try {
      pair = await this.#ask({ grant_type: "refresh_token", refresh_token: company.refresh_token });
    } catch (error) {
      if (!(error instanceof QboNotAuthorised)) {
        metrics.qboTokenRefreshes.inc({ result: "failed" });
        throw error;
      }
      metrics.qboTokenRefreshes.inc({ result: "invalid_grant" });
      const dead = await markUnauthorised(changes, company, "QuickBooks no longer accepts the refresh token");
      if (!dead) return this.#connected(company.realm_id);
      log.error({ realm: company.realm_id, org_id: company.org_id }, "QuickBooks no longer accepts the refresh token; nothing is sent until a person opens /qbo/connect");
      throw error;
    }
    await this.#store(company, pair);
    metrics.qboTokenRefreshes.inc({ result: "ok" });
    return this.#connected(company.realm_id);
  }

  /** Repeats until it is stored: this process has the only copy of the pair. */
  async #store(company: QboConnection, pair: TokenPair): Promise<void> {
    const { changes, clock, log } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      try {
        await replaceTokens(changes.store.db, company.realm_id, company.generation, pair);
        return;
      } catch (error) {
        if (attempt === 60) throw error;
        log.error({ err: error, realm: company.realm_id, attempt }, "cannot store the new tokens; trying again");
        await clock.sleep(Math.min(5_000, 100 * 2 ** attempt));
      }
    }
  }

  async #ask(form: Record<string, string>): Promise<TokenPair> {
    const { clock } = this.#parts;
    const response = await this.#post(form);
    const text = await response.text().catch(() => "");
    const now = clock.now();
    const body = parseJson(text);
    this.#checkRefusal(body, form["grant_type"] === "authorization_code" && response.status === 400);
    const answer = tokenAnswer.safeParse(body);
    if (!response.ok || !answer.success) throw new QboUnreachable(`the token endpoint answered ${response.status} without tokens`);
    const { access_token, refresh_token, expires_in, x_refresh_token_expires_in, x_refresh_token_hard_expires_in } = answer.data;
    const refreshSeconds = Math.min(x_refresh_token_expires_in, x_refresh_token_hard_expires_in ?? Number.POSITIVE_INFINITY);
    return { accessToken: access_token, refreshToken: refresh_token, accessExpiresAt: now + expires_in * 1000, refreshExpiresAt: now + refreshSeconds * 1000, issuedAt: now };
  }

  /** @param codeRefused whether a code was asked with and refused, in whatever words */
  #checkRefusal(body: unknown, codeRefused: boolean): void {
    const refused = z.object({ error: z.string() }).safeParse(body);
    if (!refused.success) return;
    const { error } = refused.data;
    if (error === "invalid_grant" || codeRefused) throw new QboNotAuthorised(`QuickBooks refused the grant: ${error.slice(0, 100)}`);
    if (error !== "invalid_client") return;
    const { clientId } = this.#parts.config;
    throw new QboUnreachable(`QuickBooks does not know client ${clientId} with this secret: correct QBO_CLIENT_ID and the file of QBO_CLIENT_SECRET_FILE`);
  }

  async #post(form: Record<string, string>): Promise<Response> {
    const { config, fetch } = this.#parts;
    const secret = Buffer.from(`${config.clientId}:${this.requireSecret()}`).toString("base64");
    try {
      return await fetch(endpoints(config).token, {
        method: "POST",
        headers: { authorization: `Basic ${secret}`, accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams(form).toString(),
        redirect: "error",
        signal: AbortSignal.timeout(callMs),
      });
    } catch (error) {
      throw new QboUnreachable(`the token endpoint cannot be reached: ${reason(error)}`, { cause: error });
    }
  }
}

/** @returns undefined when it is no JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const reason = (error: unknown): string => (error instanceof Error ? (error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message) : String(error));
