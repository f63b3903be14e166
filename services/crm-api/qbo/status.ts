/** The state of the connections, for people and for metrics. Reads the store only. */
import type { Db } from "../store/store.ts";
import { listCompanies } from "./companies.ts";
import type { QboConfig } from "./config.ts";

/** One word for all companies; the worst one's. */
export type QboState = "not_configured" | "not_connected" | "importing" | "connected" | "rate_limited" | "reauthorise" | "unknown";

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** Writes that were given up. */
const failedWrites = (db: Db) => db.selectFrom("qbo_pushes").where("done_at", "is", null).where("failed_at", "is not", null);

async function waiting(db: Db) {
  const inbox = await db.selectFrom("qbo_inbox").select((eb) => ["realm_id", eb.fn.countAll<number>().as("n")]).where("processed_at", "is", null).groupBy("realm_id").execute();
  const pushes = await db.selectFrom("qbo_pushes").select((eb) => ["org_id", eb.fn.countAll<number>().as("n")]).where("done_at", "is", null).where("failed_at", "is", null).groupBy("org_id").execute();
  const failed = await failedWrites(db).select(["org_id", (eb) => eb.fn.countAll<number>().as("n")]).groupBy("org_id").execute();
  const byOrg = (rows: readonly { org_id: string; n: number }[]) => new Map(rows.map((r) => [r.org_id, r.n]));
  return { inbox: new Map(inbox.map((r) => [r.realm_id, r.n])), pushes: byOrg(pushes), failed: byOrg(failed) };
}

async function companies(db: Db, now: number) {
  const { inbox, pushes, failed } = await waiting(db);
  return (await listCompanies(db)).map((c) => {
    const paused = c.paused_until !== null && c.paused_until > now;
    const state: QboState = c.state === "reauthorise" ? "reauthorise" : paused ? "rate_limited" : c.imported_at === null ? "importing" : "connected";
    return {
      org_id: c.org_id,
      realm_id: c.realm_id,
      state,
      connected_at: iso(c.connected_at),
      access_token_expires_at: iso(c.access_expires_at),
      refresh_token_expires_at: iso(c.refresh_expires_at),
      tokens_refreshed_at: iso(c.refreshed_at),
      imported_at: iso(c.imported_at),
      last_sync_at: iso(c.last_sync_at),
      paused_until: paused ? iso(c.paused_until) : null,
      webhook_events_waiting: inbox.get(c.realm_id) ?? 0,
      writes_waiting: pushes.get(c.org_id) ?? 0,
      writes_failed: failed.get(c.org_id) ?? 0,
      problem: c.problem,
    };
  });
}

const severity: readonly QboState[] = ["connected", "importing", "rate_limited", "reauthorise"];

/** Body of `/qbo/status`; never a token. @throws the database's error */
export async function qboStatus(db: Db, config: QboConfig | undefined, now: number) {
  const list = await companies(db, now);
  const worst = list.map((c) => c.state).sort((a, b) => severity.indexOf(b) - severity.indexOf(a))[0];
  const state: QboState = config === undefined ? "not_configured" : (worst ?? "not_connected");
  const environment = config === undefined ? null : config.baseUrl !== undefined ? "stand-in" : config.sandbox ? "sandbox" : "production";
  return { state, environment, connect_path: config === undefined ? null : "/qbo/connect", companies: list };
}

/** Of all companies: whether every one is usable, how many writes were given up, and the earliest of each time, in milliseconds. */
export async function companyTimes(db: Db) {
  const list = await listCompanies(db);
  const { n: writesFailed } = await failedWrites(db).select((eb) => eb.fn.countAll<number>().as("n")).executeTakeFirstOrThrow();
  const earliest = (times: readonly number[]) => (times.length === 0 ? undefined : Math.min(...times));
  return {
    usable: list.length > 0 && list.every((c) => c.state === "connected"),
    writesFailed,
    refreshedAt: earliest(list.flatMap((c) => c.refreshed_at ?? [])),
    accessExpiresAt: earliest(list.map((c) => c.access_expires_at)),
    refreshExpiresAt: earliest(list.map((c) => c.refresh_expires_at)),
    lastSyncAt: earliest(list.map((c) => c.last_sync_at ?? c.connected_at)),
  };
}
