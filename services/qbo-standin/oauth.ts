/**
 * OAuth 2.0 as Intuit does it: access tokens of an hour, refresh tokens that are replaced now and then.
 *
 * Intuit's documentation gives a replaced refresh token up to 24 hours more; here it also dies as soon as its successor, or
 * an access token that came with it, is used. So whoever lost an answer can repeat the refresh, and whoever keeps using an
 * old token is found out. Three policies: `daily` replaces a refresh token that is a day old, `always` at each refresh,
 * `strict` as `always` but with the old one dead at once.
 */
import { randomBytes } from "node:crypto";
import type { StandinClock } from "./clock.ts";

export const policies = ["daily", "always", "strict"] as const;
export type Policy = (typeof policies)[number];

const dayMs = 24 * 60 * 60 * 1000;
const codeMs = 10 * 60 * 1000;
const refreshSeconds = 8_726_400;
const hardExpirySeconds = 5 * 365 * 24 * 60 * 60;
const keptAccessTokens = 1_000;

/** What one consent gave: the chain of its refresh tokens. */
interface Grant {
  readonly realm: string;
  refreshToken: string;
  issuedAt: number;
  previous: { readonly token: string; readonly diesAt: number } | undefined;
}

export interface TokenAnswer {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: "bearer";
  readonly expires_in: number;
  readonly x_refresh_token_expires_in: number;
  readonly x_refresh_token_hard_expires_in: number;
}

const newToken = (kind: string): string => `${kind}${randomBytes(24).toString("base64url")}`;

export class Oauth {
  policy: Policy = "daily";
  refreshes = 0;
  readonly #clock: StandinClock;
  readonly #accessSeconds: number;
  readonly #codes = new Map<string, { readonly realm: string; readonly redirectUri: string; readonly expiresAt: number }>();
  readonly #grants: Grant[] = [];
  readonly #access = new Map<string, { readonly grant: Grant; readonly expiresAt: number; readonly refreshToken: string }>();

  constructor(clock: StandinClock, accessSeconds: number) {
    this.#clock = clock;
    this.#accessSeconds = accessSeconds;
  }

  issueCode(realm: string, redirectUri: string): string {
    const code = newToken("AB");
    this.#codes.set(code, { realm, redirectUri, expiresAt: this.#clock.now() + codeMs });
    return code;
  }

  /** @returns undefined for a code that is unknown, used, too old or meant for another address */
  redeem(code: string, redirectUri: string): TokenAnswer | undefined {
    const known = this.#codes.get(code);
    this.#codes.delete(code);
    if (known === undefined || known.redirectUri !== redirectUri || known.expiresAt < this.#clock.now()) return undefined;
    // A new consent ends what the one before gave.
    this.revoke(known.realm);
    const grant: Grant = { realm: known.realm, refreshToken: newToken("RT1-"), issuedAt: this.#clock.now(), previous: undefined };
    this.#grants.push(grant);
    return this.#answer(grant);
  }

  /** @returns undefined for a refresh token that is unknown or dead */
  refresh(token: string): TokenAnswer | undefined {
    const now = this.#clock.now();
    const grant = this.#grants.find((g) => g.refreshToken === token || (g.previous?.token === token && g.previous.diesAt > now));
    if (grant === undefined) return undefined;
    this.refreshes++;
    if (grant.refreshToken !== token) return this.#answer(grant);
    grant.previous = undefined;
    if (this.policy !== "daily" || now - grant.issuedAt > dayMs) {
      if (this.policy !== "strict") grant.previous = { token, diesAt: now + dayMs };
      grant.refreshToken = newToken("RT1-");
      grant.issuedAt = now;
    }
    return this.#answer(grant);
  }

  /** Whether an access token opens a company's data now. */
  admits(token: string, realm: string): boolean {
    const known = this.#access.get(token);
    if (known === undefined || known.grant.realm !== realm || known.expiresAt <= this.#clock.now()) return false;
    // The successor has arrived: the old refresh token is no longer needed.
    if (known.refreshToken === known.grant.refreshToken) known.grant.previous = undefined;
    return true;
  }

  /** Ends all access tokens, as if their time were over. */
  expireAccess(): void {
    this.#access.clear();
  }

  /** Ends all tokens of a company. */
  revoke(realm: string): void {
    for (const grant of this.#grants.filter((g) => g.realm === realm)) {
      this.#grants.splice(this.#grants.indexOf(grant), 1);
      for (const [token, access] of this.#access) if (access.grant === grant) this.#access.delete(token);
    }
  }

  #answer(grant: Grant): TokenAnswer {
    const token = newToken("AT");
    this.#access.set(token, { grant, expiresAt: this.#clock.now() + this.#accessSeconds * 1000, refreshToken: grant.refreshToken });
    const [oldest] = this.#access.keys();
    if (this.#access.size > keptAccessTokens && oldest !== undefined) this.#access.delete(oldest);
    return {
      access_token: token,
      refresh_token: grant.refreshToken,
      token_type: "bearer",
      expires_in: this.#accessSeconds,
      x_refresh_token_expires_in: refreshSeconds,
      x_refresh_token_hard_expires_in: hardExpirySeconds,
    };
  }
}
