/**
 * The finance windows against the store's own sums at the same sample times, to the cent: with gaps, replicas that are
 * behind, organisations that come into being, and a Prometheus that starts under an old CRM.
 */
import { describe, expect, it } from "vitest";
import { valueCase, type RuleCase, type Sample, type Series } from "./cases/case.ts";
import { findPromtool, runCases } from "./support/promtool.ts";
import { dice, edges, samples, storeSum, type Organisation } from "./support/store.ts";

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);
const long = process.env["LONG"] === "1";

/** Minutes in which a target is scraped: always, but for some gaps and single failures. */
function scrapes(random: (below: number) => number, minutes: number, gaps: number): boolean[] {
  const scraped = Array.from({ length: minutes + 1 }, () => random(100) > 0);
  for (let i = 0; i < gaps; i++) {
    const from = random(minutes);
    scraped.fill(false, from, from + 3 + random(minutes / 30));
  }
  return scraped;
}

/** Three organisations: an old one, one without history, one that comes into being; all in the same two replicas. */
function organisations(seed: number, minutes: number): Organisation[] {
  const random = dice(seed);
  // An outage of the API takes both replicas at once.
  const outages = scrapes(random, minutes, 3);
  const replicas = [scrapes(random, minutes, 3), scrapes(random, minutes, 3)].map((own) => own.map((up, minute) => up && outages[minute]!));
  const events = () => Array.from({ length: minutes + 1 }, () => (random(4) === 0 ? random(100_000) + 1 : 0));
  const one = (id: string, since: number, history: number): Organisation => ({ id, since, history, events: events().map((n, minute) => (minute < since ? 0 : n)), scraped: replicas, behind: [0, 2] });
  return [one("old", 0, 123_456_789), one("plain", 0, 0), one("new", Math.floor(minutes * 0.4) + random(60), 0)];
}

/** A case that asks the rule at many times. */
function compare(rule: string, metric: string, window: number, seed: number, minutes: number, step: number, factor = 1): RuleCase {
  const all = organisations(seed, minutes);
  const series: Series = Object.fromEntries(all.flatMap((o) => [0, 1].map((replica) => [`${metric}{org_id="${o.id}",job="crm_api",instance="crm-api-${replica + 1}:8080"}`, samples(o, replica, minutes, step)])));
  const random = dice(seed + 1);
  const times = Array.from({ length: 25 }, () => (1 + random(Math.floor(minutes / step) - 1)) * step).sort((a, b) => a - b);
  const values = times.map((minute) => {
    const is = all.flatMap((o): Sample[] => {
      const edge = edges(o, minute, window, step);
      return edge ? [{ labels: `{org_id="${o.id}"}`, value: storeSum(o, edge.from, edge.to) }] : [];
    });
    // The nearest whole cent must be the same one, to the last bit.
    return { at: `${minute}m`, expr: `round(${rule} * ${1 / factor})`, is };
  });
  return valueCase(rule, `seed ${seed}`, series, values, { step: `${step}m`, evaluation: `${step}m` });
}

describe.skipIf("missing" in promtool)("finance windows", () => {
  const program = "program" in promtool ? promtool.program : "";
  const seeds = Array.from({ length: long ? 40 : 4 }, (_, i) => 100 + i);

  it.each(seeds)("24 h equal the store's sums, seed %s", { timeout: 300_000 }, async (seed) => {
    expect(await runCases(program, [compare("crm:revenue_usd:by_org", "crm_invoice_payments_cents_total", 1440, seed, 2700, 1, 0.01)], undefined, true)).toBe("");
    expect(await runCases(program, [compare("crm:invoices_created_24h:by_org", "crm_invoices_generated_total", 1440, seed + 1000, 2700, 1)], undefined, true)).toBe("");
  });

  it.each(seeds.slice(0, long ? 5 : 1))("30 d equal the store's sums, seed %s", { timeout: 600_000 }, async (seed) => {
    expect(await runCases(program, [compare("crm:invoices_paid_30d:by_org", "crm_invoices_paid_total", 43_200, seed, 46_000, 5)], undefined, true)).toBe("");
  });
});
