/** One company's books: customers, items, invoices and payments, with the rules that the real ones keep. */
import { z } from "zod";
import { qboDate, qboTime, type StandinClock } from "./clock.ts";
import { QboRefusal } from "./faults.ts";

export type EntityName = "Customer" | "Item" | "Invoice" | "Payment";
export type Operation = "Create" | "Update" | "Delete" | "Void";

interface Base {
  readonly Id: string;
  SyncToken: string;
  MetaData: { CreateTime: string; LastUpdatedTime: string };
}

interface Reference {
  readonly value: string;
  readonly name?: string;
}

export interface Customer extends Base {
  readonly DisplayName: string;
  readonly Active: true;
}

export interface Item extends Base {
  readonly Name: string;
  readonly Type: "Service";
}

export interface Preferences extends Base {
  readonly CurrencyPrefs: { readonly MultiCurrencyEnabled: boolean; readonly HomeCurrency: { readonly value: string } };
}

export interface InvoiceObject extends Base {
  DocNumber: string;
  TxnDate: string;
  DueDate: string;
  TotalAmt: number;
  Balance: number;
  CustomerRef: Reference;
  PrivateNote?: string;
  Line: unknown[];
}

interface PaymentLine {
  readonly Amount: number;
  readonly LinkedTxn: readonly { readonly TxnId: string; readonly TxnType: string }[];
}

export interface PaymentObject extends Base {
  TxnDate: string;
  TotalAmt: number;
  UnappliedAmt: number;
  CustomerRef: Reference;
  PrivateNote?: string;
  Line: PaymentLine[];
}

/** One object changed; what webhooks and change data capture tell. */
export interface Change {
  readonly entity: EntityName;
  readonly id: string;
  readonly operation: Operation;
  readonly at: number;
}

const amount = z.number().nonnegative().max(99_999_999_999);
const reference = z.object({ value: z.string(), name: z.string().optional() });
const note = z.string().max(4_000).optional();

const invoiceInput = z.object({
  CustomerRef: reference,
  TxnDate: z.iso.date().optional(),
  DueDate: z.iso.date().optional(),
  PrivateNote: note,
  Line: z.array(z.object({ Amount: amount.optional(), DetailType: z.string(), SalesItemLineDetail: z.object({ ItemRef: reference.optional() }).optional() })).min(1),
});
const paymentInput = z.object({
  CustomerRef: reference,
  TotalAmt: amount,
  TxnDate: z.iso.date().optional(),
  PrivateNote: note,
  Line: z.array(z.object({ Amount: amount, LinkedTxn: z.array(z.object({ TxnId: z.string(), TxnType: z.string() })).min(1) })).default([]),
});
const customerInput = z.object({ DisplayName: z.string().min(1).max(500).regex(/^[^:\t\n]*$/) });
const versioned = z.object({ Id: z.string(), SyncToken: z.string() });

function read<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new QboRefusal("2020", "Required param missing, need to supply the required value for the API", `Required parameter ${issue?.path.join(".") ?? ""} is missing or wrong: ${issue?.message ?? ""}`);
}

const cents = (value: number): number => Math.round(value * 100);
const termMs = 30 * 24 * 60 * 60 * 1000;

export class Books {
  readonly realm: string;
  readonly customers = new Map<string, Customer>();
  readonly items = new Map<string, Item>();
  readonly preferences = new Map<string, Preferences>();
  readonly invoices = new Map<string, InvoiceObject>();
  readonly payments = new Map<string, PaymentObject>();
  /** Deleted objects: when they went. */
  readonly graves: { readonly entity: EntityName; readonly id: string; readonly at: number }[] = [];
  readonly #clock: StandinClock;
  readonly #changed: (change: Change) => void;
  #lastId = 0;

  /** @param changed called after each change, which is what webhooks announce */
  constructor(realm: string, clock: StandinClock, changed: (change: Change) => void) {
    this.realm = realm;
    this.#clock = clock;
    this.#changed = changed;
    this.items.set("1", { ...this.#base(), Name: "Services", Type: "Service" });
    this.preferences.set("1", { ...this.#base(), CurrencyPrefs: { MultiCurrencyEnabled: true, HomeCurrency: { value: "USD" } } });
  }

  rows(entity: string): Map<string, Base> | undefined {
    if (entity === "Customer") return this.customers;
    if (entity === "Item") return this.items;
    if (entity === "Invoice") return this.invoices;
    if (entity === "Preferences") return this.preferences;
    return entity === "Payment" ? this.payments : undefined;
  }

  /** @throws QboRefusal 610 when it is not there */
  find<T extends Base>(rows: Map<string, T>, id: string): T {
    const found = rows.get(id);
    if (found === undefined) throw new QboRefusal("610", "Object Not Found", `Object Not Found : Something you're trying to use has been made inactive or deleted: ${id}`);
    return found;
  }

  createCustomer(input: unknown): Customer {
    const { DisplayName } = read(customerInput, input);
    if ([...this.customers.values()].some((c) => c.DisplayName.toLowerCase() === DisplayName.toLowerCase())) throw new QboRefusal("6240", "Duplicate Name Exists Error", "The name supplied already exists.");
    const customer: Customer = { ...this.#base(), DisplayName, Active: true };
    this.customers.set(customer.Id, customer);
    this.#announce("Customer", customer.Id, "Create");
    return customer;
  }

  createInvoice(input: unknown): InvoiceObject {
    const given = read(invoiceInput, input);
    const customer = this.#customer(given.CustomerRef);
    // A line without an item is a remark: its amount does not count.
    const total = given.Line.reduce((sum, line) => sum + (line.SalesItemLineDetail?.ItemRef === undefined ? 0 : cents(line.Amount ?? 0)), 0) / 100;
    const base = this.#base();
    const invoice: InvoiceObject = {
      ...base,
      DocNumber: String(1_000 + Number(base.Id)),
      TxnDate: given.TxnDate ?? qboDate(this.#clock.now()),
      DueDate: given.DueDate ?? qboDate(this.#clock.now() + termMs),
      TotalAmt: total,
      Balance: total,
      CustomerRef: customer,
      Line: given.Line,
      ...(given.PrivateNote === undefined ? {} : { PrivateNote: given.PrivateNote }),
    };
    this.invoices.set(invoice.Id, invoice);
    this.#announce("Invoice", invoice.Id, "Create");
    return invoice;
  }

  createPayment(input: unknown): PaymentObject {
    const given = read(paymentInput, input);
    const customer = this.#customer(given.CustomerRef);
    const total = cents(given.TotalAmt);
    // As the real ones, these books know nothing below a cent.
    const asked = given.Line.reduce((sum, line) => sum + cents(line.Amount), 0);
    if (asked > total) throw new QboRefusal("6070", "Amount applied is more than the payment", "The lines exceed TotalAmt.");
    const strangers = given.Line.flatMap((line) => line.LinkedTxn).filter((txn) => this.find(this.invoices, txn.TxnId).CustomerRef.value !== customer.value);
    if (strangers.length > 0) throw new QboRefusal("6000", "A business validation error has occurred while processing your request", "Business Validation Error: a payment can only be linked to invoices of its own customer.");
    const lines = this.#applicable(given.Line);
    const applied = lines.reduce((sum, line) => sum + cents(line.Amount), 0);
    const targets = lines.flatMap((line) => line.LinkedTxn.map((txn) => ({ invoice: this.find(this.invoices, txn.TxnId), amount: line.Amount })));
    const payment: PaymentObject = {
      ...this.#base(),
      TxnDate: given.TxnDate ?? qboDate(this.#clock.now()),
      TotalAmt: total / 100,
      UnappliedAmt: (total - applied) / 100,
      CustomerRef: customer,
      Line: lines,
      ...(given.PrivateNote === undefined ? {} : { PrivateNote: given.PrivateNote }),
    };
    this.payments.set(payment.Id, payment);
    this.#announce("Payment", payment.Id, "Create");
    for (const target of targets) this.#changeBalance(target.invoice, -cents(target.amount));
    return payment;
  }

  /** As much of each line as its invoices still owe; the rest stays on the payment. */
  #applicable(lines: readonly PaymentLine[]): PaymentLine[] {
    const owed = new Map<string, number>();
    return lines.map((line) => {
      const targets = line.LinkedTxn.map(({ TxnId }) => ({ TxnId, left: owed.get(TxnId) ?? cents(this.find(this.invoices, TxnId).Balance) }));
      const applied = Math.min(cents(line.Amount), ...targets.map((t) => t.left));
      for (const { TxnId, left } of targets) owed.set(TxnId, left - applied);
      return { ...line, Amount: applied / 100 };
    });
  }

  /** Keeps it with an amount of 0, as QuickBooks does. @param input `Id` and the newest `SyncToken` */
  voidInvoice(input: unknown): InvoiceObject {
    const invoice = this.#newest(this.invoices, input);
    Object.assign(invoice, { TotalAmt: 0, Balance: 0, PrivateNote: voided(invoice.PrivateNote) });
    this.#touch(invoice, true);
    this.#announce("Invoice", invoice.Id, "Void");
    return invoice;
  }

  voidPayment(input: unknown): PaymentObject {
    const payment = this.#newest(this.payments, input);
    this.#takeBack(payment);
    Object.assign(payment, { TotalAmt: 0, UnappliedAmt: 0, Line: [], PrivateNote: voided(payment.PrivateNote) });
    this.#touch(payment, true);
    this.#announce("Payment", payment.Id, "Void");
    return payment;
  }

  remove(entity: "Invoice" | "Payment", input: unknown): { Id: string; status: "Deleted" } {
    const rows: Map<string, Base> = entity === "Invoice" ? this.invoices : this.payments;
    const object = this.#newest(rows, input);
    if (entity === "Payment") this.#takeBack(object as PaymentObject);
    rows.delete(object.Id);
    this.graves.push({ entity, id: object.Id, at: this.#clock.now() });
    this.#announce(entity, object.Id, "Delete");
    return { Id: object.Id, status: "Deleted" };
  }

  /** Changes fields of an invoice or payment as a person at QuickBooks would. */
  edit(entity: "Invoice" | "Payment", id: string, fields: Readonly<Record<string, unknown>>): Base {
    const object = this.find<Base>(entity === "Invoice" ? this.invoices : this.payments, id);
    Object.assign(object, fields);
    this.#touch(object, true);
    this.#announce(entity, id, "Update");
    return object;
  }

  /** Dates an object as if it had been made then. */
  backdate(object: Base, at: number): void {
    object.MetaData = { CreateTime: qboTime(at), LastUpdatedTime: qboTime(at) };
  }

  #takeBack(payment: PaymentObject): void {
    for (const line of payment.Line) {
      for (const txn of line.LinkedTxn) {
        const invoice = this.invoices.get(txn.TxnId);
        if (invoice !== undefined) this.#changeBalance(invoice, cents(line.Amount));
      }
    }
  }

  #changeBalance(invoice: InvoiceObject, byCents: number): void {
    invoice.Balance = Math.min(cents(invoice.TotalAmt), Math.max(0, cents(invoice.Balance) + byCents)) / 100;
    // A payment gives its invoice no new version, only a new date.
    this.#touch(invoice, false);
    this.#announce("Invoice", invoice.Id, "Update");
  }

  #customer(ref: Reference): Reference {
    const customer = this.customers.get(ref.value);
    if (customer === undefined) throw new QboRefusal("2500", "Invalid Reference Id", `Invalid Reference Id : Names element id ${ref.value} not found`);
    return { value: customer.Id, name: customer.DisplayName };
  }

  #newest<T extends Base>(rows: Map<string, T>, input: unknown): T {
    const { Id, SyncToken } = read(versioned, input);
    const object = this.find(rows, Id);
    if (object.SyncToken !== SyncToken) throw new QboRefusal("5010", "Stale Object Error", "Stale Object Error : You and another user were working on this at the same time.");
    return object;
  }

  #base(): Base {
    const at = qboTime(this.#clock.now());
    return { Id: String(++this.#lastId), SyncToken: "0", MetaData: { CreateTime: at, LastUpdatedTime: at } };
  }

  #touch(object: Base, newVersion: boolean): void {
    object.MetaData = { ...object.MetaData, LastUpdatedTime: qboTime(this.#clock.now()) };
    if (newVersion) object.SyncToken = String(Number(object.SyncToken) + 1);
  }

  #announce(entity: EntityName, id: string, operation: Operation): void {
    this.#changed({ entity, id, operation, at: this.#clock.now() });
  }
}

const voided = (text: string | undefined): string => (text === undefined ? "Voided" : `Voided - ${text}`);
