/**
 * What the ledger says: sums since the beginning, and sums of any window. Sums of cents leave the database as text: one
 * beyond 2^53, which both drivers refuse as a number, loses its last digit here and does not take all metrics with it.
 */
import type { Db } from "../store/store.ts";
import type { LedgerKind } from "../store/tables.ts";
import type { Window } from "./window.ts";

/** Count and amount of one kind of fact of one organisation. */
export interface Sum {
  readonly orgId: string;
  readonly kind: LedgerKind;
  readonly count: number;
  readonly amountCents: number;
  /** When the organisation was added, milliseconds. */
  readonly orgSince: number;
}

/** Sums since the beginning; every known organisation has every kind, from 0 on. */
export async function totals(db: Db): Promise<Sum[]> {
  const rows = await db
    .selectFrom("totals")
    .innerJoin("orgs", "orgs.id", "totals.org_id")
    .select((eb) => ["org_id", "kind", "count", eb.cast<string>("amount_cents", "text").as("cents"), "orgs.created_at"])
    .orderBy("org_id")
    .execute();
  return rows.map((r) => ({ orgId: r.org_id, kind: r.kind, count: r.count, amountCents: Number(r.cents), orgSince: r.created_at }));
}

/** One organisation's business in a window. */
export interface WindowSums {
  readonly org_id: string;
  readonly invoices_created: number;
  readonly invoices_paid: number;
  readonly revenue_cents: number;
}

/** Exact sums of a window, a row for every known organisation, sorted by its id. */
export async function windowSums(db: Db, window: Window): Promise<WindowSums[]> {
  const orgs = await db.selectFrom("orgs").select("id").orderBy("id").execute();
  const rows = await db
    .selectFrom("ledger")
    .select((eb) => ["org_id", "kind", eb.fn.sum<number>("count").as("count"), eb.cast<string>(eb.fn.sum("amount_cents"), "text").as("cents")])
    .where("at", ">", window.from)
    .where("at", "<=", window.to)
    .where("kind", "in", ["invoice_created", "invoice_paid", "payment"])
    .groupBy(["org_id", "kind"])
    .execute();
  const sums = new Map(rows.map((r) => [JSON.stringify([r.org_id, r.kind]), r]));
  const sum = (org: string, kind: LedgerKind) => sums.get(JSON.stringify([org, kind]));
  return orgs.map(({ id }) => ({
    org_id: id,
    invoices_created: sum(id, "invoice_created")?.count ?? 0,
    invoices_paid: sum(id, "invoice_paid")?.count ?? 0,
    revenue_cents: Number(sum(id, "payment")?.cents ?? 0),
  }));
}
