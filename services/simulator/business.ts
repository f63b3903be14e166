/** The ordinary business: deals one after the other, each step when its time has come. */
import type { Agenda } from "./agenda.ts";
import { Refused, Unavailable, type Crm, type Invoice } from "./crm.ts";
import { dealOf, type Deal } from "./deal.ts";

/** One thing to do in the CRM. */
export type Step = () => Promise<void>;

/** An invoice that somebody means to pay. */
export interface Debt {
  readonly invoiceId: string;
  readonly amountCents: number;
  readonly reference: string;
}

export interface BusinessOptions {
  readonly crm: Crm;
  readonly agenda: Agenda<Step>;
  readonly orgIds: readonly string[];
  readonly seed: number;
  readonly termMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Takes a debt instead of its payment while nobody pays; false: it is paid. */
  readonly withhold: (debt: Debt) => boolean;
  /** Told when a step cannot be kept because the agenda is full. */
  readonly onForgotten: () => void;
}

export class Business {
  readonly #options: BusinessOptions;
  #deals = 0;
  #repeat: Step | undefined;
  /** Debts whose payment is on the agenda. */
  open = 0;

  constructor(options: BusinessOptions) {
    this.#options = options;
  }

  /**
   * Does the next step: what the CRM could not take before, what is due, or a new deal.
   * @throws Unavailable; the step is then done again at the next call
   */
  async step(): Promise<void> {
    const { agenda, now } = this.#options;
    const step = this.#repeat ?? agenda.takeDue(now()) ?? (agenda.full ? undefined : this.#newDeal());
    if (step === undefined) return;
    this.#repeat = undefined;
    try {
      await step();
    } catch (error) {
      if (error instanceof Unavailable) this.#repeat = step;
      // What is refused would be refused again: the deal ends here.
      if (!(error instanceof Refused)) throw error;
    }
  }

  /** Takes on open invoices of an earlier run, so that they do not fall due unpaid. Those that did already are left alone. */
  adopt(invoices: readonly Invoice[]): void {
    const { now } = this.#options;
    for (const { id, amount_cents, paid_cents, due_at } of invoices) {
      const left = Date.parse(due_at) - now();
      if (left > 10_000) this.#payLater(Math.min(60_000, left / 2), { invoiceId: id, amountCents: amount_cents - paid_cents, reference: "adopted" });
    }
  }

  /** Puts payments onto the agenda. */
  #payLater(ms: number, debt: Debt, then?: (paymentId: string) => void): void {
    this.open += 1;
    const kept = this.#later(ms, async () => {
      const { crm, withhold } = this.#options;
      if (!withhold(debt)) {
        const paid = await crm.payInvoice(debt.invoiceId, debt.amountCents, debt.reference).catch((error: unknown) => {
          if (!(error instanceof Refused)) throw error;
        });
        if (paid !== undefined) then?.(paid.payment.id);
      }
      this.open -= 1;
    });
    if (!kept) this.open -= 1;
  }

  #later(ms: number, step: Step): boolean {
    const { agenda, now, onForgotten } = this.#options;
    const kept = agenda.add(now() + ms, step);
    if (!kept) onForgotten();
    return kept;
  }

  #newDeal(): Step {
    const { crm, orgIds, seed } = this.#options;
    const deal = dealOf(seed, this.#deals++, orgIds);
    return async () => {
      const lead = await crm.createLead({ org_id: deal.orgId, name: deal.customer, email: deal.email, source: deal.source });
      this.#later(deal.wait.proposal * 1000, () => this.#propose(deal, lead.id));
    };
  }

  async #propose(deal: Deal, leadId: string): Promise<void> {
    const proposal = await this.#options.crm.createProposal({ org_id: deal.orgId, lead_id: leadId, title: deal.title, amount_cents: deal.amountCents });
    if (deal.outcome !== "rejected") this.#later(deal.wait.answer * 1000, () => this.#accept(deal, proposal.id));
  }

  async #accept(deal: Deal, proposalId: string): Promise<void> {
    await this.#options.crm.acceptProposal(proposalId);
    this.#later(deal.wait.invoice * 1000, () => this.#invoice(deal, proposalId));
  }

  async #invoice(deal: Deal, proposalId: string): Promise<void> {
    const { crm, now, termMs } = this.#options;
    const { orgId, customer, amountCents, outcome, wait, firstShare } = deal;
    const { id } = await crm.createInvoice({ org_id: orgId, proposal_id: proposalId, customer, amount_cents: amountCents, due_at: new Date(now() + termMs).toISOString() });
    const reference = `deal ${deal.number}`;
    // Soon enough that even a longer outage of the CRM does not make the payment late.
    const soon = Math.min(wait.payment * 1000, termMs / 3);
    if (outcome === "unpaid") return;
    if (outcome === "void") this.#later(soon, () => crm.voidInvoice(id).then(() => undefined));
    else if (outcome === "late") this.#payLater(termMs + wait.late * 1000, { invoiceId: id, amountCents, reference });
    else if (outcome === "refunded") this.#payLater(soon, { invoiceId: id, amountCents, reference }, (paymentId) => this.#later(soon, () => crm.refund(paymentId).then(() => undefined)));
    else this.#payInParts(soon, id, amountCents, Math.max(1, Math.floor(amountCents * firstShare)), reference);
  }

  #payInParts(ms: number, invoiceId: string, amountCents: number, firstCents: number, reference: string): void {
    const rest = amountCents - firstCents;
    const second = rest === 0 ? undefined : () => this.#payLater(ms / 2, { invoiceId, amountCents: rest, reference: `${reference}, second part` });
    this.#payLater(ms, { invoiceId, amountCents: firstCents, reference }, second);
  }
}
