/** The store on PostgreSQL, for more than one replica. */
import type { Socket } from "node:net";
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

const statementMs = 15_000;

/** What pg's types leave out: the socket, after TLS began the encrypted one, and whether the server owes no answer. */
interface Wire {
  readonly connection: { readonly stream: Socket };
  readonly readyForQuery: boolean;
}

/**
 * Ends a connection whose server owes an answer and says nothing. A host that vanished breaks nothing off, and the limit
 * for statements is the server's own: callers would wait for as long as TCP tries, which is many minutes.
 */
function endWhenSilent(client: pg.PoolClient, silentMs: number): void {
  const wire = client as unknown as Wire;
  const { stream } = wire.connection;
  // Each byte in either direction starts it anew; one that waits for nothing may be silent.
  stream.setTimeout(silentMs).on("timeout", () => {
    if (!wire.readyForQuery) stream.destroy(new Error("Connection terminated: PostgreSQL is silent"));
  });
}

/**
 * A pool of at most ten connections; none is opened before the first query.
 * @param onError called when a connection breaks; the pool replaces it by itself
 * @param silentMs how long an answer may take, in milliseconds; more than a statement may
 */
export function openPool(options: PostgresOptions, onError: (error: Error) => void, silentMs = 2 * statementMs): pg.Pool {
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
    keepAliveInitialDelayMillis: 30_000,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: 15_000,
    types: { getTypeParser: getTypeParser as typeof pg.types.getTypeParser },
  });
  // The pool hears of idle connections only; one that breaks while it is in use would end the process.
  pool.on("connect", (client) => {
    client.on("error", onError);
    endWhenSilent(client, silentMs);
  });
  pool.on("error", () => undefined);
  return pool;
}

export const openPostgres = (pool: pg.Pool): Kysely<Tables> => new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
