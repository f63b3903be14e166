/** Rows as the API shows them: times in ISO 8601, nothing that is only bookkeeping. */
import type { Invoice, Lead, Org, Payment, Proposal } from "../store/tables.ts";

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export const orgView = (o: Org) => ({ id: o.id, name: o.name, created_at: iso(o.created_at) });

export const leadView = (l: Lead) => ({ id: l.id, org_id: l.org_id, name: l.name, email: l.email, source: l.source, created_at: iso(l.created_at) });

export const proposalView = (p: Proposal) => ({
  id: p.id,
  org_id: p.org_id,
  lead_id: p.lead_id,
  title: p.title,
  amount_cents: p.amount_cents,
  status: p.status,
  created_at: iso(p.created_at),
  accepted_at: iso(p.accepted_at),
});

export const invoiceView = (i: Invoice) => ({
  id: i.id,
  org_id: i.org_id,
  proposal_id: i.proposal_id,
  customer: i.customer,
  amount_cents: i.amount_cents,
  paid_cents: i.paid_cents,
  status: i.status,
  overdue: i.due_state === "overdue" && i.status === "open",
  due_at: iso(i.due_at),
  created_at: iso(i.created_at),
  paid_at: iso(i.paid_at),
  voided_at: iso(i.voided_at),
  imported: i.imported === 1,
  qbo_id: i.qbo_id,
});

export const paymentView = (p: Payment) => ({
  id: p.id,
  org_id: p.org_id,
  invoice_id: p.invoice_id,
  amount_cents: p.amount_cents,
  refunded_cents: p.refunded_cents,
  reference: p.reference,
  created_at: iso(p.created_at),
  refunded_at: iso(p.refunded_at),
  imported: p.imported === 1,
  qbo_id: p.qbo_id,
});
