/** Invoices and payments as QuickBooks writes them, reduced to what is used here. */
import { z } from "zod";
import { oneLine } from "./text.ts";

export type EntityName = "Invoice" | "Payment";

/**
 * Turns an amount such as 1234.5 into cents, by its decimal digits and not by floating-point arithmetic.
 * @throws RangeError for more than two decimal places, or an amount out of the exact range
 */
export function toCents(amount: number | string): number {
  const match = /^(-?)(\d+)(?:\.(\d{1,2})0*)?$/.exec(String(amount).trim());
  const cents = match === null ? Number.NaN : Number(match[2]) * 100 + Number((match[3] ?? "").padEnd(2, "0"));
  if (match === null || !Number.isSafeInteger(cents)) throw new RangeError(`${String(amount).slice(0, 40)} is not an amount in cents`);
  return match[1] === "-" ? -cents : cents;
}

/** Cents as the JSON number that QuickBooks expects. */
export const fromCents = (cents: number): number => cents / 100;

const money = z
  .union([z.number(), z.string()])
  .transform((v, context) => {
    try {
      return toCents(v);
    } catch {
      context.addIssue({ code: "custom", message: "is not an amount" });
      return z.NEVER;
    }
  });

/** What QuickBooks' own forms take at most, 99 999 999 999.99: what is beyond it is no amount, and would spoil every sum. */
const maxCents = 9_999_999_999_999;
const inRange = z.number().refine((cents) => cents >= 0 && cents <= maxCents, "is out of range");
const total = money.pipe(inRange);
const balance = money.refine((cents) => Math.abs(cents) <= maxCents, "is out of range");

/** Far from the times that no longer can be written with four digits of a year. */
const lastTime = Date.UTC(9000, 0);
const time = z.string().transform((v, context) => {
  const ms = Date.parse(v);
  if (ms >= 0 && ms < lastTime) return ms;
  context.addIssue({ code: "custom", message: "is not a date and time" });
  return z.NEVER;
});

/** QuickBooks' own limits. */
const text = (max: number) => z.string().transform((v) => oneLine(v, max));
const name = text(500);
const note = text(4_000);

const id = z.string().regex(/^[\x21-\x7e]{1,64}$/, "is not an id");
const metaData = z.object({ CreateTime: time, LastUpdatedTime: time });
const reference = z.object({ value: name, name: name.optional() });
const syncToken = z.coerce.number().int().nonnegative();

/** Home units of one foreign unit, such as 0.0067; kept as its digits. */
const rate = z
  .union([z.number(), z.string()])
  .transform(String)
  .refine((v) => /^\d{1,12}(\.\d{1,20})?$/.test(v) && Number(v) > 0, "is not an exchange rate");
// What cannot be read of these is as good as absent: in the company's own currency nobody needs it.
const currency = { CurrencyRef: reference.optional(), ExchangeRate: rate.optional().catch(undefined), HomeTotalAmt: total.optional().catch(undefined) };

export const qboInvoice = z.object({
  ...currency,
  HomeBalance: balance.optional().catch(undefined),
  Id: id,
  SyncToken: syncToken,
  MetaData: metaData,
  TotalAmt: total,
  Balance: balance.optional(),
  TxnDate: z.string().optional(),
  DueDate: z.string().optional(),
  CustomerRef: reference.optional(),
  PrivateNote: note.optional(),
});
export type QboInvoice = z.output<typeof qboInvoice>;

export const qboPayment = z.object({
  ...currency,
  Id: id,
  SyncToken: syncToken,
  MetaData: metaData,
  TotalAmt: total,
  PrivateNote: note.optional(),
});
export type QboPayment = z.output<typeof qboPayment>;

/** A foreign amount in the home currency, by decimal digits, to the nearest cent. @throws ZodError beyond the range */
export function convertCents(cents: number, exchangeRate: string): number {
  if (cents < 0) return -convertCents(-cents, exchangeRate);
  const [whole = "", part = ""] = exchangeRate.split(".");
  const unit = 10n ** BigInt(part.length);
  return inRange.parse(Number((2n * BigInt(cents) * BigInt(whole + part) + unit) / (2n * unit)));
}

/** @param home currency of the company's books; null while it is not known: then only a rate tells a foreign one */
function rateOf(copy: QboInvoice | QboPayment, home: string | null): string | undefined {
  const { CurrencyRef, ExchangeRate } = copy;
  if (CurrencyRef === undefined || (home === null ? ExchangeRate === undefined : CurrencyRef.value === home)) return undefined;
  if (ExchangeRate !== undefined) return ExchangeRate;
  throw new z.ZodError([{ code: "custom", path: ["ExchangeRate"], message: `is missing, and ${CurrencyRef.value} is not the company's currency`, input: undefined }]);
}

/** With its amounts in the currency of the company's books. @throws ZodError when that cannot be told */
export function homePayment(copy: QboPayment, home: string | null): QboPayment {
  const exchangeRate = rateOf(copy, home);
  return exchangeRate === undefined ? copy : { ...copy, TotalAmt: copy.HomeTotalAmt ?? convertCents(copy.TotalAmt, exchangeRate) };
}

/** As `homePayment`. */
export function homeInvoice(copy: QboInvoice, home: string | null): QboInvoice {
  const exchangeRate = rateOf(copy, home);
  if (exchangeRate === undefined) return copy;
  const TotalAmt = copy.HomeTotalAmt ?? convertCents(copy.TotalAmt, exchangeRate);
  // An untouched invoice owes all of it, whichever way its total was rounded.
  const Balance = copy.Balance === undefined || copy.Balance === copy.TotalAmt ? TotalAmt : (copy.HomeBalance ?? convertCents(copy.Balance, exchangeRate));
  return { ...copy, TotalAmt, Balance };
}

/** What change data capture says of an object that is gone. */
export const qboDeleted = z.object({ Id: id, status: z.literal("Deleted"), MetaData: z.object({ LastUpdatedTime: time }).optional() });

/** Our id travels in the note, so that a write whose answer was lost is recognised when it comes back as a change. */
export const marker = (kind: "invoice" | "payment", id: string): string => `CRM ${kind} ${id}`;

export function markedId(kind: "invoice" | "payment", note: string | undefined): string | undefined {
  return note === undefined ? undefined : new RegExp(`\\bCRM ${kind} ([0-9a-f-]{36})\\b`).exec(note)?.[1];
}

/** QuickBooks keeps a void object with an amount of 0 and says so in its note. */
export const isVoid = (entity: { TotalAmt: number; PrivateNote?: string | undefined }): boolean => entity.TotalAmt === 0 && /\bvoided\b/i.test(entity.PrivateNote ?? "");

const dayMs = 24 * 60 * 60 * 1000;

/** @returns NaN for anything but a day, such as 2026-01-31 */
const endOf = (day = ""): number => (/^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T23:59:59.999Z`) : Number.NaN);

/** The end of the due day; 30 days after its date for an invoice without one. */
export function dueAt(invoice: QboInvoice): number {
  const due = endOf(invoice.DueDate);
  if (!Number.isNaN(due)) return due;
  const dated = endOf(invoice.TxnDate);
  return (Number.isNaN(dated) ? invoice.MetaData.CreateTime : dated) + 30 * dayMs;
}
