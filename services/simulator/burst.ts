/** A bounded burst of business at once, for tests that need a known amount of it. */
import { z } from "zod";
import { Refused, type Crm } from "./crm.ts";

export const burstSchema = z.strictObject({
  org_id: z.string().min(1).max(63),
  /** How many invoices are created. */
  invoices: z.number().int().min(1).max(1000),
  /** How many of them are paid in full. @default all */
  pay: z.number().int().min(0).optional(),
  amount_cents: z.number().int().min(1).max(10_000_000).default(10_000),
  /** From now to the due date. */
  term_seconds: z.number().min(1).max(86_400).default(600),
});
export type Burst = z.infer<typeof burstSchema>;

export interface BurstResult {
  readonly created: number;
  readonly paid: number;
  readonly paid_cents: number;
  readonly refused: number;
}

const parallel = 8;

/** @throws Unavailable when the CRM goes away; what was done until then stays */
export async function runBurst(crm: Crm, { org_id, invoices, pay = invoices, amount_cents, term_seconds }: Burst): Promise<BurstResult> {
  const result = { created: 0, paid: 0, paid_cents: 0, refused: 0 };
  let next = 0;
  const worker = async () => {
    for (let number = next++; number < invoices; number = next++) {
      try {
        const invoice = await crm.createInvoice({ org_id, customer: `Burst ${number + 1}`, amount_cents, due_at: new Date(Date.now() + term_seconds * 1000).toISOString() });
        result.created += 1;
        if (number >= pay) continue;
        await crm.payInvoice(invoice.id, amount_cents, "burst");
        result.paid += 1;
        result.paid_cents += amount_cents;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        result.refused += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, invoices) }, worker));
  return result;
}
