/** Synchronisation, webhooks and writes, against the stand-in over loopback. */
import { createHmac } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, fastClock, startTestQbo, verifierToken, type TestQbo } from "./support.ts";

let t: TestQbo;
afterEach(() => t.close());

async function connected(options: Parameters<typeof startTestQbo>[0] = {}, seed?: object): Promise<void> {
  t = await startTestQbo(options);
  if (seed !== undefined) await t.control("POST", "/seed", seed);
  expect((await t.connect()).status).toBe(200);
  await t.settled();
}

const count = (name: string) => t.metric(`${name}{org_id="acme"}`);
const books = () => t.control("GET", "/companies/-");
const invoices = async () => (await t.get("/invoices?org_id=acme&limit=500")).body.invoices;
const business = async () => [await count("crm_invoices_generated_total"), await count("crm_invoices_paid_total"), await count("crm_invoice_payments_cents_total")];

async function synchronise(): Promise<void> {
  expect((await t.post("/qbo/sync")).status).toBe(202);
  await eventually(async () => (await t.store.db.selectFrom("qbo_connections").select("sync_requested_at").executeTakeFirst())?.sync_requested_at === null);
}

/** Counters against the rows that they count. */
async function expectToTheCent(): Promise<void> {
  const rows = await t.store.db.selectFrom("invoices").selectAll().where("imported", "=", 0).execute();
  const payments = await t.store.db.selectFrom("payments").selectAll().where("imported", "=", 0).execute();
  expect(await business()).toEqual([rows.length, rows.filter((i) => i.first_paid_at !== null).length, payments.reduce((sum, p) => sum + p.amount_cents, 0)]);
}

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
      t = await startTestQbo();
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

describe("webhook deliveries", () => {
  const body = Buffer.from(JSON.stringify([{ specversion: "1.0", id: "e-1", source: "x", type: "qbo.invoice.created.v1", time: "2026-01-01T00:00:00Z", intuitentityid: "1", intuitaccountid: "77", data: {} }]));
  const sign = (bytes: Buffer, key = verifierToken) => createHmac("sha256", key).update(bytes).digest("base64");
  const deliver = async (payload: Buffer, signature?: string) => {
    const response = await t.service.app.inject({ method: "POST", url: "/qbo/webhooks", headers: { "content-type": "application/json", ...(signature === undefined ? {} : { "intuit-signature": signature }) }, payload });
    return { status: response.statusCode, body: response.json() };
  };

  it("are taken with a signature over the raw bytes only", async () => {
    t = await startTestQbo();
    expect(await deliver(body, sign(body))).toEqual({ status: 200, body: { accepted: 1, duplicate: 0 } });
    expect(await deliver(body, sign(body))).toEqual({ status: 200, body: { accepted: 0, duplicate: 1 } });
    const spaced = Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 1));
    for (const [payload, signature] of [[body, undefined], [body, ""], [body, "no base64 %%%"], [body, sign(body, "another key")], [spaced, sign(body)], [Buffer.alloc(0), undefined]] as const) {
      expect((await deliver(payload, signature)).status).toBe(401);
    }
    expect(await t.metric(`crm_qbo_webhooks_total{result="rejected"}`)).toBe(6);
  });

  it("are refused when they are signed and senseless, and let through when they concern something else", async () => {
    t = await startTestQbo();
    for (const text of ["", "{", "{}", "[{}]", "null", "5", `[${body.toString().slice(1, -1)},{"id":1}]`]) {
      const bytes = Buffer.from(text);
      expect((await deliver(bytes, sign(bytes))).status, text).toBe(400);
    }
    const customer = Buffer.from(body.toString().replace("qbo.invoice", "qbo.customer"));
    expect(await deliver(customer, sign(customer))).toEqual({ status: 200, body: { accepted: 0, duplicate: 0 } });
    const none = Buffer.from("[]");
    expect((await deliver(none, sign(none))).status).toBe(200);
  });

  it("are put off, not lost, while the verifier token cannot be read", async () => {
    t = await startTestQbo({ env: { QBO_WEBHOOK_VERIFIER_FILE: "/nowhere/verifier" } });
    expect(await deliver(body, sign(body))).toMatchObject({ status: 503, body: { error: "not_configured" } });
  });

  it("of several companies and kinds arrive whole", async () => {
    t = await startTestQbo();
    const event = JSON.parse(body.toString())[0];
    const many = Buffer.from(JSON.stringify([event, { ...event, id: "e-2", intuitaccountid: "78", type: "qbo.payment.updated.v1" }, { ...event, id: "e-2" }]));
    expect((await deliver(many, sign(many))).body).toEqual({ accepted: 2, duplicate: 1 });
    expect((await t.store.db.selectFrom("qbo_inbox").select(["realm_id", "entity", "operation"]).orderBy("realm_id").execute()).map((r) => ({ ...r }))).toEqual([
      { realm_id: "77", entity: "Invoice", operation: "created" },
      { realm_id: "78", entity: "Payment", operation: "updated" },
    ]);
  });
});

describe("writes", () => {
  const create = async (cents = 12_345): Promise<string> => (await t.post("/invoices", { org_id: "acme", customer: "Initech: Roofing's", amount_cents: cents })).body.id;

  it("carry an invoice, its payments and a refund over, and back without counting twice", async () => {
    await connected();
    const id = await create();
    const { payment } = (await t.post(`/invoices/${id}/payments`, { amount_cents: 12_345 })).body;
    await t.settled();
    await eventually(async () => (await books()).invoices[0]?.Balance === 0);
    const { invoices: theirs, payments, customers } = await books();
    expect(theirs).toHaveLength(1);
    expect(theirs[0]).toMatchObject({ TotalAmt: 123.45, CustomerRef: { name: "Initech  Roofing's" } });
    expect([payments.length, customers.length]).toEqual([1, 1]);
    await synchronise();
    await t.settled();
    expect((await invoices()).map((i: any) => [i.id, i.status, i.qbo_id])).toEqual([[id, "paid", theirs[0].Id]]);
    await t.post(`/payments/${payment.id}/refund`);
    await eventually(async () => (await books()).payments[0].TotalAmt === 0);
    await t.settled();
    await synchronise();
    expect((await t.get(`/invoices/${id}`)).body).toMatchObject({ status: "open", paid_cents: 0 });
    await t.post(`/invoices/${id}/void`);
    await eventually(async () => (await books()).invoices[0].TotalAmt === 0);
    await synchronise();
    expect([await business(), await count("crm_refunds_cents_total"), await count("crm_invoices_voided_total")]).toEqual([[1, 1, 12_345], 12_345, 1]);
    await expectToTheCent();
  });

  it.each(["reset-after-commit", "hang-after-commit", "html", "500", "429", "fault-in-200", "truncated"])("make one invoice when the answer is: %s", async (mode) => {
    await connected();
    await t.control("POST", "/faults", { mode, operation: "invoice", count: 2 });
    const id = await create();
    await eventually(async () => (await t.get(`/invoices/${id}`)).body.qbo_id !== null, 30_000);
    await t.settled();
    expect((await books()).invoices).toHaveLength(1);
    await synchronise();
    expect(await business()).toEqual([1, 0, 0]);
    expect(await invoices()).toHaveLength(1);
  }, 60_000);

  it("are recognised when they come back as a change before their own answer was stored", async () => {
    await connected();
    // QuickBooks took the invoice; the answer is lost for good, and only the change tells of it.
    await t.control("POST", "/faults", { mode: "reset-after-commit", operation: "invoice", count: 1 });
    await t.control("POST", "/faults", { mode: "500", operation: "invoice", count: 100 });
    const id = await create();
    await eventually(async () => (await books()).invoices.length === 1);
    await t.store.db.updateTable("qbo_connections").set({ sync_requested_at: 1 }).execute();
    await eventually(async () => (await t.get(`/invoices/${id}`)).body.qbo_id !== null);
    expect(await invoices()).toHaveLength(1);
    expect(await business()).toEqual([1, 0, 0]);
  });

  it("give up on what QuickBooks refuses for good, and go on with others", async () => {
    await connected();
    await t.control("POST", "/faults", { mode: "fault-in-200", operation: "invoice", count: 2 });
    const refused = await create(100);
    const push = () => t.store.db.selectFrom("qbo_pushes").selectAll().executeTakeFirstOrThrow();
    await eventually(async () => (await push()).attempts === 1);
    expect(await push()).toMatchObject({ failed_at: null, problem: expect.stringContaining("6000") });
    // As if it had been refused for the hours that ten attempts take.
    await t.store.db.updateTable("qbo_pushes").set({ attempts: 9, next_attempt_at: 0 }).execute();
    await eventually(async () => (await push()).failed_at !== null);
    const fine = await create(200);
    await eventually(async () => (await t.get(`/invoices/${fine}`)).body.qbo_id !== null);
    expect((await t.get(`/invoices/${refused}`)).body.qbo_id).toBeNull();
  });
});

describe("limits", () => {
  it("waits 60 seconds after a 429, says so, and then goes on", async () => {
    const clock = fastClock(20);
    await connected({ clock });
    await t.control("POST", "/faults", { mode: "429", operation: "cdc", count: 1 });
    const began = clock.now();
    await t.post("/qbo/sync");
    const limited = await eventually(async () => {
      const { body } = await t.get("/qbo/status");
      return body.state === "rate_limited" ? body : undefined;
    });
    expect(Date.parse(limited.companies[0].paused_until) - began).toBeGreaterThanOrEqual(60_000);
    await eventually(async () => (await t.get("/qbo/status")).body.state === "connected");
    expect(clock.now() - began).toBeGreaterThanOrEqual(60_000);
    expect(await t.metric("crm_qbo_rate_limited_total")).toBe(1);
    expect((await t.get("/qbo/status")).body.companies[0].problem).toBeNull();
  });
});
