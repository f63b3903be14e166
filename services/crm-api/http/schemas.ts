/** What the API accepts; every refusal names the field. */
import { z } from "zod";

/** Largest amount: sums of a hundred thousand of them still are exact numbers, and QuickBooks takes it. */
export const maxCents = 10_000_000_000;

const unpaired = "must not contain control characters or broken Unicode";
const turning = "must not contain line separators or marks that turn the direction of text";

/** One line of text without surrounding blanks, in which nothing but what joins or parts letters is invisible. */
const line = (max: number) =>
  z
    .string()
    .trim()
    .min(1, "must not be empty")
    .max(max)
    .refine((v) => !/\p{Cc}/u.test(v) && v.isWellFormed(), unpaired)
    .refine((v) => !/[\u2028\u2029\u202a-\u202e\u2066-\u2069]/.test(v), turning)
    .refine((v) => v === "" || /[^\p{Default_Ignorable_Code_Point}\p{Cf}\p{Z}]/u.test(v), "must have something that can be seen");

/** Identifiers in a path, query or body; also those of organisations, which people choose. */
export const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit");

const cents = z.int("must be a whole number of cents").positive("must be more than 0 cents").max(maxCents, `must be at most ${maxCents} cents`);

/** The last moment that is written with four digits of a year. */
const lastTime = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const time = z.iso
  .datetime({ offset: true, error: "must be an ISO 8601 date and time with a zone, such as 2030-01-31T12:00:00Z" })
  .transform((v) => Date.parse(v))
  .refine((v) => Number.isSafeInteger(v), "is not a date")
  .refine((v) => !(v > lastTime), "must not be after the year 9999 in UTC");

export const newOrg = z.strictObject({ id, name: line(200) });
export const newLead = z.strictObject({ org_id: id, name: line(200), email: z.email().max(254).optional(), source: line(100).optional() });
export const newProposal = z.strictObject({ org_id: id, lead_id: id.optional(), title: line(200), amount_cents: cents });
export const newInvoice = z.strictObject({ org_id: id, proposal_id: id.optional(), customer: line(100), amount_cents: cents.optional(), due_at: time.optional() });
const payment = { amount_cents: cents, reference: line(100).optional() };
export const newPayment = z.strictObject({ invoice_id: id, ...payment });
export const invoicePayment = z.strictObject(payment);
/** For requests that say everything by their path. */
export const nothing = z.strictObject({}).optional();

export const byId = z.strictObject({ id });

const page = {
  /** At most this many, newest first; organisations by id, descending. */
  limit: z.coerce.number().int().min(1).max(500).default(100),
  /** The id of the last one of the page before. */
  before: id.optional(),
};
export const orgPage = z.strictObject(page);
export const listPage = z.strictObject({ ...page, org_id: id.optional() });
export const invoicePage = z.strictObject({ ...page, org_id: id.optional(), status: z.enum(["open", "paid", "void"]).optional() });
export const paymentPage = z.strictObject({ ...page, org_id: id.optional(), invoice_id: id.optional() });

const unixSeconds = z
  .string()
  .regex(/^\d{1,11}(\.\d{1,3})?$/, "must be Unix time in seconds")
  .transform(Number);
export const windowQuery = z
  .strictObject({ from: unixSeconds, to: unixSeconds })
  .refine((w) => w.from <= w.to, { path: ["from"], message: "must not be after to" });
