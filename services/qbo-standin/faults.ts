/** What goes wrong on purpose, and the refusals that QuickBooks knows. */
import { z } from "zod";

export const faultModes = ["401", "429", "500", "fault-in-200", "stale", "html", "truncated", "hang", "reset", "hang-after-commit", "reset-after-commit"] as const;

export const faultOrder = z.strictObject({
  mode: z.enum(faultModes),
  /** Only requests of this operation, such as `query`, `cdc`, `read`, `companyinfo`, `invoice`, `payment`, `token`; default: all of the API. */
  operation: z.string().optional(),
  /** What a 429 asks for, in seconds: said as such, as an HTTP date or, as Intuit mostly does, not at all. */
  retry_after: z.strictObject({ seconds: z.int().min(0).max(100_000), form: z.enum(["seconds", "date"]).default("seconds") }).optional(),
  /** How many requests; default 1. */
  count: z.int().min(1).max(100_000).default(1),
});
/** What one request gets. */
export type Fault = Pick<z.output<typeof faultOrder>, "mode" | "retry_after">;
type FaultOrder = z.output<typeof faultOrder>;

/** Faults that were ordered and not used up. */
export class Faults {
  readonly #orders: FaultOrder[] = [];

  order(fault: FaultOrder): void {
    this.#orders.push({ ...fault });
  }

  clear(): void {
    this.#orders.length = 0;
  }

  /** Uses one up. Token requests fail only when they are named. */
  next(operation: string): Fault | undefined {
    const order = this.#orders.find((o) => (o.operation === undefined ? operation !== "token" : o.operation === operation));
    if (order === undefined) return undefined;
    if (--order.count === 0) this.#orders.splice(this.#orders.indexOf(order), 1);
    return order;
  }
}

/** A refusal in QuickBooks' form; HTTP 400. */
export class QboRefusal extends Error {
  readonly code: string;
  readonly detail: string;
  readonly type: string;

  constructor(code: string, message: string, detail = message, type = "ValidationFault") {
    super(message);
    this.code = code;
    this.detail = detail;
    this.type = type;
  }
}

export const faultBody = (refusal: QboRefusal, time: string) => ({ Fault: { Error: [{ Message: refusal.message, Detail: refusal.detail, code: refusal.code }], type: refusal.type }, time });
