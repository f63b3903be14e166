/** The store on PostgreSQL, for more than one replica. */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Tables } from "./tables.ts";

/** How to reach the database. */
export interface PostgresOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked at each connection, so that a swapped password needs no restart; absent for a server that asks for none. */
  readonly password?: () => string;
  /** True verifies the server's certificate. */
  readonly tls: boolean;
  /** Certificate authority, PEM; default: those that Node trusts. */
  readonly ca?: string;
}

const int8 = 20;
const numeric = 1700;

/** Sums and 64-bit integers as numbers; none of ours leaves the safe range, and one that did must not be rounded silently. */
function exactNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("a number from the database is outside the range that can be represented exactly");
  return value;
}

function getTypeParser(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  return oid === int8 || oid === numeric ? exactNumber : (pg.types.getTypeParser(oid, format as "text") as (value: string) => unknown);
}

/**
 * A pool of at most ten connections; none is opened before the first query.
 * @param onError called when a connection breaks; the pool replaces it by itself
 */
export function openPool(options: PostgresOptions, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    ...(options.password === undefined ? {} : { password: options.password }),
    ssl: options.tls ? { rejectUnauthorized: true, ...(options.ca === undefined ? {} : { ca: options.ca }) } : false,
    application_name: "crm-api",
    max: 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: 15_000,
    idle_in_transaction_session_timeout: 15_000,
    types: { getTypeParser: getTypeParser as typeof pg.types.getTypeParser },
  });
  // The pool hears of idle connections only; one that breaks while it is in use would end the process.
  pool.on("connect", (client) => void client.on("error", onError));
  pool.on("error", () => undefined);
  return pool;
}

export const openPostgres = (pool: pg.Pool): Kysely<Tables> => new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
