/**
 * Takes over what QuickBooks says about an invoice or a payment. Every step may be repeated, and an older copy never
 * overwrites a newer one, so that webhooks, change data capture and queries may bring the same change in any order.
 */
import { fallDue, invoiceEvent, markVoid, settle, takeInvoice } from "../crm/invoices.ts";
import type { Unit } from "../crm/unit.ts";
import type { Invoice, Payment, QboConnection } from "../store/tables.ts";
import { dueAt, homeInvoice, homePayment, isVoid, markedId, qboDeleted, qboInvoice, qboPayment, type EntityName, type QboInvoice, type QboPayment } from "./entities.ts";
import { inboxRow } from "./inbox-row.ts";

type Company = Pick<QboConnection, "realm_id" | "org_id" | "baseline_at" | "home_currency">;

interface Copy {
  readonly Id: string;
  readonly SyncToken: number;
  readonly MetaData: { readonly CreateTime: number; readonly LastUpdatedTime: number };
}

/** Columns that tie a row to its counterpart. */
export const link = (realm: string, copy: Copy) => ({ qbo_realm: realm, qbo_id: copy.Id, qbo_sync_token: copy.SyncToken, qbo_updated_at: copy.MetaData.LastUpdatedTime });

/** A payment changes its invoice's balance without a new SyncToken, hence the time as well. */
function isOlder(copy: Copy, row: Pick<Invoice, "qbo_sync_token" | "qbo_updated_at">): boolean {
  const tokens = copy.SyncToken - (row.qbo_sync_token ?? 0);
  return tokens < 0 || (tokens === 0 && copy.MetaData.LastUpdatedTime < (row.qbo_updated_at ?? 0));
}

/** What was created up to the baseline is history; both have whole seconds, the baseline to their end. */
const isHistory = (copy: Copy, company: Company): 0 | 1 => (company.baseline_at === null || copy.MetaData.CreateTime <= company.baseline_at ? 1 : 0);

/**
 * @param row an invoice or payment, or the mark of a deleted one, as read from QuickBooks
 * @throws ZodError when it is not what QuickBooks documents
 */
export async function applyEntity(u: Unit, company: Company, entity: EntityName, row: unknown): Promise<void> {
  const deleted = qboDeleted.safeParse(row);
  if (deleted.success) return applyDeletion(u, company, entity, deleted.data.Id);
  if (entity === "Invoice") return applyInvoice(u, company, homeInvoice(qboInvoice.parse(row), company.home_currency));
  return applyPayment(u, company, homePayment(qboPayment.parse(row), company.home_currency));
}

/** An invoice is void and a payment is gone, both for good, once QuickBooks no longer has it. */
export async function applyDeletion(u: Unit, company: Company, entity: EntityName, qboId: string): Promise<void> {
  if (entity === "Invoice") {
    const invoice = await findInvoice(u, company, qboId);
    if (invoice !== undefined && invoice.status !== "void") await markVoid(u, invoice);
    return;
  }
  const payment = await findPayment(u, company, qboId);
  if (payment === undefined) return;
  await adjustPayment(u, company, payment, 0);
  // For good: every copy that comes late is older, also one of a version that was never seen here.
  await u.tx.updateTable("payments").set({ qbo_sync_token: Number.MAX_SAFE_INTEGER }).where("id", "=", payment.id).execute();
}

/**
 * Has an invoice's balance looked at once more. While a write waited it was not; and what was paid is not certain when the
 * invoice's copy was taken over before that of a payment which was corrected with it.
 */
export async function readAnew(u: Unit, company: Pick<Company, "realm_id">, invoiceId: string): Promise<void> {
  const invoice = await u.tx.selectFrom("invoices").select("qbo_id").where("id", "=", invoiceId).where("qbo_realm", "=", company.realm_id).executeTakeFirst();
  if (invoice === undefined || invoice.qbo_id === null) return;
  const event = inboxRow({ id: u.newId(), realm_id: company.realm_id, entity: "Invoice", entity_id: invoice.qbo_id, operation: "read", received_at: u.at });
  await u.tx.insertInto("qbo_inbox").values(event).execute();
}

async function findInvoice(u: Unit, company: Company, qboId: string, note?: string): Promise<Invoice | undefined> {
  const linked = await u.tx.selectFrom("invoices").select("id").where("qbo_realm", "=", company.realm_id).where("qbo_id", "=", qboId).executeTakeFirst();
  if (linked !== undefined) return takeInvoice(u, linked.id);
  const ours = markedId("invoice", note);
  if (ours === undefined) return undefined;
  const marked = await u.tx.selectFrom("invoices").select("id").where("id", "=", ours).where("org_id", "=", company.org_id).where("qbo_id", "is", null).executeTakeFirst();
  return marked === undefined ? undefined : takeInvoice(u, marked.id);
}

async function applyInvoice(u: Unit, company: Company, copy: QboInvoice): Promise<void> {
  const known = await findInvoice(u, company, copy.Id, copy.PrivateNote);
  if (known === undefined) return addInvoice(u, company, copy);
  if (isOlder(copy, known)) return;
  await u.tx.updateTable("invoices").set(link(company.realm_id, copy)).where("id", "=", known.id).execute();
  if (known.status === "void") return;
  if (isVoid(copy)) return void (await markVoid(u, known));
  const invoice = await correctTerms(u, known, copy);
  if (await hasPendingPush(u, invoice.id)) return;
  // What a payment was raised by in QuickBooks may be for other invoices: only this one's balance tells.
  const paid = Math.max(Math.min(await paidHere(u, invoice.id), invoice.paid_cents), paidThere(copy));
  // An amount that changed while a write waited has not changed the status yet.
  if (paid === invoice.paid_cents && (known.status === "paid") === paid >= invoice.amount_cents) return;
  const settled = await settle(u, invoice, paid);
  if (settled.status === "paid" && known.status !== "paid") invoiceEvent(u, "invoice.paid", settled, { source: "quickbooks" });
}

/** Amount and due date as QuickBooks has them; a due date that was counted stays counted. */
async function correctTerms(u: Unit, invoice: Invoice, copy: QboInvoice): Promise<Invoice> {
  const due = copy.DueDate === undefined || invoice.due_state !== null || sameDay(invoice.due_at, dueAt(copy)) ? invoice.due_at : dueAt(copy);
  if (due === invoice.due_at && copy.TotalAmt === invoice.amount_cents) return invoice;
  const corrected: Invoice = { ...invoice, amount_cents: copy.TotalAmt, due_at: due };
  await u.tx.updateTable("invoices").set({ amount_cents: corrected.amount_cents, due_at: due }).where("id", "=", invoice.id).execute();
  return corrected;
}

/** QuickBooks knows days only: the exact time of an invoice that was made here must not be lost to that. */
const sameDay = (a: number, b: number): boolean => new Date(a).toISOString().slice(0, 10) === new Date(b).toISOString().slice(0, 10);

const paidThere = (copy: QboInvoice): number => Math.max(0, copy.TotalAmt - (copy.Balance ?? copy.TotalAmt));

/** What was done here and not there yet is missing from this copy's balance; the write itself brings a newer copy. */
async function hasPendingPush(u: Unit, invoiceId: string): Promise<boolean> {
  const push = await u.tx.selectFrom("qbo_pushes").select("id").where("invoice_id", "=", invoiceId).where("done_at", "is", null).where("failed_at", "is", null).limit(1).executeTakeFirst();
  return push !== undefined;
}

/** Payments entered here, which QuickBooks may never have taken over. */
async function paidHere(u: Unit, invoiceId: string): Promise<number> {
  const { sum } = await u.tx
    .selectFrom("payments")
    .select((eb) => eb.fn.sum<number | null>(eb("amount_cents", "-", eb.ref("refunded_cents"))).as("sum"))
    .where("invoice_id", "=", invoiceId)
    .executeTakeFirstOrThrow();
  return sum ?? 0;
}

async function addInvoice(u: Unit, company: Company, copy: QboInvoice): Promise<void> {
  if (isVoid(copy)) return;
  const invoice = newInvoice(u, company, copy);
  if (invoice.imported === 1) return void (await u.tx.insertInto("invoices").values(asHistory(invoice, copy)).execute());
  await u.tx.insertInto("invoices").values(invoice).execute();
  u.book(invoice.org_id, "invoice_created", invoice.amount_cents);
  invoiceEvent(u, "invoice.created", invoice, { source: "quickbooks" });
  const settled = paidThere(copy) > 0 || invoice.amount_cents === 0 ? await settle(u, invoice, paidThere(copy)) : invoice;
  if (settled.status === "paid") invoiceEvent(u, "invoice.paid", settled, { source: "quickbooks" });
  if (invoice.due_at <= u.at) await fallDue(u, settled);
}

const newInvoice = (u: Unit, company: Company, copy: QboInvoice): Invoice => ({
  id: u.newId(),
  org_id: company.org_id,
  proposal_id: null,
  customer: copy.CustomerRef?.name || copy.CustomerRef?.value || "unknown",
  amount_cents: copy.TotalAmt,
  paid_cents: 0,
  status: "open",
  due_at: dueAt(copy),
  created_at: u.at,
  paid_at: null,
  first_paid_at: null,
  voided_at: null,
  due_state: null,
  imported: isHistory(copy, company),
  ...link(company.realm_id, copy),
});

/** With the dates of then, and neither counted nor told to anybody. */
function asHistory(invoice: Invoice, copy: QboInvoice): Invoice {
  const paid = paidThere(copy) >= copy.TotalAmt;
  const paidAt = paid ? copy.MetaData.LastUpdatedTime : null;
  return { ...invoice, created_at: copy.MetaData.CreateTime, paid_cents: paidThere(copy), status: paid ? "paid" : "open", paid_at: paidAt, first_paid_at: paidAt };
}

async function findPayment(u: Unit, company: Company, qboId: string, note?: string): Promise<Payment | undefined> {
  const linked = await u.store.lockRows(u.tx.selectFrom("payments").selectAll().where("qbo_realm", "=", company.realm_id).where("qbo_id", "=", qboId)).executeTakeFirst();
  const ours = markedId("payment", note);
  if (linked !== undefined || ours === undefined) return linked;
  return u.store.lockRows(u.tx.selectFrom("payments").selectAll().where("id", "=", ours).where("org_id", "=", company.org_id).where("qbo_id", "is", null)).executeTakeFirst();
}

async function applyPayment(u: Unit, company: Company, copy: QboPayment): Promise<void> {
  const known = await findPayment(u, company, copy.Id, copy.PrivateNote);
  if (known === undefined) return addPayment(u, company, copy);
  if (isOlder(copy, known)) return;
  await u.tx.updateTable("payments").set(link(company.realm_id, copy)).where("id", "=", known.id).execute();
  await adjustPayment(u, company, known, copy.TotalAmt);
}

async function addPayment(u: Unit, company: Company, copy: QboPayment): Promise<void> {
  if (copy.TotalAmt <= 0) return;
  const imported = isHistory(copy, company);
  const payment: Payment = {
    id: u.newId(),
    org_id: company.org_id,
    invoice_id: null,
    amount_cents: copy.TotalAmt,
    refunded_cents: 0,
    reference: null,
    created_at: imported === 1 ? copy.MetaData.CreateTime : u.at,
    refunded_at: null,
    imported,
    ...link(company.realm_id, copy),
  };
  await u.tx.insertInto("payments").values(payment).execute();
  if (imported === 1) return;
  u.book(payment.org_id, "payment", payment.amount_cents);
  paymentEvent(u, "payment.received", payment, { payment_cents: payment.amount_cents });
}

const paymentEvent = (u: Unit, type: string, payment: Payment, data: Record<string, unknown>): void =>
  u.emit({ type, orgId: payment.org_id, aggregate: { type: "payment", id: payment.id }, data: { ...data, payment_id: payment.id, source: "quickbooks" } });

/** A refund made here queues a void, whatever becomes of that; a payment that was taken back in QuickBooks has none. */
async function wasRefundedHere(u: Unit, payment: Payment): Promise<boolean> {
  if (payment.invoice_id === null || payment.refunded_cents < payment.amount_cents) return false;
  const push = u.tx.selectFrom("qbo_pushes").select("id").where("invoice_id", "=", payment.invoice_id).where("subject_id", "=", payment.id).where("kind", "=", "payment.void");
  return (await push.limit(1).executeTakeFirst()) !== undefined;
}

/**
 * A payment whose amount was changed or taken back in QuickBooks: more is new revenue, less is a refund; what was counted
 * stays counted. One that was refunded here is or will be void there, which changes nothing more.
 */
async function adjustPayment(u: Unit, company: Company, payment: Payment, cents: number): Promise<void> {
  const delta = cents - (payment.amount_cents - payment.refunded_cents);
  if (delta === 0 || (delta > 0 && (await wasRefundedHere(u, payment)))) return;
  if (delta > 0) {
    await u.tx.updateTable("payments").set({ amount_cents: payment.amount_cents + delta }).where("id", "=", payment.id).execute();
    u.book(payment.org_id, "payment", delta, 0);
    return paymentEvent(u, "payment.received", payment, { payment_cents: delta });
  }
  await u.tx.updateTable("payments").set({ refunded_cents: payment.refunded_cents - delta, refunded_at: u.at }).where("id", "=", payment.id).execute();
  u.book(payment.org_id, "refund", -delta);
  paymentEvent(u, "payment.refunded", payment, { refund_cents: -delta });
  if (payment.invoice_id === null) return;
  const invoice = await takeInvoice(u, payment.invoice_id);
  await settle(u, invoice, Math.max(0, invoice.paid_cents + delta));
  await readAnew(u, company, invoice.id);
}
