/** One piece of business from lead to payment, decided in full by its number: whatever happens, it is the same again. */
import { random } from "./random.ts";

/** How a deal ends. */
export type Outcome = "on-time" | "late" | "unpaid" | "void" | "refunded" | "rejected";

export interface Deal {
  readonly number: number;
  readonly orgId: string;
  readonly customer: string;
  readonly email: string;
  readonly source: string;
  readonly title: string;
  readonly amountCents: number;
  readonly outcome: Outcome;
  /** Share of the amount in the first of two payments; 1 for a single one. */
  readonly firstShare: number;
  /** Seconds from each step to the next. */
  readonly wait: { readonly proposal: number; readonly answer: number; readonly invoice: number; readonly payment: number; readonly late: number };
}

const surnames = ["Alvarez", "Becker", "Chen", "Dubois", "Eriksen", "Fofana", "Garcia", "Haddad", "Ivanova", "Jensen", "Kowalski", "Lindqvist", "Moreau", "Nakamura", "Okafor", "Patel", "Quinn", "Rossi", "Silva", "Tanaka"];
const trades = ["Bakery", "Builders", "Clinic", "Farms", "Foods", "Garage", "Gardens", "Homes", "Interiors", "Logistics", "Motors", "Print", "Studio", "Textiles"];
const works = ["Roof repair", "Gutter cleaning", "Boiler service", "Kitchen refit", "Solar panels", "Insulation", "Pipework", "Annual maintenance"];
const sources = ["web", "referral", "phone", "fair"];

/**
 * The shares are by number and not by chance, so that they hold in short windows too: of 48 deals 4 are rejected, 2 are
 * late, 1 stays unpaid and 1 is void. More than nine of ten invoices are then paid by their due date.
 */
function outcomeOf(number: number): Outcome {
  const place = number % 48;
  if (place % 12 === 11) return "rejected";
  if (place === 20 || place === 44) return "late";
  if (place === 32) return "unpaid";
  if (place === 38) return "void";
  return place === 26 && number % 96 === 26 ? "refunded" : "on-time";
}

/** @param number counts from 0 */
export function dealOf(seed: number, number: number, orgIds: readonly string[]): Deal {
  const r = random(seed, number);
  const surname = r.pick(surnames);
  return {
    number,
    orgId: r.pick(orgIds),
    customer: `${surname} ${r.pick(trades)}`,
    email: `${surname.toLowerCase()}.${number}@customers.example.com`,
    source: r.pick(sources),
    title: r.pick(works),
    // Many small amounts and few large ones, from $60 to about $8,000.
    amountCents: Math.round(6000 * Math.exp(r.next() * 4.9)),
    outcome: outcomeOf(number),
    firstShare: r.next() < 0.12 ? r.between(0.2, 0.8) : 1,
    wait: { proposal: r.between(2, 15), answer: r.between(3, 30), invoice: r.between(2, 20), payment: r.between(5, 90), late: r.between(30, 240) },
  };
}
