/** The counters that money is judged by: what they count, when, and that they equal the store to the cent. */
import { afterEach, describe, expect, it } from "vitest";
import fc from "fast-check";
import { countDueInvoices } from "../../../services/crm-api/crm/due.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { dayMs } from "../../../services/crm-api/crm/window.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import { ManualClock, startTestApi, type TestApi } from "./support.ts";

let api: TestApi;
const clock = new ManualClock();
afterEach(() => api.close());

const start = async () => (api = await startTestApi({}, { clock }));
const createInvoice = async (cents = 1_000, dueInMs = dayMs): Promise<string> =>
  (await api.post("/invoices", { org_id: "acme", customer: "x", amount_cents: cents, due_at: new Date(clock.now() + dueInMs).toISOString() })).body.id;
const pay = (id: string, cents: number) => api.post(`/invoices/${id}/payments`, { amount_cents: cents });
const count = (name: string, org = "acme") => api.metric(`${name}{org_id="${org}"}`);

describe("durable counters", () => {
  it("start at 0 for every known organisation", async () => {
    await start();
    for (const name of ["crm_invoices_generated_total", "crm_invoices_paid_total", "crm_invoice_payments_cents_total", "crm_invoices_due_total", "crm_invoices_overdue_total", "crm_refunds_cents_total", "crm_store_revenue_cents_24h"]) {
      expect(await count(name, "globex"), name).toBe(0);
    }
    await api.post("/orgs", { id: "later", name: "Later" });
    expect(await count("crm_invoices_generated_total", "later")).toBe(0);
  });

  it("show 0 of a new organisation for two scrapes, so that what it does before the first one is a gain", async () => {
    await start();
    const other = await startTestApi({}, { clock, store: api.store });
    const revenue = async () => [await count("crm_invoice_payments_cents_total", "later"), await other.metric(`crm_invoice_payments_cents_total{org_id="later"}`)];
    await api.post("/orgs", { id: "later", name: "Later" });
    const { id } = (await api.post("/invoices", { org_id: "later", customer: "x", amount_cents: 5_000, due_at: new Date(clock.now() + dayMs).toISOString() })).body;
    await pay(id, 5_000);
    expect([await revenue(), await count("crm_invoices_paid_total", "later"), await count("crm_payments_total", "later")]).toEqual([[0, 0], 0, 0]);
    await clock.advance(34_999);
    expect(await revenue()).toEqual([0, 0]);
    await clock.advance(1);
    expect([await revenue(), await count("crm_invoices_paid_total", "later"), await count("crm_payments_total", "later")]).toEqual([[5_000, 5_000], 1, 1]);
    // A clock that is set back makes no organisation new again.
    await clock.advance(-3_600_000);
    expect(await revenue()).toEqual([5_000, 5_000]);
  });

  it("agree between two services on one store", async () => {
    await start();
    const other = await startTestApi({}, { clock, store: api.store });
    const id = await createInvoice(2_500);
    await pay(id, 2_500);
    for (const name of ["crm_invoices_generated_total", "crm_invoices_paid_total", "crm_invoice_payments_cents_total"]) {
      expect(await other.metric(`${name}{org_id="acme"}`)).toBe(await count(name));
    }
    expect(await other.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)).toBe(2_500);
  });

  it("never fall: voids and refunds count apart", async () => {
    await start();
    const paid = await createInvoice(700);
    const { payment } = (await pay(paid, 700)).body;
    await api.post(`/invoices/${await createInvoice()}/void`);
    await api.post(`/payments/${payment.id}/refund`);
    expect([await count("crm_invoices_generated_total"), await count("crm_invoices_paid_total"), await count("crm_invoice_payments_cents_total")]).toEqual([2, 1, 700]);
    expect([await count("crm_invoices_voided_total"), await count("crm_refunds_cents_total")]).toEqual([1, 700]);
  });
});

describe("due dates", () => {
  it("count an invoice once, overdue only when it is unpaid at that moment", async () => {
    await start();
    const [onTime, late, partly, gone] = [await createInvoice(), await createInvoice(), await createInvoice(), await createInvoice()];
    await createInvoice(1_000, 3 * dayMs);
    await pay(onTime, 1_000);
    await pay(partly, 999);
    await api.post(`/invoices/${gone}/void`);
    await clock.advance(dayMs);
    const changes = new Changes(api.store, clock);
    await countDueInvoices(changes);
    await countDueInvoices(changes);
    expect([await count("crm_invoices_due_total"), await count("crm_invoices_overdue_total")]).toEqual([3, 2]);
    await pay(late, 1_000);
    expect([await count("crm_invoices_due_total"), await count("crm_invoices_overdue_total")]).toEqual([3, 2]);
    expect((await api.get(`/invoices/${partly}`)).body.overdue).toBe(true);
  });

  it("count the same when no process ran at the due date", async () => {
    await start();
    const [late, onTime] = [await createInvoice(), await createInvoice()];
    await pay(onTime, 1_000);
    await clock.advance(5 * dayMs);
    // The process comes back five days later, and money arrives before the job looks.
    await pay(late, 1_000);
    expect([await count("crm_invoices_due_total"), await count("crm_invoices_overdue_total")]).toEqual([1, 1]);
    const { payment } = { payment: (await api.get(`/payments?invoice_id=${onTime}`)).body.payments[0] };
    await api.post(`/payments/${payment.id}/refund`);
    await countDueInvoices(new Changes(api.store, clock));
    expect([await count("crm_invoices_due_total"), await count("crm_invoices_overdue_total")]).toEqual([2, 1]);
  });
});

describe("sums of a window", () => {
  it("are left open and right closed, to the millisecond", async () => {
    await start();
    const t0 = clock.now();
    await createInvoice();
    await clock.advance(1_000);
    await pay(await createInvoice(300), 300);
    const sums = async (from: number, to: number) => (await api.get(`/stats/window?from=${from / 1000}&to=${to / 1000}`)).body.orgs[0];
    expect(await sums(t0 - 1, t0 + 1_000)).toEqual({ org_id: "acme", invoices_created: 2, invoices_paid: 1, revenue_cents: 300 });
    expect(await sums(t0, t0 + 1_000)).toMatchObject({ invoices_created: 1, revenue_cents: 300 });
    expect(await sums(t0 - 1, t0 + 999)).toMatchObject({ invoices_created: 1, revenue_cents: 0 });
  });

  it("of the last 24 hours are exported, and cached for a while", async () => {
    await start();
    await pay(await createInvoice(900), 900);
    await clock.advance(60_000);
    expect(await count("crm_store_revenue_cents_24h")).toBe(900);
    await pay(await createInvoice(100), 100);
    expect(await count("crm_store_revenue_cents_24h")).toBe(900);
    await clock.advance(16_000);
    expect(await count("crm_store_revenue_cents_24h")).toBe(1_000);
    await clock.advance(dayMs - 16_001);
    expect(await count("crm_store_revenue_cents_24h")).toBe(100);
  });
});

describe("the outbox's depth", () => {
  it("is read anew at once when the clock was set back", async () => {
    await start();
    await api.store.db.updateTable("outbox").set({ sent_at: clock.now() }).execute();
    expect(await api.metric("crm_outbox_depth")).toBe(0);
    await clock.advance(-3_600_000);
    await createInvoice();
    expect(await api.metric("crm_outbox_depth")).toBe(1);
  });
});

describe("any course of business", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("invoice" as const), cents: fc.integer({ min: 1, max: 5_000 }) }),
    fc.record({ do: fc.constant("pay" as const), which: fc.nat(20), cents: fc.integer({ min: 1, max: 5_000 }) }),
    fc.record({ do: fc.constant("refund" as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant("void" as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant("wait" as const), hours: fc.integer({ min: 1, max: 20 }) }),
  );

  it("leaves counters that equal the store's rows to the cent, and windows that equal the counters' growth", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const store = await openEmbeddedStore(":memory:");
        api = await startTestApi({}, { clock, store });
        const samples: { at: number; revenue: number; created: number }[] = [];
        const sample = async () => samples.push({ at: clock.now(), revenue: (await count("crm_invoice_payments_cents_total")) ?? -1, created: (await count("crm_invoices_generated_total")) ?? -1 });
        await sample();
        for (const s of steps) {
          await clock.advance(1);
          const invoices = await store.db.selectFrom("invoices").select("id").orderBy("id").execute();
          const payments = await store.db.selectFrom("payments").select("id").orderBy("id").execute();
          if (s.do === "invoice") await createInvoice(s.cents);
          else if (s.do === "wait") await clock.advance(s.hours * 3_600_000);
          else if (s.do === "pay") await pay(invoices[s.which % Math.max(1, invoices.length)]?.id ?? "none", s.cents);
          else if (s.do === "void") await api.post(`/invoices/${invoices[s.which % Math.max(1, invoices.length)]?.id ?? "none"}/void`);
          else await api.post(`/payments/${payments[s.which % Math.max(1, payments.length)]?.id ?? "none"}/refund`);
          await sample();
        }
        const invoices = await store.db.selectFrom("invoices").selectAll().execute();
        const payments = await store.db.selectFrom("payments").selectAll().execute();
        const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
        expect(await count("crm_invoices_generated_total")).toBe(invoices.length);
        expect(await count("crm_invoices_paid_total")).toBe(invoices.filter((i) => i.first_paid_at !== null).length);
        expect(await count("crm_invoice_payments_cents_total")).toBe(sum(payments.map((p) => p.amount_cents)));
        expect(await count("crm_refunds_cents_total")).toBe(sum(payments.map((p) => p.refunded_cents)));
        expect(await count("crm_invoices_voided_total")).toBe(invoices.filter((i) => i.status === "void").length);
        expect(sum(invoices.map((i) => i.paid_cents))).toBe(sum(payments.map((p) => p.amount_cents - p.refunded_cents)));
        for (let i = 1; i < samples.length; i++) {
          expect(samples[i]!.revenue).toBeGreaterThanOrEqual(samples[i - 1]!.revenue);
        }
        const [first, last] = [samples[Math.floor(samples.length / 3)]!, samples.at(-1)!];
        const window = (await api.get(`/stats/window?from=${first.at / 1000}&to=${last.at / 1000}`)).body.orgs[0];
        await api.close();
        expect(window).toMatchObject({ revenue_cents: last.revenue - first.revenue, invoices_created: last.created - first.created });
      }),
      { numRuns: 25 },
    );
  });
});
