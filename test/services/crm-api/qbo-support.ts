/** What the tests of the QuickBooks side share: one service beside a stand-in, ended after each test. */
import { afterEach, expect } from "vitest";
import { eventually, startTestQbo, type TestQbo } from "./support.ts";

export let t: TestQbo;
afterEach(() => t.close());

type Options = Parameters<typeof startTestQbo>[0];

export async function started(options: Options = {}): Promise<void> {
  t = await startTestQbo(options);
}

export async function connected(options: Options = {}, seed?: object): Promise<void> {
  await started(options);
  if (seed !== undefined) await t.control("POST", "/seed", seed);
  expect((await t.connect()).status).toBe(200);
  await t.settled();
}

export const count = (name: string) => t.metric(`${name}{org_id="acme"}`);
export const books = () => t.control("GET", "/companies/-");
export const invoices = async () => (await t.get("/invoices?org_id=acme&limit=500")).body.invoices;
export const business = async () => [await count("crm_invoices_generated_total"), await count("crm_invoices_paid_total"), await count("crm_invoice_payments_cents_total")];

export async function synchronise(): Promise<void> {
  expect((await t.post("/qbo/sync")).status).toBe(202);
  await eventually(async () => (await t.store.db.selectFrom("qbo_connections").select("sync_requested_at").executeTakeFirst())?.sync_requested_at === null);
}

/** Counters against the rows that they count. */
export async function expectToTheCent(): Promise<void> {
  const rows = await t.store.db.selectFrom("invoices").selectAll().where("imported", "=", 0).execute();
  const payments = await t.store.db.selectFrom("payments").selectAll().where("imported", "=", 0).execute();
  expect(await business()).toEqual([rows.length, rows.filter((i) => i.first_paid_at !== null).length, payments.reduce((sum, p) => sum + p.amount_cents, 0)]);
}
