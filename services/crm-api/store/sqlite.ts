/** The embedded store: one SQLite file, one process. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Kysely, SqliteAdapter, SqliteDialect, SqliteDriver, type DatabaseConnection, type Driver, type SqliteDatabase, type SqliteStatement } from "kysely";
import type { Tables } from "./tables.ts";

/** Prepared statements kept; the service has well under a hundred, lists of ids apart. */
const cachedStatements = 200;

type Value = null | number | bigint | string | Uint8Array;

/** Another process has the file. */
export class StoreInUse extends Error {
  override readonly name = "StoreInUse";
}

/** `node:sqlite` in the form that kysely's dialect asks for. */
function adapt(database: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>();
  const prepare = (sql: string): SqliteStatement => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const oldest = statements.keys().next();
    if (statements.size >= cachedStatements && oldest.done !== true) statements.delete(oldest.value);
    const statement = adaptStatement(database.prepare(sql));
    statements.set(sql, statement);
    return statement;
  };
  return { prepare, close: () => database.close() };
}

const adaptStatement = (statement: StatementSync): SqliteStatement => ({
  reader: statement.columns().length > 0,
  all: (parameters) => statement.all(...(parameters as Value[])),
  run: (parameters) => statement.run(...(parameters as Value[])),
  iterate: (parameters) => statement.iterate(...(parameters as Value[])),
});

/** SQLite rolls back schema changes too, so a migration that is interrupted leaves nothing behind. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** A full disk makes SQLite roll back by itself; a second rollback would hide that error behind its own. */
class EmbeddedDriver extends SqliteDriver {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super({ database: adapt(database) });
    this.#database = database;
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isTransaction) await super.rollbackTransaction(connection);
  }
}

class EmbeddedDialect extends SqliteDialect {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super({ database: adapt(database) });
    this.#database = database;
  }

  override createDriver(): Driver {
    return new EmbeddedDriver(this.#database);
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalDdlAdapter();
  }
}

function openFile(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // The exclusive mode keeps the file's lock from the first transaction until the process ends, even by SIGKILL.
    database.exec("pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; begin immediate; commit");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLite's words for a file that is no database, or one whose pages contradict each other. */
const damage = new Set<unknown>([11, 26]);

/** @returns an error that says so when SQLite found the file damaged, else the one given */
export function orDamaged(path: string, error: unknown): unknown {
  const found = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(found instanceof Error && "errcode" in found && typeof found.errcode === "number" && damage.has(found.errcode & 0xff))) return error;
  return new Error(`the embedded store ${path} is damaged (${found.message}): restore it from a copy`, { cause: error });
}

const isLocked = (error: unknown): boolean => error instanceof Error && "errcode" in error && (error.errcode === 5 || error.errcode === 261);

/**
 * Opens the file, or creates it; every commit is on disk when it returns.
 * @param path of the file; `:memory:` for tests
 * @throws StoreInUse when another process has it open
 * @throws Error with SQLite's reason when it is damaged, or cannot be opened or written
 */
export function openSqlite(path: string): Kysely<Tables> {
  let database: DatabaseSync;
  try {
    database = openFile(path);
  } catch (error) {
    if (isLocked(error)) throw new StoreInUse(`${path} is in use by another process: the embedded store takes one only; set PG_HOST to run several replicas`);
    const damaged = orDamaged(path, error);
    if (damaged !== error) throw damaged;
    throw new Error(`cannot open the embedded store ${path}: ${error instanceof Error ? error.message : String(error)}; check that DATA_DIR exists and that this process may write there`, { cause: error });
  }
  return new Kysely<Tables>({ dialect: new EmbeddedDialect(database) });
}
