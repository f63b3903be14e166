/** Payments entered here and corrected in QuickBooks, whichever of the two copies, the invoice's or the payment's, comes first. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createInvoice, payInvoice, refundPayment } from "../../../services/crm-api/crm/invoices.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { applyDeletion, applyEntity } from "../../../services/crm-api/qbo/apply.ts";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany, findCompany } from "../../../services/crm-api/qbo/companies.ts";
import { workOffInbox } from "../../../services/crm-api/qbo/inbox.ts";
import { pushLater } from "../../../services/crm-api/qbo/pushes.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import type { QboConnection } from "../../../services/crm-api/store/tables.ts";
import { ManualClock, silent } from "./support.ts";

const realm = "r";
let changes: Changes;
let clock: ManualClock;
let paymentId: string;
/** As QuickBooks has them now: dollars. */
let theirs: { invoice: Record<string, unknown>; payment: Record<string, unknown> };

const client = { call: async (_realm: string, { path }: QboCall) => (path === "invoice/1" ? { Invoice: theirs.invoice } : { Payment: theirs.payment }) } as unknown as QboClient;
const object = (Id: string, SyncToken: number, amounts: object) => {
  const time = new Date(clock.now()).toISOString();
  return { Id, SyncToken: String(SyncToken), MetaData: { CreateTime: time, LastUpdatedTime: time }, ...amounts };
};

beforeEach(async () => {
  clock = new ManualClock();
  changes = new Changes(await openEmbeddedStore(":memory:"), clock);
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
  const later = clock.now() + 3_600_000;
  await connectCompany(changes, "acme", realm, { accessToken: "a", refreshToken: "r", accessExpiresAt: later, refreshExpiresAt: later, issuedAt: clock.now() });
  await changes.store.db.updateTable("qbo_connections").set({ imported_at: 1, baseline_at: 0, cursor_at: 0, home_currency: "USD" }).execute();
  // An invoice of 100 with a payment of 60, both in QuickBooks.
  const invoice = await changes.commit((u) => createInvoice(u, { org_id: "acme", customer: "C", amount_cents: 10_000, due_at: later }));
  paymentId = (await changes.commit((u) => payInvoice(u, invoice.id, { amount_cents: 6_000 }))).payment.id;
  await changes.store.db.updateTable("invoices").set({ qbo_realm: realm, qbo_id: "1", qbo_sync_token: 0, qbo_updated_at: clock.now() }).execute();
  await changes.store.db.updateTable("payments").set({ qbo_realm: realm, qbo_id: "2", qbo_sync_token: 0, qbo_updated_at: clock.now() }).execute();
});
afterEach(() => changes.store.close());

const company = async (): Promise<QboConnection> => (await findCompany(changes.store.db, realm))!;
const take = async (entity: "Invoice" | "Payment") => {
  const known = await company();
  await changes.commit((u) => applyEntity(u, known, entity, entity === "Invoice" ? theirs.invoice : theirs.payment));
};
const orders = [["Invoice", "Payment"], ["Payment", "Invoice"]] as const;

/** A correction in QuickBooks: both objects get a new date, the payment a new version; then both are looked at, and what that asks for. */
async function correct(order: readonly ("Invoice" | "Payment")[], version: number, balance: number, payment: object): Promise<void> {
  await clock.advance(5_000);
  theirs = { invoice: object("1", 0, { TotalAmt: 100, Balance: balance }), payment: object("2", version, payment) };
  for (const entity of order) await take(entity);
  await workOffInbox(changes, client, await company(), silent);
}

async function state(): Promise<{ paid: number; status: string; revenue: number; refunds: number }> {
  const { paid_cents: paid, status } = await changes.store.db.selectFrom("invoices").selectAll().executeTakeFirstOrThrow();
  const totals = await changes.store.db.selectFrom("totals").selectAll().where("org_id", "=", "acme").execute();
  const of = (kind: string) => totals.find((row) => row.kind === kind)?.amount_cents ?? 0;
  return { paid, status, revenue: of("payment"), refunds: of("refund") };
}

describe.each(orders)("when the %s comes before the %s", (...order) => {
  it("a payment that is void there leaves what others paid", async () => {
    await correct(order, 0, 0, { TotalAmt: 60 });
    expect(await state()).toEqual({ paid: 10_000, status: "paid", revenue: 6_000, refunds: 0 });
    await correct(order, 1, 60, { TotalAmt: 0, PrivateNote: "Voided" });
    expect(await state()).toEqual({ paid: 4_000, status: "open", revenue: 6_000, refunds: 6_000 });
  });

  it("a payment that is lowered there is taken off once", async () => {
    await correct(order, 0, 0, { TotalAmt: 60 });
    await correct(order, 1, 10, { TotalAmt: 50 });
    expect(await state()).toEqual({ paid: 9_000, status: "open", revenue: 6_000, refunds: 1_000 });
  });

  it("a payment that is raised there is revenue, and paid once", async () => {
    await correct(order, 1, 20, { TotalAmt: 80 });
    expect(await state()).toEqual({ paid: 8_000, status: "open", revenue: 8_000, refunds: 0 });
    await correct(order, 1, 20, { TotalAmt: 80 });
    expect(await state()).toEqual({ paid: 8_000, status: "open", revenue: 8_000, refunds: 0 });
  });

  it("a payment that is lowered and raised again is both", async () => {
    await correct(order, 1, 50, { TotalAmt: 50 });
    await correct(order, 2, 40, { TotalAmt: 60 });
    expect(await state()).toEqual({ paid: 6_000, status: "open", revenue: 7_000, refunds: 1_000 });
  });

  it("what a raised payment pays of other invoices is not paid of its own", async () => {
    await correct(order, 1, 40, { TotalAmt: 80 });
    await correct(order, 1, 40, { TotalAmt: 80 });
    expect(await state()).toEqual({ paid: 6_000, status: "open", revenue: 8_000, refunds: 0 });
  });

  it("a payment that was refunded here stays so, while QuickBooks still has it", async () => {
    await changes.commit(async (u) => {
      const { invoice } = await refundPayment(u, paymentId);
      await pushLater(u, "payment.void", "acme", paymentId, invoice.id);
    });
    await correct(order, 1, 40, { TotalAmt: 60 });
    expect(await state()).toMatchObject({ revenue: 6_000, refunds: 6_000 });
  });

  it("a payment that is set to 0 there and raised again is revenue again", async () => {
    await correct(order, 1, 100, { TotalAmt: 0 });
    expect(await state()).toEqual({ paid: 0, status: "open", revenue: 6_000, refunds: 6_000 });
    await correct(order, 2, 50, { TotalAmt: 50 });
    await correct(order, 2, 50, { TotalAmt: 50 });
    expect(await state()).toEqual({ paid: 5_000, status: "open", revenue: 11_000, refunds: 6_000 });
    const { amount_cents, refunded_cents } = await changes.store.db.selectFrom("payments").selectAll().executeTakeFirstOrThrow();
    expect([amount_cents, refunded_cents]).toEqual([11_000, 6_000]);
  });
});

describe.each([0, 1, 7])("when a copy of version %i comes after the deletion", (version) => {
  const remove = async (entity: "Invoice" | "Payment", id: string) => {
    const known = await company();
    await changes.commit((u) => applyDeletion(u, known, entity, id));
  };

  it.each([60, 0])("a payment that was last seen with an amount of %i stays deleted", async (last) => {
    await correct(["Payment"], 0, 100 - last, { TotalAmt: last });
    await remove("Payment", "2");
    const deleted = await state();
    expect(deleted).toEqual({ paid: 0, status: "open", revenue: 6_000, refunds: 6_000 });
    await correct(["Payment"], version, 100, { TotalAmt: 80 });
    expect(await state()).toEqual(deleted);
    await remove("Payment", "2");
    expect(await state()).toEqual(deleted);
  });

  it("an invoice stays void", async () => {
    await remove("Invoice", "1");
    const deleted = await state();
    expect(deleted).toMatchObject({ status: "void" });
    await clock.advance(5_000);
    theirs = { invoice: object("1", version, { TotalAmt: 200, Balance: 0 }), payment: {} };
    await take("Invoice");
    await workOffInbox(changes, client, await company(), silent);
    expect(await state()).toEqual(deleted);
  });
});
