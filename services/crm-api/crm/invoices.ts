/** Invoices and what happens to them: payment, refund, void, reaching the due date. */
import { conflict, notFound, Refusal } from "./errors.ts";
import { requireOrg } from "./orgs.ts";
import type { Unit } from "./unit.ts";
import type { Invoice, Payment } from "../store/tables.ts";

export interface InvoiceInput {
  readonly org_id: string;
  /** An accepted proposal of the organisation; its amount is the default. */
  readonly proposal_id?: string | undefined;
  readonly customer: string;
  readonly amount_cents?: number | undefined;
  /** Milliseconds since 1970, in the future. */
  readonly due_at: number;
}

export const invoiceEvent = (u: Unit, type: string, invoice: Invoice, data: Record<string, unknown> = {}): void =>
  u.emit({
    type,
    orgId: invoice.org_id,
    aggregate: { type: "invoice", id: invoice.id },
    data: { customer: invoice.customer, amount_cents: invoice.amount_cents, paid_cents: invoice.paid_cents, status: invoice.status, due_at: new Date(invoice.due_at).toISOString(), ...data },
  });

async function amountOf(u: Unit, input: InvoiceInput): Promise<number> {
  if (input.proposal_id === undefined) {
    if (input.amount_cents === undefined) throw new Refusal(400, "invalid", "is required without proposal_id", "amount_cents");
    return input.amount_cents;
  }
  const proposal = await u.tx.selectFrom("proposals").select(["amount_cents", "status"]).where("id", "=", input.proposal_id).where("org_id", "=", input.org_id).executeTakeFirst();
  if (proposal === undefined) throw notFound("proposal of this organisation", "proposal_id");
  if (proposal.status !== "accepted") throw conflict("not_accepted", "this proposal is not accepted yet: POST /proposals/:id/accept first", "proposal_id");
  return input.amount_cents ?? proposal.amount_cents;
}

/** @throws Refusal 404 for an unknown organisation or proposal, 409 for a proposal that is not accepted, 400 for a due date that is past */
export async function createInvoice(u: Unit, input: InvoiceInput): Promise<Invoice> {
  await requireOrg(u, input.org_id);
  if (input.due_at <= u.at) throw new Refusal(400, "invalid", "must be in the future", "due_at");
  const invoice: Invoice = {
    id: u.newId(),
    org_id: input.org_id,
    proposal_id: input.proposal_id ?? null,
    customer: input.customer,
    amount_cents: await amountOf(u, input),
    paid_cents: 0,
    status: "open",
    due_at: input.due_at,
    created_at: u.at,
    paid_at: null,
    first_paid_at: null,
    voided_at: null,
    due_state: null,
    imported: 0,
    qbo_realm: null,
    qbo_id: null,
    qbo_sync_token: null,
    qbo_updated_at: null,
  };
  await u.tx.insertInto("invoices").values(invoice).execute();
  u.book(invoice.org_id, "invoice_created", invoice.amount_cents);
  invoiceEvent(u, "invoice.created", invoice, { proposal_id: invoice.proposal_id });
  return invoice;
}

/** Locks an invoice; one that reached its due date in the meantime is counted as it stood then, before anything changes it. */
export async function takeInvoice(u: Unit, id: string, field = "id"): Promise<Invoice> {
  const invoice = await u.store.lockRows(u.tx.selectFrom("invoices").selectAll().where("id", "=", id)).executeTakeFirst();
  if (invoice === undefined) throw notFound("invoice", field);
  return invoice.due_state === null && invoice.due_at <= u.at ? fallDue(u, invoice) : invoice;
}

/** Counts an invoice at its due date: overdue unless nothing is owed. A void one, and history, are noted but count nowhere. */
export async function fallDue(u: Unit, invoice: Invoice): Promise<Invoice> {
  const due: Invoice = { ...invoice, due_state: invoice.status === "open" && invoice.amount_cents > invoice.paid_cents ? "overdue" : "met" };
  await u.tx.updateTable("invoices").set({ due_state: due.due_state }).where("id", "=", invoice.id).execute();
  if (invoice.status === "void" || invoice.imported === 1) return due;
  u.book(invoice.org_id, "invoice_due", invoice.amount_cents);
  if (due.due_state === "overdue") {
    u.book(invoice.org_id, "invoice_overdue", invoice.amount_cents - invoice.paid_cents);
    invoiceEvent(u, "invoice.overdue", due);
  }
  return due;
}

/**
 * Sets what has been paid of an invoice; it becomes paid, or open again.
 * @param paidCents payments less refunds, after this change
 */
export async function settle(u: Unit, invoice: Invoice, paidCents: number): Promise<Invoice> {
  const paid = invoice.status !== "void" && paidCents >= invoice.amount_cents;
  const settled: Invoice = {
    ...invoice,
    paid_cents: paidCents,
    status: invoice.status === "void" ? "void" : paid ? "paid" : "open",
    paid_at: paid ? (invoice.paid_at ?? u.at) : null,
    first_paid_at: paid ? (invoice.first_paid_at ?? u.at) : invoice.first_paid_at,
  };
  const { paid_cents, status, paid_at, first_paid_at } = settled;
  await u.tx.updateTable("invoices").set({ paid_cents, status, paid_at, first_paid_at }).where("id", "=", invoice.id).execute();
  if (paid && invoice.first_paid_at === null && invoice.imported === 0) u.book(invoice.org_id, "invoice_paid", invoice.amount_cents);
  return settled;
}

export interface PaymentInput {
  readonly amount_cents: number;
  readonly reference?: string | undefined;
}

/**
 * @param field what the caller names the invoice by
 * @throws Refusal 404 when there is no such invoice, 409 when it is void or paid, or the amount is more than is owed
 */
export async function payInvoice(u: Unit, invoiceId: string, input: PaymentInput, field = "id"): Promise<{ payment: Payment; invoice: Invoice }> {
  const invoice = await takeInvoice(u, invoiceId, field);
  if (invoice.status === "void") throw conflict("void", "this invoice is void", field);
  const owed = invoice.amount_cents - invoice.paid_cents;
  if (invoice.status === "paid") throw conflict("already_paid", "this invoice is paid in full", field);
  if (input.amount_cents > owed) throw conflict("overpayment", `must be at most ${owed}, which is what is still owed`, "amount_cents");
  const payment: Payment = {
    id: u.newId(),
    org_id: invoice.org_id,
    invoice_id: invoice.id,
    amount_cents: input.amount_cents,
    refunded_cents: 0,
    reference: input.reference ?? null,
    created_at: u.at,
    refunded_at: null,
    imported: 0,
    qbo_realm: null,
    qbo_id: null,
    qbo_sync_token: null,
    qbo_updated_at: null,
  };
  await u.tx.insertInto("payments").values(payment).execute();
  u.book(payment.org_id, "payment", payment.amount_cents);
  const settled = await settle(u, invoice, invoice.paid_cents + payment.amount_cents);
  invoiceEvent(u, "payment.received", settled, { payment_id: payment.id, payment_cents: payment.amount_cents, reference: payment.reference });
  if (settled.status === "paid") invoiceEvent(u, "invoice.paid", settled);
  return { payment, invoice: settled };
}

/** @throws Refusal 404 when there is none, 409 when it is void already or has payments that were not refunded */
export async function voidInvoice(u: Unit, id: string): Promise<Invoice> {
  const invoice = await takeInvoice(u, id);
  if (invoice.status === "void") throw conflict("void", "this invoice is void already", "id");
  if (invoice.paid_cents > 0) throw conflict("has_payments", `${invoice.paid_cents} cents were paid on this invoice: refund them first`, "id");
  return markVoid(u, invoice);
}

export async function markVoid(u: Unit, invoice: Invoice): Promise<Invoice> {
  const voided: Invoice = { ...invoice, status: "void", voided_at: u.at, paid_at: null };
  await u.tx.updateTable("invoices").set({ status: "void", voided_at: u.at, paid_at: null }).where("id", "=", invoice.id).execute();
  if (invoice.imported === 0) u.book(invoice.org_id, "invoice_voided", invoice.amount_cents);
  invoiceEvent(u, "invoice.voided", voided);
  return voided;
}

/** Gives a whole payment back. @throws Refusal 404 when there is none, 409 when it was refunded before or belongs to QuickBooks */
export async function refundPayment(u: Unit, id: string): Promise<{ payment: Payment; invoice: Invoice }> {
  // Before the invoice, as whoever takes over a correction made in QuickBooks locks them: neither may wait for the other.
  const payment = await u.store.lockRows(u.tx.selectFrom("payments").selectAll().where("id", "=", id)).executeTakeFirst();
  if (payment === undefined) throw notFound("payment", "id");
  if (payment.invoice_id === null) throw conflict("in_quickbooks", "this payment was entered in QuickBooks: refund it there", "id");
  const invoice = await takeInvoice(u, payment.invoice_id);
  const left = payment.amount_cents - payment.refunded_cents;
  if (left === 0) throw conflict("already_refunded", "this payment was refunded before", "id");
  const refunded: Payment = { ...payment, refunded_cents: payment.amount_cents, refunded_at: u.at };
  await u.tx.updateTable("payments").set({ refunded_cents: refunded.refunded_cents, refunded_at: u.at }).where("id", "=", id).execute();
  u.book(payment.org_id, "refund", left);
  const settled = await settle(u, invoice, Math.max(0, invoice.paid_cents - left));
  invoiceEvent(u, "payment.refunded", settled, { payment_id: id, refund_cents: left });
  return { payment: refunded, invoice: settled };
}
