/** Keeps the CRM busy: ordinary business, and the scenarios that act on the CRM. */
import { simulator as names } from "../../rules/metrics.ts";
import type { Logger } from "../shared/log.ts";
import { counter, gauge, type Registry } from "../shared/metrics.ts";
import { Agenda } from "./agenda.ts";
import { BackOff } from "./back-off.ts";
import { systemClock, type Clock } from "./clock.ts";
import { Business, type Debt, type Step } from "./business.ts";
import { Crm, Refused, Unavailable } from "./crm.ts";
import { runLane, type Lane } from "./lane.ts";
import { scenarioNames, type Scenarios } from "./scenarios.ts";

export interface DriverOptions {
  readonly crmUrl: string;
  readonly orgs: readonly { readonly id: string; readonly name: string }[];
  readonly eventsPerMinute: number;
  readonly termSeconds: number;
  readonly seed: number;
  readonly connectQbo: boolean;
  readonly scenarios: Scenarios;
  readonly registry: Registry;
  readonly log: Logger;
  readonly clock?: Clock;
  /** QuickBooks is looked after this often. @default 15 */
  readonly qboSeconds?: number;
}

const agendaLimit = 2000;
const withheldLimit = 5000;
const adoptLimit = 200;
const burnPerSecond = 2;
const burnTermMs = 6000;
const hotKeyPerSecond = 50;
const hotKeyCents = 500_000;
const dayMs = 86_400_000;
/** Words of crm-api for a connection that a person has to make. */
const unconnected = ["not_connected", "reauthorise"];

export class Driver {
  readonly crm: Crm;
  readonly #options: DriverOptions;
  readonly #clock: Clock;
  readonly #backOff: BackOff;
  readonly #business: Business;
  readonly #forgotten;
  readonly #stopped = new AbortController();
  /** Not the organisation that QuickBooks is connected to by default, which would get every cent as a payment of its own. */
  readonly #hotOrgId: string;
  #lanes: Promise<unknown> = Promise.resolve();
  /** Debts that nobody pays until the scenario ends. */
  #withheld: Debt[] = [];
  #hot: (Debt & { paidCents: number }) | undefined;
  #prepared = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { crmUrl, registry, scenarios, log } = options;
    this.#clock = options.clock ?? systemClock;
    this.#hotOrgId = options.orgs.map((o) => o.id).sort().at(-1) ?? "";
    const requests = counter(registry, names.requests);
    const reachable = gauge(registry, names.crmReachable);
    this.#forgotten = counter(registry, names.forgottenInvoices);
    gauge(registry, names.openInvoices, (g) => g.set(this.#business.open + this.#withheld.length));
    gauge(registry, names.scenario, (g) => scenarioNames.forEach((scenario) => g.set({ scenario }, scenarios.active(scenario) ? 1 : 0)));
    this.crm = new Crm({ url: crmUrl, onCall: (operation, outcome) => requests.inc({ operation, outcome }) });
    this.#backOff = new BackOff((up) => {
      reachable.set(up ? 1 : 0);
      log.info({ reachable: up }, up ? "the CRM answers" : "the CRM is away");
    }, () => this.#clock.now());
    this.#business = new Business({
      crm: this.crm,
      agenda: new Agenda<Step>(agendaLimit),
      orgIds: options.orgs.map((o) => o.id),
      seed: options.seed,
      termMs: options.termSeconds * 1000,
      now: () => this.#clock.now(),
      withhold: (debt) => scenarios.active("unpaid-invoices") && this.#withhold(debt),
      onForgotten: () => this.#forgotten.inc(),
    });
  }

  start(): void {
    const { eventsPerMinute, scenarios, connectQbo, qboSeconds = 15 } = this.#options;
    const perSecond = eventsPerMinute / 60;
    const on = () => this.#prepared && this.#backOff.reachable && !scenarios.active("silence");
    const paying = () => !scenarios.active("burn") && !scenarios.active("unpaid-invoices");
    const lanes: Lane[] = [
      // This one also finds out when the CRM is back; the others wait for that.
      { perSecond, active: () => this.#backOff.ready && !scenarios.active("silence"), step: () => this.#work() },
      { perSecond: Math.max(2, perSecond * 2), active: () => on() && paying() && this.#withheld.length > 0, step: () => this.#payWithheld() },
      { perSecond: burnPerSecond, active: () => on() && scenarios.active("burn"), step: () => this.#burn() },
      { perSecond: hotKeyPerSecond, active: () => on() && (scenarios.active("hot-key") || this.#hot !== undefined), step: () => this.#heat() },
    ];
    if (connectQbo) lanes.push({ perSecond: 1 / qboSeconds, active: on, step: () => this.#connectQbo() });
    this.#lanes = Promise.all(lanes.map((lane) => runLane({ ...lane, step: () => this.#guarded(lane.step) }, this.#clock, this.#stopped.signal, (error) => this.#options.log.error({ err: error }, "step failed"))));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#lanes;
  }

  /** Does one step and learns from it whether the CRM is there. */
  async #guarded(step: Step): Promise<void> {
    try {
      await step();
      this.#backOff.succeed();
    } catch (error) {
      if (error instanceof Unavailable) this.#backOff.fail();
      else if (error instanceof Refused) this.#options.log.debug({ reason: error.message }, "the CRM refused");
      else throw error;
    }
  }

  async #work(): Promise<void> {
    if (!this.#prepared) await this.#prepare();
    await this.#business.step();
  }

  async #prepare(): Promise<void> {
    const { orgs } = this.#options;
    await this.crm.ensureOrgs(orgs);
    const open = [];
    for (const { id } of orgs) open.push(...(await this.crm.openInvoices(id, adoptLimit)));
    this.#business.adopt(open);
    this.#prepared = true;
  }

  #withhold(debt: Debt): true {
    if (this.#withheld.length >= withheldLimit) {
      this.#withheld.shift();
      this.#forgotten.inc();
    }
    this.#withheld.push(debt);
    return true;
  }

  async #payWithheld(): Promise<void> {
    const debt = this.#withheld[0];
    if (debt === undefined) return;
    try {
      await this.crm.payInvoice(debt.invoiceId, debt.amountCents, debt.reference);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    if (this.#withheld[0] === debt) this.#withheld.shift();
  }

  async #burn(): Promise<void> {
    const { orgs } = this.#options;
    const org = orgs[this.#withheld.length % orgs.length] as (typeof orgs)[number];
    const { id, amount_cents } = await this.crm.createInvoice({ org_id: org.id, customer: "Burn scenario", amount_cents: 5000, due_at: new Date(this.#clock.now() + burnTermMs).toISOString() });
    this.#withhold({ invoiceId: id, amountCents: amount_cents, reference: "burn scenario" });
  }

  /** One cent at a time on one invoice; the rest when the scenario ends. */
  async #heat(): Promise<void> {
    const going = this.#options.scenarios.active("hot-key");
    if (this.#hot === undefined) {
      const { id, amount_cents } = await this.crm.createInvoice({ org_id: this.#hotOrgId, customer: "Hot key scenario", amount_cents: hotKeyCents, due_at: new Date(this.#clock.now() + dayMs).toISOString() });
      this.#hot = { invoiceId: id, amountCents: amount_cents, reference: "hot key scenario", paidCents: 0 };
      return;
    }
    const left = this.#hot.amountCents - this.#hot.paidCents;
    const amount = going ? 1 : left;
    try {
      await this.crm.payInvoice(this.#hot.invoiceId, amount, this.#hot.reference);
    } catch (error) {
      if (error instanceof Refused) this.#hot = undefined;
      throw error;
    }
    this.#hot.paidCents += amount;
    if (left === amount) this.#hot = undefined;
  }

  async #connectQbo(): Promise<void> {
    if (!unconnected.includes(await this.crm.qboState())) return;
    await this.crm.connectQbo();
    this.#options.log.info("connected QuickBooks");
  }
}
