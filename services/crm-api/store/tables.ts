/** The tables of the store, the same on both databases. Times are milliseconds since 1970, money is integer cents. */
import type { Generated, Selectable } from "kysely";

export interface OrgTable {
  id: string;
  name: string;
  created_at: number;
}

export interface LeadTable {
  id: string;
  org_id: string;
  name: string;
  email: string | null;
  source: string | null;
  created_at: number;
}

export interface ProposalTable {
  id: string;
  org_id: string;
  lead_id: string | null;
  title: string;
  amount_cents: number;
  status: "open" | "accepted";
  created_at: number;
  accepted_at: number | null;
}

export interface InvoiceTable {
  id: string;
  org_id: string;
  proposal_id: string | null;
  customer: string;
  amount_cents: number;
  /** Payments less refunds. */
  paid_cents: number;
  status: "open" | "paid" | "void";
  due_at: number;
  created_at: number;
  paid_at: number | null;
  /** The first time it was fully paid; an invoice counts as paid once, whatever is refunded later. */
  first_paid_at: number | null;
  voided_at: number | null;
  /** What it was when its due date was reached; null before. */
  due_state: "met" | "overdue" | null;
  /** 1 for history that was there before its QuickBooks company was connected: it counts nowhere. */
  imported: number;
  qbo_realm: string | null;
  qbo_id: string | null;
  qbo_sync_token: number | null;
  /** Last change as QuickBooks dates it; an older copy never overwrites a newer one. */
  qbo_updated_at: number | null;
}

export interface PaymentTable {
  id: string;
  org_id: string;
  /** Null for a QuickBooks payment, whose invoices carry their own balance. */
  invoice_id: string | null;
  amount_cents: number;
  refunded_cents: number;
  reference: string | null;
  created_at: number;
  refunded_at: number | null;
  imported: number;
  qbo_realm: string | null;
  qbo_id: string | null;
  qbo_sync_token: number | null;
  qbo_updated_at: number | null;
}

/** What is counted. */
export type LedgerKind =
  | "lead"
  | "proposal"
  | "invoice_created"
  | "invoice_paid"
  | "invoice_voided"
  | "invoice_due"
  | "invoice_overdue"
  | "payment"
  | "refund";

/** Append-only: one row per counted fact, dated when it was booked here. */
export interface LedgerTable {
  seq: Generated<number>;
  org_id: string;
  kind: LedgerKind;
  count: number;
  amount_cents: number;
  at: number;
}

/** Running sums of the ledger, one row per organisation and kind from the organisation's first moment. */
export interface TotalTable {
  org_id: string;
  kind: LedgerKind;
  count: number;
  amount_cents: number;
}

export interface OutboxTable {
  seq: Generated<number>;
  event_id: string;
  type: string;
  key: string;
  /** The message's value, JSON. */
  value: string;
  created_at: number;
  sent_at: number | null;
  /** The partition that takes nothing, for which the event has been set aside; -1 for none. */
  held_partition: Generated<number>;
}

/** Who does a job that only one process may do, until when by the database's clock. */
export interface LeaseTable {
  name: string;
  holder: string;
  until: number;
}

export interface QboConnectionTable {
  realm_id: string;
  org_id: string;
  state: "connected" | "reauthorise";
  access_token: string;
  refresh_token: string;
  access_expires_at: number;
  refresh_expires_at: number;
  /** When the tokens were issued; null for a row that a version before this column wrote. */
  refreshed_at: number | null;
  /** Raised by each new pair of tokens; a stale refresher's write finds another number and is refused. */
  generation: number;
  connected_at: number;
  /** By QuickBooks' clock: what was created up to here is history. */
  baseline_at: number | null;
  imported_at: number | null;
  /** By QuickBooks' clock: changes up to here are known. */
  cursor_at: number | null;
  last_sync_at: number | null;
  sync_requested_at: number | null;
  paused_until: number | null;
  /** Such as `USD`, in which the company keeps its books; null until it was asked for. */
  home_currency: string | null;
  problem: string | null;
}

export interface QboStateTable {
  /** SHA-256 of the state, so that a copy of the table gives nobody a usable one. */
  state_hash: string;
  org_id: string;
  expires_at: number;
}

/** Webhook events, kept for longer than QuickBooks repeats them. */
export interface QboInboxTable {
  id: string;
  realm_id: string;
  entity: "Invoice" | "Payment";
  entity_id: string;
  operation: string;
  received_at: number;
  processed_at: number | null;
  attempts: number;
  next_attempt_at: number;
  problem: string | null;
}

/** Writes that QuickBooks has to take over; `id` is their requestid, so that a repetition is harmless. */
export interface QboPushTable {
  seq: Generated<number>;
  id: string;
  org_id: string;
  kind: "invoice.create" | "invoice.void" | "payment.create" | "payment.void";
  /** Invoice or payment. */
  subject_id: string;
  /** Pushes of one invoice go in the order of `seq`. */
  invoice_id: string;
  created_at: number;
  done_at: number | null;
  /** When it was given up, because QuickBooks refuses it for good. */
  failed_at: number | null;
  attempts: number;
  next_attempt_at: number;
  problem: string | null;
}

/** Answers to requests that came with a key, for whoever repeats one. */
export interface IdempotencyKeyTable {
  key: string;
  /** SHA-256 of what was asked for; the same key with anything else is refused. */
  request_hash: string;
  status: number;
  /** JSON. */
  answer: string;
  created_at: number;
}

export interface Tables {
  orgs: OrgTable;
  leads: LeadTable;
  proposals: ProposalTable;
  invoices: InvoiceTable;
  payments: PaymentTable;
  ledger: LedgerTable;
  totals: TotalTable;
  outbox: OutboxTable;
  leases: LeaseTable;
  qbo_connections: QboConnectionTable;
  qbo_states: QboStateTable;
  qbo_inbox: QboInboxTable;
  qbo_pushes: QboPushTable;
  idempotency_keys: IdempotencyKeyTable;
}

export type Org = Selectable<OrgTable>;
export type Lead = Selectable<LeadTable>;
export type Proposal = Selectable<ProposalTable>;
export type Invoice = Selectable<InvoiceTable>;
export type Payment = Selectable<PaymentTable>;
export type QboConnection = Selectable<QboConnectionTable>;
export type QboPush = Selectable<QboPushTable>;
