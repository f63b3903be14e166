/** The tables' history. A migration that was released is never edited; a change is a new one at the end. */
import { sql, type CreateTableBuilder, type Kysely } from "kysely";
import { Migrator, type Migration } from "kysely/migration";
import type { Tables } from "./tables.ts";

type Kind = "embedded" | "postgres";

/** A key that the database counts up; never used twice, even after deletions. */
function withSequence<T extends string>(table: CreateTableBuilder<T>, kind: Kind): CreateTableBuilder<T, "seq"> {
  return kind === "postgres"
    ? table.addColumn("seq", "bigint", (c) => c.generatedAlwaysAsIdentity().primaryKey())
    : table.addColumn("seq", "integer", (c) => c.primaryKey().autoIncrement());
}

async function createCrm(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("orgs")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("leads")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull().references("orgs.id"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("email", "text")
    .addColumn("source", "text")
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("proposals")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull().references("orgs.id"))
    .addColumn("lead_id", "text", (c) => c.references("leads.id"))
    .addColumn("title", "text", (c) => c.notNull())
    .addColumn("amount_cents", "bigint", (c) => c.notNull())
    .addColumn("status", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("accepted_at", "bigint")
    .execute();
  for (const table of ["leads", "proposals"]) await db.schema.createIndex(`${table}_by_org`).on(table).columns(["org_id", "id"]).execute();
}

async function createInvoices(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("invoices")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull().references("orgs.id"))
    .addColumn("proposal_id", "text", (c) => c.references("proposals.id"))
    .addColumn("customer", "text", (c) => c.notNull())
    .addColumn("amount_cents", "bigint", (c) => c.notNull().check(sql`amount_cents >= 0`))
    .addColumn("paid_cents", "bigint", (c) => c.notNull().check(sql`paid_cents >= 0`))
    .addColumn("status", "text", (c) => c.notNull())
    .addColumn("due_at", "bigint", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("paid_at", "bigint")
    .addColumn("first_paid_at", "bigint")
    .addColumn("voided_at", "bigint")
    .addColumn("due_state", "text")
    .addColumn("imported", "integer", (c) => c.notNull())
    .addColumn("qbo_realm", "text")
    .addColumn("qbo_id", "text")
    .addColumn("qbo_sync_token", "bigint")
    .addColumn("qbo_updated_at", "bigint")
    .addUniqueConstraint("invoices_qbo", ["qbo_realm", "qbo_id"])
    .execute();
  await db.schema.createIndex("invoices_by_org").on("invoices").columns(["org_id", "id"]).execute();
  await db.schema.createIndex("invoices_to_fall_due").on("invoices").column("due_at").where(sql.ref("due_state"), "is", null).execute();
}

async function createPayments(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("payments")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull().references("orgs.id"))
    .addColumn("invoice_id", "text", (c) => c.references("invoices.id"))
    .addColumn("amount_cents", "bigint", (c) => c.notNull().check(sql`amount_cents >= 0`))
    .addColumn("refunded_cents", "bigint", (c) => c.notNull().check(sql`refunded_cents between 0 and amount_cents`))
    .addColumn("reference", "text")
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("refunded_at", "bigint")
    .addColumn("imported", "integer", (c) => c.notNull())
    .addColumn("qbo_realm", "text")
    .addColumn("qbo_id", "text")
    .addColumn("qbo_sync_token", "bigint")
    .addColumn("qbo_updated_at", "bigint")
    .addUniqueConstraint("payments_qbo", ["qbo_realm", "qbo_id"])
    .execute();
  await db.schema.createIndex("payments_by_org").on("payments").columns(["org_id", "id"]).execute();
  await db.schema.createIndex("payments_by_invoice").on("payments").column("invoice_id").execute();
}

async function createLedger(db: Kysely<any>, kind: Kind): Promise<void> {
  await withSequence(db.schema.createTable("ledger"), kind)
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("count", "bigint", (c) => c.notNull())
    .addColumn("amount_cents", "bigint", (c) => c.notNull())
    .addColumn("at", "bigint", (c) => c.notNull())
    .execute();
  // Holds every column that a window's sum reads, so that the sum never leaves the index.
  await db.schema.createIndex("ledger_window").on("ledger").columns(["at", "kind", "org_id", "count", "amount_cents"]).execute();
  await db.schema
    .createTable("totals")
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("count", "bigint", (c) => c.notNull())
    .addColumn("amount_cents", "bigint", (c) => c.notNull())
    .addPrimaryKeyConstraint("totals_key", ["org_id", "kind"])
    .execute();
}

async function createOutbox(db: Kysely<any>, kind: Kind): Promise<void> {
  await withSequence(db.schema.createTable("outbox"), kind)
    .addColumn("event_id", "text", (c) => c.notNull().unique())
    .addColumn("type", "text", (c) => c.notNull())
    .addColumn("key", "text", (c) => c.notNull())
    .addColumn("value", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("sent_at", "bigint")
    .execute();
  await db.schema.createIndex("outbox_unsent").on("outbox").columns(["seq", "created_at"]).where(sql.ref("sent_at"), "is", null).execute();
  await db.schema.createIndex("outbox_sent").on("outbox").column("sent_at").where(sql.ref("sent_at"), "is not", null).execute();
  await db.schema
    .createTable("leases")
    .addColumn("name", "text", (c) => c.primaryKey())
    .addColumn("holder", "text", (c) => c.notNull())
    .addColumn("until", "bigint", (c) => c.notNull())
    .execute();
}

async function createQboConnections(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("qbo_connections")
    .addColumn("realm_id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull().unique().references("orgs.id"))
    .addColumn("state", "text", (c) => c.notNull())
    .addColumn("access_token", "text", (c) => c.notNull())
    .addColumn("refresh_token", "text", (c) => c.notNull())
    .addColumn("access_expires_at", "bigint", (c) => c.notNull())
    .addColumn("refresh_expires_at", "bigint", (c) => c.notNull())
    .addColumn("generation", "bigint", (c) => c.notNull())
    .addColumn("connected_at", "bigint", (c) => c.notNull())
    .addColumn("baseline_at", "bigint")
    .addColumn("imported_at", "bigint")
    .addColumn("cursor_at", "bigint")
    .addColumn("last_sync_at", "bigint")
    .addColumn("sync_requested_at", "bigint")
    .addColumn("paused_until", "bigint")
    .addColumn("problem", "text")
    .execute();
  await db.schema
    .createTable("qbo_states")
    .addColumn("state_hash", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("expires_at", "bigint", (c) => c.notNull())
    .execute();
}

async function createQboQueues(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("qbo_inbox")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("realm_id", "text", (c) => c.notNull())
    .addColumn("entity", "text", (c) => c.notNull())
    .addColumn("entity_id", "text", (c) => c.notNull())
    .addColumn("operation", "text", (c) => c.notNull())
    .addColumn("received_at", "bigint", (c) => c.notNull())
    .addColumn("processed_at", "bigint")
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("next_attempt_at", "bigint", (c) => c.notNull())
    .addColumn("problem", "text")
    .execute();
  await db.schema.createIndex("qbo_inbox_waiting").on("qbo_inbox").columns(["realm_id", "next_attempt_at"]).where(sql.ref("processed_at"), "is", null).execute();
  await db.schema
    .createTable("qbo_pushes")
    .addColumn("id", "text", (c) => c.primaryKey())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("subject_id", "text", (c) => c.notNull())
    .addColumn("invoice_id", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("done_at", "bigint")
    .addColumn("failed_at", "bigint")
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("next_attempt_at", "bigint", (c) => c.notNull())
    .addColumn("problem", "text")
    .execute();
  await db.schema.createIndex("qbo_pushes_waiting").on("qbo_pushes").columns(["org_id", "id"]).where(sql.ref("done_at"), "is", null).execute();
}

/** Pushes are ordered by the database from here on: ids of replicas whose clocks differ do not sort by time. */
async function orderQboPushes(db: Kysely<any>, kind: Kind): Promise<void> {
  const columns = ["id", "org_id", "kind", "subject_id", "invoice_id", "created_at", "done_at", "failed_at", "attempts", "next_attempt_at", "problem"] as const;
  await withSequence(db.schema.createTable("qbo_ordered_pushes"), kind)
    .addColumn("id", "text", (c) => c.notNull().unique())
    .addColumn("org_id", "text", (c) => c.notNull())
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("subject_id", "text", (c) => c.notNull())
    .addColumn("invoice_id", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .addColumn("done_at", "bigint")
    .addColumn("failed_at", "bigint")
    .addColumn("attempts", "integer", (c) => c.notNull())
    .addColumn("next_attempt_at", "bigint", (c) => c.notNull())
    .addColumn("problem", "text")
    .execute();
  const inOrder = db.selectFrom("qbo_pushes").select([...columns]).orderBy(sql`case when kind = 'invoice.create' then 0 else 1 end`).orderBy("id");
  await db.insertInto("qbo_ordered_pushes").columns([...columns]).expression(inOrder).execute();
  await db.schema.dropTable("qbo_pushes").execute();
  await db.schema.alterTable("qbo_ordered_pushes").renameTo("qbo_pushes").execute();
  await db.schema.createIndex("qbo_pushes_waiting").on("qbo_pushes").columns(["org_id", "seq"]).where(sql.ref("done_at"), "is", null).execute();
}

async function addQboDetails(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable("qbo_connections").addColumn("refreshed_at", "bigint").execute();
  await db.schema.alterTable("qbo_connections").addColumn("home_currency", "text").execute();
  // Intuit's access tokens live for an hour.
  await db.updateTable("qbo_connections").set((eb) => ({ refreshed_at: eb("access_expires_at", "-", 3_600_000) })).execute();
}

async function createIdempotencyKeys(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable("idempotency_keys")
    .addColumn("key", "text", (c) => c.primaryKey())
    .addColumn("request_hash", "text", (c) => c.notNull())
    .addColumn("status", "integer", (c) => c.notNull())
    .addColumn("answer", "text", (c) => c.notNull())
    .addColumn("created_at", "bigint", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("idempotency_keys_by_age").on("idempotency_keys").column("created_at").execute();
}

/** Events are read by the partition for which they have been set aside. */
async function holdOutboxPartitions(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable("outbox").addColumn("held_partition", "integer", (c) => c.notNull().defaultTo(-1)).execute();
  await db.schema.dropIndex("outbox_unsent").execute();
  await db.schema.createIndex("outbox_unsent").on("outbox").columns(["held_partition", "seq", "created_at"]).where(sql.ref("sent_at"), "is", null).execute();
}

const migrations = (kind: Kind): Record<string, Migration> => ({
  "001-initial": {
    up: async (db) => {
      await createCrm(db);
      await createInvoices(db);
      await createPayments(db);
      await createLedger(db, kind);
      await createOutbox(db, kind);
      await createQboConnections(db);
      await createQboQueues(db);
    },
  },
  "002-qbo-order-and-details": {
    up: async (db) => {
      await orderQboPushes(db, kind);
      await addQboDetails(db);
    },
  },
  "003-idempotency-keys": { up: createIdempotencyKeys },
  "004-outbox-partitions": { up: holdOutboxPartitions },
});

/**
 * Brings the tables up to date, in one transaction; replicas that start together wait for each other.
 * @throws Error when a migration fails, or when the store was written by a newer version of this service
 */
export async function migrate(db: Kysely<Tables>, kind: Kind): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations(kind) } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  throw new Error(`cannot bring the store's tables up to date: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
