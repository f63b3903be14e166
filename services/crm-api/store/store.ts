/** What both databases offer to the rest of the service: one query layer, transactions, row locks and a clock. */
import { sql, type Kysely, type RawBuilder, type SelectQueryBuilder, type Transaction } from "kysely";
import type pg from "pg";
import { migrate } from "./migrations.ts";
import { openPool, openPostgres, type PostgresOptions } from "./postgres.ts";
import { openSqlite, orDamaged } from "./sqlite.ts";
import type { Tables } from "./tables.ts";

export type Db = Kysely<Tables> | Transaction<Tables>;

export interface Store {
  readonly kind: "embedded" | "postgres";
  readonly db: Kysely<Tables>;
  /** The database's own clock in milliseconds, for leases that several replicas compare. */
  readonly clock: RawBuilder<number>;
  /** Locks the selected rows until the transaction ends; a transaction on the embedded file is alone anyway. */
  lockRows<T extends keyof Tables, O>(query: SelectQueryBuilder<Tables, T, O>, skipLocked?: boolean): SelectQueryBuilder<Tables, T, O>;
  /**
   * Runs `work` in one transaction, again when the database broke it off to resolve a deadlock.
   * @throws whatever `work` throws, after a rollback
   */
  transaction<T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T>;
  /** Calls back when any process says `announce`; the embedded store hears its own process only. */
  listen(channel: string, heard: () => void): Promise<() => Promise<void>>;
  /** Part of a transaction: tells listeners of every process once it commits. */
  announce(tx: Transaction<Tables>, channel: string): Promise<void>;
  close(): Promise<void>;
}

const deadlock = "40P01";
const serialization = "40001";

async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 4; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (left === 0 || (code !== deadlock && code !== serialization)) throw error;
    }
  }
}

/**
 * Opens the embedded store and brings its tables up to date.
 * @param path of the file, or `:memory:`
 * @throws StoreInUse when another process has it; Error when it is damaged, cannot be opened or was written by a newer version
 */
export async function openEmbeddedStore(path: string): Promise<Store> {
  const db = openSqlite(path);
  try {
    await migrate(db, "embedded");
  } catch (error) {
    await db.destroy().catch(() => undefined);
    throw orDamaged(path, error);
  }
  return {
    kind: "embedded",
    db,
    clock: sql<number>`cast(unixepoch('subsec') * 1000 as integer)`,
    lockRows: (query) => query,
    transaction: (work) => db.transaction().execute(work),
    // The process that writes is the process that reads: callers wake each other directly.
    listen: async () => async () => undefined,
    announce: async () => undefined,
    close: () => db.destroy(),
  };
}

/** Channels are our own constants, never input; LISTEN takes no parameters. A broken connection is made again. */
async function listen(pool: pg.Pool, channel: string, heard: () => void): Promise<() => Promise<void>> {
  let give: () => void = () => undefined;
  let stopped = false;
  const again = () => void setTimeout(connect, 1_000).unref();
  async function connect(): Promise<void> {
    if (stopped) return;
    try {
      const client = await pool.connect();
      let given = false;
      give = () => {
        if (!given) client.release(true);
        given = true;
      };
      client.on("notification", heard).on("error", () => {
        give();
        again();
      });
      await client.query(`listen ${channel}`);
    } catch {
      give();
      again();
    }
  }
  await connect();
  return async () => {
    stopped = true;
    give();
  };
}

/**
 * Connects to PostgreSQL and brings its tables up to date; several replicas may start at once.
 * @param onError called when a connection breaks; the pool replaces it by itself
 * @throws Error of the server or the network
 */
export async function openPostgresStore(options: PostgresOptions, onError: (error: Error) => void): Promise<Store> {
  const pool = openPool(options, onError);
  const db = openPostgres(pool);
  try {
    await migrate(db, "postgres");
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return {
    kind: "postgres",
    db,
    clock: sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`,
    lockRows: (query, skipLocked = false) => (skipLocked ? query.forUpdate().skipLocked() : query.forUpdate()),
    transaction: (work) => retried(() => db.transaction().execute(work)),
    listen: (channel, heard) => listen(pool, channel, heard),
    announce: async (tx, channel) => void (await sql`select pg_notify(${channel}, '')`.execute(tx)),
    close: () => db.destroy(),
  };
}
