/**
 * One change to the CRM: rows, counted facts and events become visible together or not at all.
 *
 * Facts and events are collected while the change is made and written last: the running sums of the organisation are
 * locked before the clock is read, so that the dates in the ledger grow in the order of the commits.
 */
import type { Transaction } from "kysely";
import type { Clock } from "../clock.ts";
import { newId } from "./ids.ts";
import type { Store } from "../store/store.ts";
import type { LedgerKind, Tables } from "../store/tables.ts";

/** Announced when events wait in the outbox. */
export const outboxChannel = "crm_outbox";

export const ledgerKinds: readonly LedgerKind[] = ["lead", "proposal", "invoice_created", "invoice_paid", "invoice_voided", "invoice_due", "invoice_overdue", "payment", "refund"];

export interface DomainEvent {
  /** Such as `invoice.paid`. */
  readonly type: string;
  readonly orgId: string;
  /** Events of one aggregate reach Kafka in the order of their commits. */
  readonly aggregate: { readonly type: string; readonly id: string };
  readonly data: Readonly<Record<string, unknown>>;
}

interface Fact {
  readonly orgId: string;
  readonly kind: LedgerKind;
  readonly count: number;
  readonly amountCents: number;
}

export class Unit {
  readonly tx: Transaction<Tables>;
  readonly store: Store;
  /** When the change began. */
  readonly at: number;
  readonly #clock: Clock;
  readonly #facts: Fact[] = [];
  readonly #events: DomainEvent[] = [];

  constructor(store: Store, tx: Transaction<Tables>, clock: Clock) {
    this.store = store;
    this.tx = tx;
    this.#clock = clock;
    this.at = clock.now();
  }

  get hasEvents(): boolean {
    return this.#events.length > 0;
  }

  newId(): string {
    return newId(this.at);
  }

  /** Counts a fact. @param count how many times it happened; 0 corrects an amount only */
  book(orgId: string, kind: LedgerKind, amountCents = 0, count = 1): void {
    this.#facts.push({ orgId, kind, count, amountCents });
  }

  emit(event: DomainEvent): void {
    this.#events.push(event);
  }

  /** Writes what was collected; the last step before the commit. */
  async flush(): Promise<void> {
    await this.#addToTotals();
    const at = this.#clock.now();
    if (this.#facts.length > 0) {
      const rows = this.#facts.map((f) => ({ org_id: f.orgId, kind: f.kind, count: f.count, amount_cents: f.amountCents, at }));
      await this.tx.insertInto("ledger").values(rows).execute();
    }
    if (!this.hasEvents) return;
    await this.tx.insertInto("outbox").values(this.#events.map((event) => outboxRow(event, at))).execute();
    await this.store.announce(this.tx, outboxChannel);
  }

  /** One row after the other in a fixed order, so that two changes never wait for each other. */
  async #addToTotals(): Promise<void> {
    const sums = new Map<string, Fact>();
    for (const fact of this.#facts) {
      const key = JSON.stringify([fact.orgId, fact.kind]);
      const sum = sums.get(key);
      sums.set(key, { ...fact, count: fact.count + (sum?.count ?? 0), amountCents: fact.amountCents + (sum?.amountCents ?? 0) });
    }
    for (const [, sum] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
      await this.tx
        .updateTable("totals")
        .set((eb) => ({ count: eb("count", "+", sum.count), amount_cents: eb("amount_cents", "+", sum.amountCents) }))
        .where("org_id", "=", sum.orgId)
        .where("kind", "=", sum.kind)
        .execute();
    }
  }
}

function outboxRow(event: DomainEvent, at: number) {
  const id = newId(at);
  const value = { id, type: event.type, ts: new Date(at).toISOString(), org_id: event.orgId, aggregate: event.aggregate, version: 1, data: event.data };
  return { event_id: id, type: event.type, key: `${event.aggregate.type}:${event.aggregate.id}`, value: JSON.stringify(value), created_at: at, sent_at: null };
}

/** Makes changes to the store. */
export class Changes {
  readonly store: Store;
  readonly clock: Clock;
  readonly #wake: () => void;

  /** @param wake called after a commit that left events in the outbox */
  constructor(store: Store, clock: Clock, wake: () => void = () => undefined) {
    this.store = store;
    this.clock = clock;
    this.#wake = wake;
  }

  /**
   * Runs `work` in one transaction; nothing of it remains when it throws.
   * @throws what `work` throws, or the database's error
   */
  async commit<T>(work: (unit: Unit) => Promise<T>): Promise<T> {
    let events = false;
    const result = await this.store.transaction(async (tx) => {
      const unit = new Unit(this.store, tx, this.clock);
      const value = await work(unit);
      await unit.flush();
      events = unit.hasEvents;
      return value;
    });
    if (events) this.#wake();
    return result;
  }
}
