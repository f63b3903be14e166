/**
 * Makes in QuickBooks what was done here. Each write carries a requestid of its own, kept with it: repeated after a lost
 * answer or a crash, it makes one object and gives the first answer again.
 */
import { z } from "zod";
import type { Logger } from "../../shared/log.ts";
import type { Changes, Unit } from "../crm/unit.ts";
import type { Db } from "../store/store.ts";
import type { Invoice, Payment, QboConnection, QboPush } from "../store/tables.ts";
import { withOthersTried } from "./alone.ts";
import { link, readAnew } from "./apply.ts";
import type { QboClient } from "./client.ts";
import { fromCents, marker, qboInvoice, qboPayment, type EntityName, type QboInvoice, type QboPayment } from "./entities.ts";
import { faultCodes, isRefusal, QboFault, QboUnreachable } from "./errors.ts";
import { wasAnswered } from "./inbox.ts";
import { queryPage, quoted, readOne } from "./query.ts";

/** Writes of one round. */
const batch = 500;
const maxAttempts = 10;
/** An answer that cannot be used counts as an attempt up to here: for that alone, or soon after it, no write is given up. */
const unansweredAttempts = 7;
/** So many such answers in a row of writes tell that it is not these writes. */
const unansweredWrites = 3;
const firstRetryMs = 5_000;
const lastRetryMs = 30 * 60_000;

type Done = { readonly table: "invoices" | "payments"; readonly id: string; readonly copy: QboInvoice | QboPayment } | undefined;

/**
 * Sends a company's writes that are due; those of one invoice in their order.
 * @returns how many were sent
 * @throws QboUnreachable, QboRateLimited or QboNotAuthorised, which may concern all writes; those stay as they are, but for
 * one that got an answer which cannot be used, or none while others do: it is put off, or it would hold up the others for as
 * long as it does
 */
export async function sendPushes(changes: Changes, client: QboClient, company: QboConnection, log: Logger): Promise<number> {
  const pushes = await duePushes(changes, company.org_id);
  const writer = new Writer(changes, client, company);
  const blocked = new Set<string>();
  const unanswered: QboUnreachable[] = [];
  let sent = 0;
  for (const push of pushes) {
    if (blocked.has(push.invoice_id)) continue;
    if (push.next_attempt_at > changes.clock.now() || !(await sendOne(changes, writer, push, log, unanswered))) blocked.add(push.invoice_id);
    else sent++;
    if (unanswered.length === unansweredWrites) break;
  }
  if (unanswered[0] !== undefined) throw unanswered[0];
  return sent;
}

/**
 * The writes of invoices whose first one is due: those that were never tried first, then those that waited longest; an
 * invoice's keep their order behind its first one. What is put off leaves room for others, however much it is.
 */
async function duePushes(changes: Changes, orgId: string): Promise<QboPush[]> {
  const { db } = changes.store;
  const now = changes.clock.now();
  await endOldWaits(db, orgId, now);
  const turns = db
    .selectFrom("qbo_pushes")
    .select((eb) => ["seq as turn", eb.fn.agg<number>("first_value", ["next_attempt_at"]).over((o) => o.partitionBy("invoice_id").orderBy("seq")).as("due_at")])
    .where("org_id", "=", orgId)
    .where("done_at", "is", null)
    .where("failed_at", "is", null);
  const due = db.selectFrom(turns.as("turns")).innerJoin("qbo_pushes", "seq", "turn").selectAll("qbo_pushes").where("due_at", "<=", now);
  return due.orderBy("due_at").orderBy("seq").limit(batch).execute();
}

/** None is put off for so long: the clock was set back since, and that time may be far away. */
async function endOldWaits(db: Db, orgId: string, now: number): Promise<void> {
  await db.updateTable("qbo_pushes").set({ next_attempt_at: now }).where("org_id", "=", orgId).where("done_at", "is", null).where("next_attempt_at", ">", now + lastRetryMs).execute();
}

/**
 * @param unanswered gets the error when the answer cannot be used, which may be so for other writes too
 * @returns whether the next write of the same invoice may go
 */
async function sendOne(changes: Changes, writer: Writer, push: QboPush, log: Logger, unanswered: QboUnreachable[]): Promise<boolean> {
  try {
    const done = await writer.write(push);
    await changes.commit(async (u) => {
      await u.tx.updateTable("qbo_pushes").set({ done_at: u.at, problem: null }).where("id", "=", push.id).execute();
      if (done === undefined) await readAnew(u, writer.company, push.invoice_id);
      else await u.tx.updateTable(done.table).set(link(writer.company.realm_id, done.copy)).where("id", "=", done.id).execute();
    });
    return true;
  } catch (error) {
    const refused = isRefusal(error);
    if (!refused && !wasAnswered(error)) throw error;
    const attempts = refused ? push.attempts + 1 : Math.max(push.attempts, Math.min(push.attempts + 1, unansweredAttempts));
    const gaveUp = attempts >= maxAttempts;
    await changes.commit(async (u) => {
      // Refused, not lost: it is not there, and would only be made in order to be void.
      const needless = gaveUp && error instanceof QboFault && push.kind === "invoice.create" && (await isVoid(u, push.subject_id));
      const retry = { attempts, next_attempt_at: u.at + Math.min(lastRetryMs, firstRetryMs * 2 ** attempts), problem: error.message.slice(0, 500), failed_at: gaveUp && !needless ? u.at : null, done_at: needless ? u.at : null };
      await u.tx.updateTable("qbo_pushes").set(retry).where("id", "=", push.id).execute();
      if (gaveUp) await readAnew(u, writer.company, push.invoice_id);
    });
    log.error({ err: error, realm: writer.company.realm_id, kind: push.kind, subject: push.subject_id, attempts, gave_up: gaveUp }, refused ? "QuickBooks refused a write" : "QuickBooks gave no usable answer to a write; it will be tried again");
    if (error instanceof QboUnreachable && !error.concernsOneRequest) unanswered.push(error);
    return gaveUp;
  }
}

async function isVoid(u: Unit, invoiceId: string): Promise<boolean> {
  return (await u.tx.selectFrom("invoices").select("status").where("id", "=", invoiceId).executeTakeFirst())?.status === "void";
}

const ref = z.object({ Id: z.string() });
const reference = z.object({ value: z.string() });
const customer = ref.extend({ CurrencyRef: reference.optional() });
const owed = z.object({ CustomerRef: reference, CurrencyRef: reference.optional() });

class Writer {
  readonly company: QboConnection;
  readonly #changes: Changes;
  readonly #client: QboClient;

  constructor(changes: Changes, client: QboClient, company: QboConnection) {
    this.#changes = changes;
    this.#client = client;
    this.company = company;
  }

  /**
   * @returns the object as QuickBooks has it now; undefined when there was nothing to do
   * @throws what a call throws, marked when only this write gets no answer
   */
  async write(push: QboPush): Promise<Done> {
    try {
      return await this.#write(push);
    } catch (error) {
      throw await withOthersTried(this.#client, this.company.realm_id, error);
    }
  }

  async #write(push: QboPush): Promise<Done> {
    if (push.kind === "invoice.create") return this.#createInvoice(push);
    if (push.kind === "invoice.void") return this.#voidInvoice(push);
    if (push.kind === "payment.create") return this.#createPayment(push);
    return this.#voidPayment(push);
  }

  async #createInvoice(push: QboPush): Promise<Done> {
    const invoice = await this.#invoice(push.subject_id);
    // Also one that is void by now: it may be there, if an answer was lost, and only the same requestid tells its id.
    if (invoice.qbo_id !== null) return undefined;
    const body = {
      CustomerRef: { value: await this.#customer(push, invoice.customer) },
      TxnDate: day(invoice.created_at),
      DueDate: day(invoice.due_at),
      PrivateNote: marker("invoice", invoice.id),
      // Without an item QuickBooks takes a line for a remark and ignores its amount.
      Line: [{ Amount: fromCents(invoice.amount_cents), DetailType: "SalesItemLineDetail", SalesItemLineDetail: { ItemRef: { value: await this.#item() } } }],
    };
    const answer = await this.#post("create", "invoice", push.id, body);
    return { table: "invoices", id: invoice.id, copy: qboInvoice.parse(answer["Invoice"]) };
  }

  async #createPayment(push: QboPush): Promise<Done> {
    const [payment, invoice] = [await this.#payment(push.subject_id), await this.#invoice(push.invoice_id)];
    if (invoice.qbo_id === null) await this.#requireSent("invoice.create", invoice.id);
    // An invoice from before the connection is not in QuickBooks, and its payments need not be.
    if (payment.qbo_id !== null || !this.#isOurs(invoice) || invoice.qbo_id === null) return undefined;
    // Not by the name: it may have been changed there, and a sub-customer's invoice has another one than the customer.
    const { CustomerRef, CurrencyRef } = owed.parse(await readOne(this.#client, this.company.realm_id, "Invoice", invoice.qbo_id));
    this.#requireHome(`invoice ${invoice.qbo_id}`, CurrencyRef);
    const body = {
      CustomerRef: { value: CustomerRef.value },
      TotalAmt: fromCents(payment.amount_cents),
      TxnDate: day(payment.created_at),
      PrivateNote: marker("payment", payment.id),
      Line: [{ Amount: fromCents(payment.amount_cents), LinkedTxn: [{ TxnId: invoice.qbo_id, TxnType: "Invoice" }] }],
    };
    const answer = await this.#post("create", "payment", push.id, body);
    return { table: "payments", id: payment.id, copy: qboPayment.parse(answer["Payment"]) };
  }

  async #voidInvoice(push: QboPush): Promise<Done> {
    const invoice = await this.#invoice(push.subject_id);
    if (invoice.qbo_id === null) await this.#requireSent("invoice.create", invoice.id);
    if (!this.#isOurs(invoice) || invoice.qbo_id === null) return undefined;
    const answer = await this.#change("Invoice", invoice.qbo_id, push.id, { operation: "void" }, {});
    return answer === undefined ? undefined : { table: "invoices", id: invoice.id, copy: qboInvoice.parse(answer) };
  }

  async #voidPayment(push: QboPush): Promise<Done> {
    const payment = await this.#payment(push.subject_id);
    if (payment.qbo_id === null) await this.#requireSent("payment.create", payment.id);
    if (!this.#isOurs(payment) || payment.qbo_id === null) return undefined;
    const answer = await this.#change("Payment", payment.qbo_id, push.id, { operation: "update", include: "void" }, { sparse: true });
    return answer === undefined ? undefined : { table: "payments", id: payment.id, copy: qboPayment.parse(answer) };
  }

  /** What a write builds on has to be there first, also when that was given up and may be sent again. @throws QboFault */
  async #requireSent(kind: QboPush["kind"], subjectId: string): Promise<void> {
    const open = this.#changes.store.db.selectFrom("qbo_pushes").select("id").where("kind", "=", kind).where("subject_id", "=", subjectId).where("done_at", "is", null);
    if ((await open.executeTakeFirst()) !== undefined) throw new QboFault("not-sent", `it waits for the write ${kind} of ${subjectId}`);
  }

  /** Changes an object on the base of its newest version. @returns undefined when it is gone */
  async #change(entity: EntityName, id: string, requestId: string, query: Record<string, string>, body: Record<string, unknown>): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      try {
        const { SyncToken } = z.object({ SyncToken: z.string() }).parse(await readOne(this.#client, this.company.realm_id, entity, id));
        // A newer version is another request: the old one's answer must not be given for it.
        const answer = await this.#post(query["operation"] ?? "update", entity.toLowerCase(), `${requestId}-${SyncToken}`, { ...body, Id: id, SyncToken }, query);
        return answer[entity];
      } catch (error) {
        if (!(error instanceof QboFault)) throw error;
        if (error.code === faultCodes.notFound) return undefined;
        if (error.code !== faultCodes.staleSyncToken || attempt === 2) throw error;
      }
    }
  }

  async #customer(push: QboPush, name: string): Promise<string> {
    // QuickBooks separates sub-customers by colons.
    const displayName = name.replaceAll(":", " ").trim();
    const found = await this.#findCustomer(displayName);
    if (found !== undefined) return found;
    try {
      const answer = await this.#post("create", "customer", `${push.id}-c`, { DisplayName: displayName });
      return ref.parse(answer["Customer"]).Id;
    } catch (error) {
      if (!(error instanceof QboFault) || error.code !== faultCodes.duplicateName) throw error;
      const other = await this.#findCustomer(displayName);
      if (other === undefined) throw error;
      return other;
    }
  }

  async #findCustomer(displayName: string): Promise<string | undefined> {
    const page = await queryPage(this.#client, this.company.realm_id, "Customer", `WHERE DisplayName = ${quoted(displayName)}`, 1, 1);
    if (page.rows.length === 0) return undefined;
    const { Id, CurrencyRef } = customer.parse(page.rows[0]);
    this.#requireHome(`customer ${Id}`, CurrencyRef);
    return Id;
  }

  /** Amounts are sent in the company's own currency. @throws QboFault for an object with another one */
  #requireHome(what: string, currency: z.output<typeof reference> | undefined): void {
    const home = this.company.home_currency;
    if (home !== null && currency !== undefined && currency.value !== home) throw new QboFault("foreign", `${what} has ${currency.value} for its currency, and amounts are in ${home}`);
  }

  async #item(): Promise<string> {
    const page = await queryPage(this.#client, this.company.realm_id, "Item", "WHERE Type = 'Service'", 1, 1);
    if (page.rows.length === 0) throw new QboFault("no-item", "the company has no service item to put on an invoice: make one in QuickBooks");
    return ref.parse(page.rows[0]).Id;
  }

  async #post(operation: string, path: string, requestId: string, body: unknown, query: Record<string, string> = {}): Promise<Record<string, unknown>> {
    const answer = await this.#client.call(this.company.realm_id, { operation, path, query: { ...query, requestid: requestId }, body });
    return z.record(z.string(), z.unknown()).parse(answer);
  }

  #isOurs(row: Pick<Invoice, "qbo_realm" | "qbo_id">): boolean {
    return row.qbo_id !== null && row.qbo_realm === this.company.realm_id;
  }

  #invoice(id: string): Promise<Invoice> {
    return this.#changes.store.db.selectFrom("invoices").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }

  #payment(id: string): Promise<Payment> {
    return this.#changes.store.db.selectFrom("payments").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
