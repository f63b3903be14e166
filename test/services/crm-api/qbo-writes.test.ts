/** Writes to QuickBooks and its limits, against the stand-in over loopback. */
import { describe, expect, it } from "vitest";
import { books, business, connected, count, expectToTheCent, invoices, synchronise, t } from "./qbo-support.ts";
import { eventually, fastClock } from "./support.ts";

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

describe("writes of an invoice", () => {
  const create = async (): Promise<string> => (await t.post("/invoices", { org_id: "acme", customer: "C", amount_cents: 10_000 })).body.id;

  it("void it there, too, when it was voided here before the answer to its creation arrived", async () => {
    await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
    await t.control("POST", "/webhooks", { enabled: false });
    await t.control("POST", "/faults", { mode: "reset-after-commit", operation: "invoice", count: 1 });
    await t.control("POST", "/faults", { mode: "500", operation: "invoice", count: 3 });
    const id = await create();
    await eventually(async () => (await books()).invoices.length === 1);
    expect((await t.post(`/invoices/${id}/void`)).status).toBe(200);
    await t.settled();
    expect((await books()).invoices.map((i: any) => i.TotalAmt)).toEqual([0]);
    expect((await t.get(`/invoices/${id}`)).body.status).toBe("void");
  });

  it("name its customer in a payment, whatever the customer is called now", async () => {
    await connected();
    const id = await create();
    await t.settled();
    const [customer] = t.standin.company(t.standin.nextRealm).books.customers.values();
    Object.assign(customer!, { DisplayName: "C & Sons" });
    await t.post(`/invoices/${id}/payments`, { amount_cents: 10_000 });
    await t.settled();
    const { invoices: theirs, payments, customers } = await books();
    expect(customers).toHaveLength(1);
    expect(payments.map((p: any) => p.CustomerRef.value)).toEqual([theirs[0].CustomerRef.value]);
    expect(theirs[0].Balance).toBe(0);
  });
});

describe("writes that were given up", () => {
  const pushes = () => t.store.db.selectFrom("qbo_pushes").selectAll().orderBy("seq").execute();
  /** As if the write had been refused for the hours that ten attempts take. */
  const giveUp = async (kind: "invoice.create" | "payment.create") => {
    await eventually(async () => (await pushes()).some((p) => p.kind === kind && p.attempts > 0));
    await t.store.db.updateTable("qbo_pushes").set({ attempts: 9, next_attempt_at: 0 }).where("kind", "=", kind).execute();
    await eventually(async () => (await pushes()).some((p) => p.kind === kind && p.failed_at !== null));
  };
  const create = async (): Promise<string> => (await t.post("/invoices", { org_id: "acme", customer: "C", amount_cents: 10_000 })).body.id;
  const status = async () => (await t.get("/qbo/status")).body.companies[0];

  it("leave the invoice to QuickBooks again, are shown, and can be sent once more", async () => {
    await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
    const id = await create();
    await t.settled();
    const [theirs] = (await books()).invoices;
    await t.control("POST", "/faults", { mode: "fault-in-200", operation: "payment", count: 1_000 });
    await t.post(`/invoices/${id}/payments`, { amount_cents: 4_000 });
    await eventually(async () => (await pushes()).some((p) => p.attempts > 0));
    await t.control("POST", "/clock", { offset_seconds: 2 });
    await t.control("POST", "/companies/-/payments", { customer: "C", amount: 100, invoice_id: theirs.Id });
    await eventually(async () => (await count("crm_invoice_payments_cents_total")) === 14_000 && (await status()).webhook_events_waiting === 0);
    expect((await t.get(`/invoices/${id}`)).body).toMatchObject({ status: "open", paid_cents: 4_000 });
    await giveUp("payment.create");
    await eventually(async () => (await t.get(`/invoices/${id}`)).body.status === "paid");
    expect(await business()).toEqual([1, 1, 14_000]);
    expect([(await status()).writes_failed, await t.metric("crm_qbo_writes_failed")]).toEqual([1, 1]);
    await t.control("DELETE", "/faults");
    expect(await t.post("/qbo/writes/retry", { org_id: "globex" })).toEqual({ status: 202, body: { retried: 0 } });
    expect(await t.post("/qbo/writes/retry")).toEqual({ status: 202, body: { retried: 1 } });
    await eventually(async () => (await books()).payments.length === 2);
    await t.settled();
    expect([(await status()).writes_failed, await t.metric("crm_qbo_writes_failed")]).toEqual([0, 0]);
  });

  it("are those for a customer with a foreign currency, whose amounts would be others there", async () => {
    await connected();
    const customer = t.standin.company(t.standin.nextRealm).books.createCustomer({ DisplayName: "C" });
    Object.assign(customer, { CurrencyRef: { value: "JPY" } });
    await create();
    await eventually(async () => (await pushes())[0]?.problem?.includes("JPY"));
    expect((await books()).invoices).toEqual([]);
  });

  it("hold back what builds on them, and take it along", async () => {
    await connected();
    await t.control("POST", "/faults", { mode: "fault-in-200", operation: "invoice", count: 1_000 });
    const id = await create();
    const { payment } = (await t.post(`/invoices/${id}/payments`, { amount_cents: 10_000 })).body;
    await giveUp("invoice.create");
    await eventually(async () => (await pushes()).some((p) => p.kind === "payment.create" && p.attempts > 0));
    await t.post(`/payments/${payment.id}/refund`);
    expect((await pushes()).map((p) => p.done_at)).toEqual([null, null, null]);
    await t.control("DELETE", "/faults");
    await t.post("/qbo/writes/retry");
    await t.store.db.updateTable("qbo_pushes").set({ next_attempt_at: 0 }).execute();
    await eventually(async () => (await pushes()).every((p) => p.done_at !== null));
    const { invoices: theirs, payments } = await books();
    expect([theirs[0].Balance, payments.length, payments[0].TotalAmt]).toEqual([100, 1, 0]);
  });
});

it("writes go in the order in which they were made, whatever the clocks of the replicas that made them said", async () => {
  await connected();
  const { body: invoice } = await t.post("/invoices", { org_id: "acme", customer: "C", amount_cents: 10_000 });
  await t.settled();
  // The same again, in the rows of two replicas: the one that was paid at was 50 ms behind.
  await t.store.db.updateTable("invoices").set({ qbo_id: null, qbo_realm: null }).where("id", "=", invoice.id).execute();
  await t.control("DELETE", `/companies/-/invoices/${(await books()).invoices[0].Id}`);
  const { body } = await t.post(`/invoices/${invoice.id}/payments`, { amount_cents: 10_000 });
  await t.settled();
  const push = { org_id: "acme", invoice_id: invoice.id, created_at: 1, done_at: null, failed_at: null, attempts: 0, next_attempt_at: 0, problem: null };
  await t.store.db.transaction().execute(async (tx) => {
    await tx.deleteFrom("qbo_pushes").execute();
    await tx.insertInto("qbo_pushes").values({ ...push, id: "b", kind: "invoice.create", subject_id: invoice.id }).execute();
    await tx.insertInto("qbo_pushes").values({ ...push, id: "a", kind: "payment.create", subject_id: body.payment.id }).execute();
  });
  await t.settled();
  expect((await books()).invoices.map((i: any) => i.Balance)).toEqual([0]);
});

it.each(["reset", "500"])("writes and webhooks go on while no synchronisation gets a usable answer: %s", async (mode) => {
  await connected();
  const problem = async () => (await t.get("/qbo/status")).body.companies[0].problem;
  await t.control("POST", "/faults", { mode, operation: "cdc", count: 100_000 });
  await t.post("/qbo/sync");
  await eventually(async () => (await problem()) !== null);
  const { body } = await t.post("/invoices", { org_id: "acme", customer: "C", amount_cents: 10_000 });
  await eventually(async () => (await t.get(`/invoices/${body.id}`)).body.qbo_id !== null);
  await t.control("POST", "/clock", { offset_seconds: 2 });
  await t.control("POST", "/companies/-/invoices", { amount: 80.8 });
  await eventually(async () => (await count("crm_invoices_generated_total")) === 2);
  expect(await problem()).toMatch(mode === "reset" ? "cannot be reached" : "500");
  await t.control("DELETE", "/faults");
  await eventually(async () => (await problem()) === null, 30_000);
}, 60_000);

describe("limits", () => {
  it("keeps a pause over a restart", async () => {
    await connected({ clock: fastClock(1) });
    const until = Date.now() + 8_000;
    const asked = t.standin.requests.get("cdc") ?? 0;
    // As the process before this one left it.
    await t.store.db.updateTable("qbo_connections").set({ paused_until: until }).execute();
    await t.post("/qbo/sync");
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(t.standin.requests.get("cdc") ?? 0).toBe(asked);
    expect((await t.get("/qbo/status")).body.state).toBe("rate_limited");
    await eventually(() => (t.standin.requests.get("cdc") ?? 0) > asked);
    expect(Date.now()).toBeGreaterThanOrEqual(until);
  });

  it.each(["seconds", "date"])("waits as long as a 429 asks for in %s", async (form) => {
    const clock = fastClock(20);
    await connected({ clock });
    // The stand-in dates by its own clock.
    await t.control("POST", "/clock", { offset_seconds: Math.round((clock.now() - Date.now()) / 1000) });
    await t.control("POST", "/faults", { mode: "429", operation: "cdc", retry_after: { seconds: 300, form } });
    const began = clock.now();
    await t.post("/qbo/sync");
    const limited = await eventually(async () => (await t.get("/qbo/status")).body.companies[0].paused_until ?? undefined);
    expect(Date.parse(limited) - began).toBeGreaterThan(250_000);
    expect(Date.parse(limited) - began).toBeLessThan(400_000);
  });

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
