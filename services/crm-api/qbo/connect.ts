/** Connecting a company: off to QuickBooks' authorise page, and back with a code. */
import { createHash, randomBytes } from "node:crypto";
import { conflict, notFound, Refusal } from "../crm/errors.ts";
import type { Changes } from "../crm/unit.ts";
import { connectCompany, replaceTokens, type TokenPair } from "./companies.ts";
import type { QboConfig } from "./config.ts";
import { endpoints, scope } from "./endpoints.ts";
import { QboNotAuthorised, QboUnreachable } from "./errors.ts";
import type { Tokens } from "./tokens.ts";

/** A person has this long on the authorise page. */
const stateMs = 15 * 60_000;

const hashOf = (state: string): string => createHash("sha256").update(state).digest("hex");

/**
 * @param orgId whose company it is; default: the organisation whose id comes first
 * @returns the address of the authorise page, with a state that is good once
 * @throws Refusal 404 when there is no such organisation
 */
export async function authoriseUrl(changes: Changes, config: QboConfig, orgId: string | undefined): Promise<string> {
  const { db } = changes.store;
  const orgs = db.selectFrom("orgs").select("id").orderBy("id").limit(1);
  const org = await (orgId === undefined ? orgs : orgs.where("id", "=", orgId)).executeTakeFirst();
  if (org === undefined) throw notFound("organisation", "org_id");
  const state = randomBytes(32).toString("base64url");
  const now = changes.clock.now();
  await db.deleteFrom("qbo_states").where("expires_at", "<", now).execute();
  await db.insertInto("qbo_states").values({ state_hash: hashOf(state), org_id: org.id, expires_at: now + stateMs }).execute();
  const query = new URLSearchParams({ client_id: config.clientId, response_type: "code", scope, redirect_uri: config.redirectUrl, state });
  return `${endpoints(config).authorise}?${query}`;
}

export interface Callback {
  readonly state: string;
  readonly code?: string | undefined;
  readonly realmId?: string | undefined;
  /** What the authorise page says when the person refused. */
  readonly error?: string | undefined;
}

/**
 * Takes the person's answer; the tokens are stored before anything but a look at the company uses them.
 * @throws Refusal 400 for a state that is unknown, used or too old, or a code or company that is refused; 409 for a company
 *   of another organisation; 502 when QuickBooks does not answer
 */
export async function finishConnection(changes: Changes, tokens: Tokens, answer: Callback): Promise<{ org_id: string; realm_id: string }> {
  const { db } = changes.store;
  const state = await db.deleteFrom("qbo_states").where("state_hash", "=", hashOf(answer.state)).returning(["org_id", "expires_at"]).executeTakeFirst();
  if (state === undefined || state.expires_at < changes.clock.now()) throw new Refusal(400, "invalid", "is unknown, used or too old: open /qbo/connect again", "state");
  if (answer.error !== undefined) throw new Refusal(400, "refused", "QuickBooks says that the connection was not allowed: open /qbo/connect to try again", "error");
  if (answer.code === undefined) throw new Refusal(400, "invalid", "is required", "code");
  if (answer.realmId === undefined) throw new Refusal(400, "invalid", "is required", "realmId");
  const pair = await tokens.exchange(answer.code).catch((error: unknown) => {
    if (error instanceof QboNotAuthorised) throw new Refusal(400, "refused", "is not accepted by QuickBooks: open /qbo/connect again", "code");
    if (error instanceof QboUnreachable) throw new Refusal(502, "quickbooks_unavailable", error.message);
    throw error;
  });
  // The code says nothing of the company, so that only QuickBooks can tell whether the address was altered on the way.
  if ((await tokens.access(answer.realmId, pair.accessToken)) === "refused") {
    await keepConnection(changes, tokens, state.org_id, pair);
    throw new Refusal(400, "invalid", "is no company that QuickBooks opens with this answer: open /qbo/connect again", "realmId");
  }
  const connected = await connectCompany(changes, state.org_id, answer.realmId, pair);
  if (!connected) throw conflict("other_organisation", "this company is connected to another organisation", "realmId");
  return { org_id: state.org_id, realm_id: answer.realmId };
}

/** A new consent ends the tokens of the one before: those that it gave serve the organisation's company, if they open it. */
async function keepConnection(changes: Changes, tokens: Tokens, orgId: string, pair: TokenPair): Promise<void> {
  const { db } = changes.store;
  const company = await db.selectFrom("qbo_connections").select(["realm_id", "generation"]).where("org_id", "=", orgId).executeTakeFirst();
  if (company === undefined || (await tokens.access(company.realm_id, pair.accessToken)) !== "opens") return;
  await replaceTokens(db, company.realm_id, company.generation, pair);
}
