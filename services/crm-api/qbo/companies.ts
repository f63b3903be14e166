/** The connected companies, as stored. */
import type { Changes } from "../crm/unit.ts";
import type { Db } from "../store/store.ts";
import type { QboConnection } from "../store/tables.ts";

/** A pair of tokens as QuickBooks gives it, with its life times turned into times. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Milliseconds since 1970. */
  readonly accessExpiresAt: number;
  readonly refreshExpiresAt: number;
  readonly issuedAt: number;
}

const tokenColumns = (pair: TokenPair) => ({
  access_token: pair.accessToken,
  refresh_token: pair.refreshToken,
  access_expires_at: pair.accessExpiresAt,
  refresh_expires_at: pair.refreshExpiresAt,
  refreshed_at: pair.issuedAt,
});

export const findCompany = (db: Db, realm: string): Promise<QboConnection | undefined> =>
  db.selectFrom("qbo_connections").selectAll().where("realm_id", "=", realm).executeTakeFirst();

export const listCompanies = (db: Db): Promise<QboConnection[]> => db.selectFrom("qbo_connections").selectAll().orderBy("org_id").execute();

/**
 * Stores a company's first tokens, or fresh ones after a person allowed it again. Another company of the same organisation
 * is given up; what is known of the same one stays, so that the time in between is caught up and no history counts twice.
 * @returns false when the company belongs to another organisation
 */
export function connectCompany(changes: Changes, orgId: string, realm: string, pair: TokenPair): Promise<boolean> {
  return changes.commit(async (u) => {
    const known = await findCompany(u.tx, realm);
    if (known !== undefined && known.org_id !== orgId) return false;
    const fresh = { ...tokenColumns(pair), state: "connected" as const, problem: null, paused_until: null, sync_requested_at: u.at };
    if (known !== undefined) {
      await u.tx.updateTable("qbo_connections").set((eb) => ({ ...fresh, generation: eb("generation", "+", 1) })).where("realm_id", "=", realm).execute();
    } else {
      await u.tx.deleteFrom("qbo_connections").where("org_id", "=", orgId).execute();
      const unknown = { baseline_at: null, imported_at: null, cursor_at: null, last_sync_at: null, home_currency: null };
      await u.tx.insertInto("qbo_connections").values({ ...fresh, ...unknown, realm_id: realm, org_id: orgId, generation: 1, connected_at: u.at }).execute();
    }
    u.emit({ type: "qbo.connected", orgId, aggregate: { type: "org", id: orgId }, data: { realm_id: realm } });
    return true;
  });
}

/** Stores a refreshed pair over the one it came from. @returns false when that one is no longer the stored one */
export async function replaceTokens(db: Db, realm: string, generation: number, pair: TokenPair): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable("qbo_connections")
    .set({ ...tokenColumns(pair), generation: generation + 1, state: "connected", problem: null })
    .where("realm_id", "=", realm)
    .where("generation", "=", generation)
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Notes that a company has to be connected again. @returns false when other tokens were stored in the meantime */
export async function markUnauthorised(changes: Changes, company: QboConnection, problem: string): Promise<boolean> {
  return changes.commit(async (u) => {
    const { numUpdatedRows } = await u.tx
      .updateTable("qbo_connections")
      // The refresh token is dead now, whatever its life time was: its expiry says so to whoever watches it.
      .set({ state: "reauthorise", problem, refresh_expires_at: u.at, access_expires_at: u.at })
      .where("realm_id", "=", company.realm_id)
      .where("generation", "=", company.generation)
      .executeTakeFirstOrThrow();
    if (numUpdatedRows !== 1n) return false;
    u.emit({ type: "qbo.reauthorisation_needed", orgId: company.org_id, aggregate: { type: "org", id: company.org_id }, data: { realm_id: company.realm_id } });
    return true;
  });
}
