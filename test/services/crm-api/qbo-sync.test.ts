/** Synchronisation, against the stand-in over loopback. */
import { describe, expect, it } from "vitest";
import { books, business, connected, count, expectToTheCent, invoices, started, synchronise, t } from "./qbo-support.ts";
import { eventually } from "./support.ts";

describe("history", () => {
  it("is imported page by page, counts nowhere and is announced to nobody", async () => {
    await connected({}, { invoices: 2_300, paid: 1_100 });
    const imported = await t.store.db.selectFrom("invoices").select((eb) => ["status", eb.fn.countAll<number>().as("n")]).where("imported", "=", 1).groupBy("status").orderBy("status").execute();
    expect(imported.map((r) => ({ ...r }))).toEqual([{ status: "open", n: 1_200 }, { status: "paid", n: 1_100 }]);
    expect((await t.store.db.selectFrom("payments").select("id").where("imported", "=", 1).execute()).length).toBe(1_100);
    expect(await business()).toEqual([0, 0, 0]);
    expect([await count("crm_invoices_due_total"), await count("crm_store_revenue_cents_24h")]).toEqual([0, 0]);
    expect(t.publisher.types.filter((type) => type.startsWith("invoice") || type.startsWith("payment"))).toEqual([]);
  });

  it("divides from news by QuickBooks' own clock, ten minutes ahead or behind", async () => {
    for (const offset of [600, -600]) {
      await started();
      await t.control("POST", "/clock", { offset_seconds: offset });
      await t.control("POST", "/seed", { invoices: 3, paid: 0, days_ago: 0.0001 });
      await t.connect();
      await t.settled();
      await t.control("POST", "/clock", { offset_seconds: offset + 2 });
      await t.control("POST", "/companies/-/invoices", { amount: 10 });
      await synchronise();
      await t.settled();
      expect(await business(), String(offset)).toEqual([1, 0, 0]);
      if (offset === 600) await t.close();
    }
  });
});

describe("history and news within a second", () => {
  it.each([20, 500, 900])("are told apart %i ms into the second of the connection", async (ms) => {
    await started({ env: { QBO_SYNC_SECONDS: "86400" } });
    await t.control("POST", "/webhooks", { enabled: false });
    await new Promise((resolve) => setTimeout(resolve, 1_000 - (Date.now() % 1_000) + ms));
    await t.control("POST", "/companies/-/invoices", { amount: 1 });
    expect((await t.connect()).status).toBe(200);
    await t.settled();
    await t.control("POST", "/companies/-/invoices", { amount: 100 });
    await t.control("POST", "/companies/-/payments", { amount: 50 });
    await synchronise();
    expect(await business()).toEqual([1, 0, 5_000]);
    expect((await invoices()).map((i: any) => i.imported).toSorted()).toEqual([false, true]);
  });
});

describe("amounts of QuickBooks", () => {
  const foreign = { CurrencyRef: { value: "JPY" }, ExchangeRate: 0.0067 };
  async function edited(kind: "invoices" | "payments", amount: number, fields: object): Promise<void> {
    const made = await t.control("POST", `/companies/-/${kind}`, { amount, ...(kind === "invoices" ? { due_date: "2020-01-01" } : {}) });
    await t.control("PATCH", `/companies/-/${kind}/${made.Id}`, fields);
  }

  it("in a foreign currency count in the company's own", async () => {
    await connected({}, { invoices: 0, paid: 0 });
    await t.control("POST", "/webhooks", { enabled: false });
    await edited("payments", 10_000, foreign);
    await edited("payments", 10_000, { ...foreign, HomeTotalAmt: 66.99 });
    await edited("payments", 7, { CurrencyRef: { value: "USD" } });
    await edited("payments", 9_999, { CurrencyRef: { value: "JPY" } });
    await edited("payments", 3, { CurrencyRef: { value: "USD" }, ExchangeRate: "?", HomeTotalAmt: 1.2345 });
    await edited("invoices", 10_000, { ...foreign, Balance: 5_000 });
    await synchronise();
    expect(await count("crm_invoice_payments_cents_total")).toBe(6_700 + 6_699 + 700 + 300);
    expect((await invoices()).map((i: any) => [i.amount_cents, i.paid_cents])).toEqual([[6_700, 3_350]]);
    expect(await t.metric(`crm_qbo_objects_left_out_total{entity="Payment"}`)).toBe(1);
  });

  it("of nothing leave nothing owed", async () => {
    await connected({}, { invoices: 0, paid: 0 });
    await t.control("POST", "/webhooks", { enabled: false });
    await edited("invoices", 100, { TotalAmt: 0, Balance: 0 });
    await synchronise();
    expect(await invoices()).toMatchObject([{ status: "paid", overdue: false, amount_cents: 0 }]);
    expect([await count("crm_invoices_due_total"), await count("crm_invoices_overdue_total"), ...(await business())]).toEqual([1, 0, 1, 1, 0]);
  });
});

it("one look for what is gone is enough, however often the time is halved", async () => {
  await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
  await t.control("POST", "/webhooks", { enabled: false });
  for (let step = 1; step <= 3; step++) {
    await t.control("POST", "/clock", { offset_seconds: step * 1_000 });
    for (let i = 0; i < 700; i++) await t.control("POST", "/companies/-/payments", { amount: 1 });
  }
  const before = t.standin.requests.get("query")!;
  const cdc = t.standin.requests.get("cdc") ?? 0;
  await synchronise();
  expect(await count("crm_invoice_payments_cents_total")).toBe(210_000);
  const halvings = t.standin.requests.get("cdc")! - cdc - 1;
  expect(halvings).toBeGreaterThan(1);
  // Each half is asked for by one or two pages of each kind; looking for what is gone takes three pages and one.
  expect(t.standin.requests.get("query")! - before).toBeLessThanOrEqual(halvings * 3 + 4);
}, 60_000);

describe("news", () => {
  it("arrives by webhook, once, in the counters and as events", async () => {
    await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
    await t.control("POST", "/clock", { offset_seconds: 2 });
    const made = await t.control("POST", "/companies/-/invoices", { customer: "Initech", amount: 1234.56, due_date: "2099-01-31" });
    await eventually(async () => (await invoices()).length === 1);
    expect((await invoices())[0]).toMatchObject({ customer: "Initech", amount_cents: 123_456, status: "open", due_at: "2099-01-31T23:59:59.999Z", qbo_id: made.Id, imported: false });
    await t.control("POST", "/companies/-/payments", { customer: "Initech", amount: 1234.56, invoice_id: made.Id });
    await eventually(async () => (await invoices())[0].status === "paid" && (await count("crm_invoice_payments_cents_total")) === 123_456);
    await t.settled();
    expect(await business()).toEqual([1, 1, 123_456]);
    await eventually(() => t.publisher.types.includes("invoice.paid") && t.publisher.types.includes("payment.received"));
    await expectToTheCent();
  });

  it("counts once when every delivery comes three times, again later, and the synchronisation brings it too", async () => {
    await connected();
    await t.control("POST", "/clock", { offset_seconds: 2 });
    await t.control("POST", "/webhooks", { copies: 3 });
    const made = await t.control("POST", "/companies/-/invoices", { amount: 80 });
    await t.control("POST", "/companies/-/payments", { amount: 80, invoice_id: made.Id });
    await eventually(async () => (await count("crm_invoices_paid_total")) === 1);
    await t.control("POST", "/webhooks/repeat");
    await synchronise();
    await eventually(async () => ((await t.metric(`crm_qbo_webhooks_total{result="duplicate"}`)) ?? 0) >= 6);
    await t.settled();
    expect(await business()).toEqual([1, 1, 8_000]);
    expect(await t.metric(`crm_qbo_webhooks_total{result="accepted"}`)).toBe(3);
  });

  it("understands the old form of webhooks, and dedupes it too", async () => {
    await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
    await t.control("POST", "/clock", { offset_seconds: 2 });
    await t.control("POST", "/webhooks", { form: "eventNotifications", copies: 2 });
    await t.control("POST", "/companies/-/invoices", { amount: 80 });
    await eventually(async () => (await count("crm_invoices_generated_total")) === 1);
    await eventually(async () => (await t.metric(`crm_qbo_webhooks_total{result="duplicate"}`)) === 1);
    expect(await t.metric(`crm_qbo_webhooks_total{result="accepted"}`)).toBe(1);
  });

  it("is caught up by change data capture when webhooks are lost, deletions included", async () => {
    await connected({}, { invoices: 2, paid: 0 });
    await t.control("POST", "/webhooks", { enabled: false });
    await t.control("POST", "/clock", { offset_seconds: 2 });
    const made = await t.control("POST", "/companies/-/invoices", { amount: 10 });
    const payment = await t.control("POST", "/companies/-/payments", { amount: 4, invoice_id: made.Id });
    await synchronise();
    expect(await business()).toEqual([1, 0, 400]);
    await t.control("DELETE", `/companies/-/payments/${payment.Id}`);
    await t.control("DELETE", `/companies/-/invoices/${made.Id}`);
    await synchronise();
    expect([await business(), await count("crm_refunds_cents_total"), await count("crm_invoices_voided_total")]).toEqual([[1, 0, 400], 400, 1]);
    expect(t.standin.requests.get("cdc")).toBeGreaterThanOrEqual(2);
  });

  it("loses nothing when more than 1000 objects changed at once, or over a while", async () => {
    await connected({}, { invoices: 5, paid: 0 });
    await t.control("POST", "/webhooks", { enabled: false });
    const [gone] = (await books()).invoices;
    await t.control("DELETE", `/companies/-/invoices/${gone.Id}`);
    for (let step = 1; step <= 3; step++) {
      await t.control("POST", "/clock", { offset_seconds: step * 1_000 });
      for (let i = 0; i < 700; i++) await t.control("POST", "/companies/-/invoices", { amount: 1 });
    }
    await synchronise();
    expect(await count("crm_invoices_generated_total")).toBe(2_100);
    expect(await t.store.db.selectFrom("invoices").select("status").where("qbo_id", "=", gone.Id).executeTakeFirst()).toMatchObject({ status: "void" });
    await expectToTheCent();
  }, 60_000);

  it("is compared as a whole after more than 30 days", async () => {
    await connected({}, { invoices: 3, paid: 0 });
    await t.control("POST", "/webhooks", { enabled: false });
    const [gone, edited] = (await books()).invoices;
    await t.control("DELETE", `/companies/-/invoices/${gone.Id}`);
    await t.control("PATCH", `/companies/-/invoices/${edited.Id}`, { TotalAmt: 77.7, Balance: 77.7 });
    await t.control("POST", "/clock", { offset_seconds: 2 });
    await t.control("POST", "/companies/-/invoices", { amount: 5 });
    await t.store.db.updateTable("qbo_connections").set((eb) => ({ cursor_at: eb("cursor_at", "-", 31 * 86_400_000) })).execute();
    const before = t.standin.requests.get("cdc");
    await synchronise();
    expect(t.standin.requests.get("cdc")).toBe(before);
    const rows = await invoices();
    expect(rows.map((i: any) => [i.status, i.amount_cents]).toSorted()).toEqual([["open", 500], ["open", 7_770], ["open", 10_200], ["void", 10_000]].toSorted());
    expect(await business()).toEqual([1, 0, 0]);
  });

  it("leaves out one object that makes no sense, and takes all others", async () => {
    await connected();
    await t.control("POST", "/webhooks", { enabled: false });
    await t.control("POST", "/clock", { offset_seconds: 2 });
    const bad = await t.control("POST", "/companies/-/invoices", { amount: 5 });
    await t.control("PATCH", `/companies/-/invoices/${bad.Id}`, { TotalAmt: 1.005 });
    await t.control("POST", "/companies/-/invoices", { amount: 6 });
    await synchronise();
    expect((await invoices()).map((i: any) => i.amount_cents)).toEqual([600]);
  });
});
