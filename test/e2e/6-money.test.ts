/** Money to the cent: what Prometheus records is what the store says about the same time, and what was really paid. */
import { randomInt } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { allUp, freshPrometheus, putRight, restart, scenario, start, stop } from "../support/drill.ts";
import { at, getJson, postJson, query, runningSettings, sleep, until } from "../support/stack.ts";

/** One organisation's day. */
interface Day {
  created: number;
  paid: number;
  cents: number;
}

const day = (): Day => ({ created: 0, paid: 0, cents: 0 });
/** What this test has done since Prometheus began; organisations that it does not name have done nothing. */
const done = new Map<string, Day>();
const of = (org: string): Day => done.get(org) ?? done.set(org, day()).get(org)!;

const oddCents = () => 2 * randomInt(500, 5_000_000) + 1;

async function invoice(org: string, cents: number): Promise<string> {
  const { id } = await postJson(at("crm-api", "/invoices"), { org_id: org, customer: "To the cent", amount_cents: cents, due_at: new Date(Date.now() + 864e5).toISOString() });
  of(org).created += 1;
  return id;
}

async function pay(org: string, id: string, cents: number): Promise<string> {
  const { payment, invoice: after } = await postJson(at("crm-api", `/invoices/${id}/payments`), { amount_cents: cents });
  of(org).cents += cents;
  if (after.status === "paid") of(org).paid += 1;
  return payment.id;
}

/** A full payment, one in three parts, a part only, an invoice that is voided, and a payment that is given back. */
async function business(org: string): Promise<void> {
  const whole = oddCents();
  await pay(org, await invoice(org, whole), whole);
  const [first, second, third] = [oddCents(), 1, 99];
  const parts = await invoice(org, first + second + third);
  for (const part of [first, second, third]) await pay(org, parts, part);
  await pay(org, await invoice(org, oddCents() + 1_000), 333);
  await postJson(at("crm-api", `/invoices/${await invoice(org, oddCents())}/void`));
  const returned = oddCents();
  await postJson(at("crm-api", `/payments/${await pay(org, await invoice(org, returned), returned)}/refund`));
}

const byOrg = async (series: string) => new Map((await query(series)).map((s) => [s.metric.org_id!, Number(s.value[1])]));

/** Organisations that were added here. They show 0 at first, whatever they do: their window begins with them. */
const added = new Set<string>();

/** Times of the first and the last scrape of an organisation's counter: the edges of a window that is longer than both. */
async function edges(org: string): Promise<{ from: number; to: number }> {
  const expr = `crm_invoice_payments_cents_total{org_id="${org}"}[24h]`;
  const [series] = (await getJson(at("prometheus", `/api/v1/query?query=${encodeURIComponent(expr)}`))).data.result as { values: [number, string][] }[];
  return { from: added.has(org) ? 0 : series!.values[0]![0], to: series!.values.at(-1)![0] };
}

/** Compares all three figures of every organisation: recorded, stored, and done here. */
async function expectEqual(): Promise<void> {
  // Two scrapes and two evaluations after the last change, so that both edges lie in quiet times.
  await sleep(10);
  const [revenue, created, paid] = [await byOrg("crm:revenue_usd:by_org"), await byOrg("crm:invoices_created_24h:by_org"), await byOrg("crm:invoices_paid_24h:by_org")];
  const orgs = ((await getJson(at("crm-api", "/orgs?limit=500"))).orgs as { id: string }[]).map((o) => o.id).sort();
  expect([...revenue.keys()].sort()).toEqual(orgs);
  for (const org of orgs) {
    const { from, to } = await edges(org);
    const { orgs: sums } = await getJson(at("crm-api", `/stats/window?from=${from}&to=${to}`));
    const stored = sums.find((s: { org_id: string }) => s.org_id === org);
    const usd = revenue.get(org)!;
    expect(Math.abs(usd * 100 - Math.round(usd * 100)), `${org}: ${usd} USD are whole cents`).toBeLessThan(1e-4);
    const recorded = { created: created.get(org), paid: paid.get(org), cents: Math.round(usd * 100) };
    expect(recorded, `${org}: recorded and stored from ${from} to ${to}`).toEqual({ created: stored.invoices_created, paid: stored.invoices_paid, cents: stored.revenue_cents });
    expect(recorded, `${org}: recorded and done`).toEqual(done.get(org) ?? day());
  }
  const total = [...done.values()].reduce((sum, d) => sum + d.cents, 0);
  expect(Math.round(Number((await query("crm:revenue_usd"))[0]!.value[1]) * 100)).toBe(total);
}

const stored = async () => JSON.stringify([...(await byOrg("crm_invoices_generated_total")), ...(await byOrg("crm_invoice_payments_cents_total"))]);

beforeAll(async () => {
  await putRight(await runningSettings());
  await scenario("silence", true);
  for (const org of ["acme", "initech"]) await business(org);
  // What the simulator had begun, and QuickBooks' answers to it, come to rest.
  await until("a store at rest", 120, async () => {
    const before = await stored();
    await sleep(8);
    return (await stored()) === before;
  });
  done.clear();
  await freshPrometheus();
  await allUp();
});

afterAll(() => scenario("silence", false));

it("a Prometheus that starts under an old store takes nothing of it for today's", async () => {
  expect(Math.max(...(await byOrg("crm_invoice_payments_cents_total")).values())).toBeGreaterThan(0);
  await expectEqual();
});

it("two organisations' odd cents, partial payments, a void and a refund", async () => {
  for (const org of ["acme", "globex"]) await business(org);
  await expectEqual();
});

it("goes on after crm-api was restarted", async () => {
  await restart("crm-api");
  await allUp();
  await expectEqual();
  await business("globex");
  await expectEqual();
});

it("counts what was paid while Prometheus was away", async () => {
  await stop("prometheus");
  await business("acme");
  await start("prometheus");
  await allUp();
  await expectEqual();
});

it("counts a new organisation from its exported 0, also what it does before the first scrape", async () => {
  const org = `e2e-${Date.now()}`;
  added.add(org);
  await postJson(at("crm-api", "/orgs"), { id: org, name: "End to end" });
  await business(org);
  await until("its money in Prometheus", 90, async () => ((await byOrg("crm_invoice_payments_cents_total")).get(org) ?? 0) > 0);
  await expectEqual();
});
