/** What QuickBooks, or somebody who can sign like it, may send without stopping anything but itself. */
import { createHmac } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { eventually, startTestQbo, verifierToken, type TestQbo } from "./support.ts";

let t: TestQbo;
afterEach(() => t.close());

/** A connected company whose books the test edits; changes are news. */
async function connected(): Promise<void> {
  t = await startTestQbo({ env: { QBO_SYNC_SECONDS: "86400" } });
  expect((await t.connect()).status).toBe(200);
  await t.settled();
  await t.control("POST", "/clock", { offset_seconds: 2 });
}

const cloudEvent = (more: object = {}) => ({ specversion: "1.0", id: crypto.randomUUID(), type: "qbo.invoice.updated.v1", intuitentityid: "1", intuitaccountid: t.standin.nextRealm, ...more });

async function deliver(body: unknown): Promise<unknown> {
  const payload = JSON.stringify(body);
  const signature = createHmac("sha256", verifierToken).update(payload).digest("base64");
  const response = await t.service.app.inject({ method: "POST", url: "/qbo/webhooks", headers: { "content-type": "application/json", "intuit-signature": signature }, payload });
  return response.statusCode === 200 ? response.json() : response.statusCode;
}

async function synchronise(): Promise<void> {
  expect((await t.post("/qbo/sync")).status).toBe(202);
  await eventually(async () => (await t.store.db.selectFrom("qbo_connections").select("sync_requested_at").executeTakeFirst())?.sync_requested_at === null);
}

const inbox = () => t.store.db.selectFrom("qbo_inbox").selectAll().execute();
const revenue = () => t.metric(`crm_invoice_payments_cents_total{org_id="acme"}`);
const company = async () => (await t.get("/qbo/status")).body.companies[0];

describe("an event", () => {
  it.each(["..", ".", "a/b", "a?b", "%2e%2e", "", "x".repeat(65), "1\u0000"])("that names the object %j is left out, and the rest of its delivery is not", async (intuitentityid) => {
    t = await startTestQbo();
    expect(await deliver([cloudEvent({ intuitentityid }), cloudEvent()])).toEqual({ accepted: 1, duplicate: 0 });
    expect(await inbox()).toMatchObject([{ entity_id: "1" }]);
  });

  it("with a company, an id or an operation that no row takes is left out, in both forms", async () => {
    t = await startTestQbo();
    expect(await deliver([cloudEvent({ id: "a\u0000b" }), cloudEvent({ id: "" }), cloudEvent({ id: "x".repeat(129) }), cloudEvent({ intuitaccountid: "\u0000" }), cloudEvent()])).toEqual({ accepted: 1, duplicate: 0 });
    const entity = (more: object) => ({ name: "Invoice", id: "2", operation: "Update", ...more });
    const entities = [entity({ id: "../2" }), entity({ operation: "\u0000" }), entity({})];
    expect(await deliver({ eventNotifications: [{ realmId: "77", dataChangeEvent: { entities } }, { realmId: "\u0000", dataChangeEvent: { entities: [entity({})] } }] })).toEqual({ accepted: 1, duplicate: 0 });
  });

  it("about a kind of object that is not known here is left out, whatever it is called", async () => {
    t = await startTestQbo();
    for (const kind of ["constructor", "__proto__", "bill_payment", "credit-memo", "toString"]) {
      expect(await deliver([cloudEvent({ type: `qbo.${kind}.created.v1` }), cloudEvent()]), kind).toEqual({ accepted: 1, duplicate: 0 });
      expect(await deliver({ eventNotifications: [{ realmId: "1", dataChangeEvent: { entities: [{ name: kind, id: "1", operation: "Create" }] } }] }), kind).toEqual({ accepted: 0, duplicate: 0 });
    }
    expect(await deliver([cloudEvent({ type: "intuit.something.new" })])).toEqual({ accepted: 0, duplicate: 0 });
  });

  it("comes with 3 999 others in one delivery, and all are kept", async () => {
    t = await startTestQbo();
    const events = Array.from({ length: 4_000 }, (_, i) => cloudEvent({ id: `e-${i}` }));
    expect(await deliver(events)).toEqual({ accepted: 4_000, duplicate: 0 });
    expect(await deliver(events)).toEqual({ accepted: 0, duplicate: 4_000 });
  });

  it("whose object is refused without QuickBooks' own words is put off, alone", async () => {
    await connected();
    const bad = { id: "bad", realm_id: t.standin.nextRealm, entity: "Invoice" as const, entity_id: "x".repeat(120), operation: "updated", received_at: 1, processed_at: null, attempts: 0, next_attempt_at: 0, problem: null };
    await t.store.db.insertInto("qbo_inbox").values(bad).execute();
    await t.control("POST", "/companies/-/payments", { amount: 7 });
    const { id } = (await t.post("/invoices", { org_id: "acme", customer: "x", amount_cents: 100 })).body;
    await eventually(async () => (await revenue()) === 700 && (await t.get(`/invoices/${id}`)).body.qbo_id !== null);
    const putOff = (await inbox()).find((e) => e.id === "bad");
    expect(putOff).toMatchObject({ processed_at: null, problem: expect.stringContaining("QuickBooks answered 4") });
    expect(putOff!.attempts).toBeGreaterThan(0);
    expect((await company()).problem).toBeNull();
  });

  it("whose object QuickBooks fails to give each time is put off, and holds no write up", async () => {
    await connected();
    await t.control("POST", "/faults", { mode: "500", operation: "read", count: 100_000 });
    const bad = { id: "bad", realm_id: t.standin.nextRealm, entity: "Invoice" as const, entity_id: "42", operation: "updated", received_at: 1, processed_at: null, attempts: 0, next_attempt_at: 0, problem: null };
    await t.store.db.insertInto("qbo_inbox").values(bad).execute();
    const { id } = (await t.post("/invoices", { org_id: "acme", customer: "x", amount_cents: 100 })).body;
    await eventually(async () => (await t.get(`/invoices/${id}`)).body.qbo_id !== null);
    const putOff = (await inbox()).find((e) => e.id === "bad")!;
    expect(putOff).toMatchObject({ processed_at: null, problem: expect.stringContaining("QuickBooks answered 500") });
    expect([putOff.attempts > 0, putOff.next_attempt_at > 0]).toEqual([true, true]);
  });
});

describe("an object", () => {
  it.each([
    ["payments", { TotalAmt: -5 }],
    ["payments", { TotalAmt: 9e13 }],
    ["payments", { TotalAmt: 1e11 }],
    ["payments", { Id: "a\u0000" }],
    ["payments", { Id: { toString: 1 } }],
    ["payments", { MetaData: { CreateTime: "+275760-09-13T00:00:00Z", LastUpdatedTime: "2099-01-01T00:00:00Z" } }],
    ["invoices", { TotalAmt: -5 }],
    ["invoices", { Balance: 1e20 }],
    ["invoices", { SyncToken: "x" }],
  ])("of %s with %j is left out of the synchronisation, and nothing else is", async (kind, fields) => {
    await connected();
    await t.control("POST", "/webhooks", { enabled: false });
    const made = await t.control("POST", `/companies/-/${kind}`, { amount: 1 });
    await t.control("PATCH", `/companies/-/${kind}/${made.Id}`, fields);
    await t.control("POST", "/companies/-/payments", { amount: 7 });
    await synchronise();
    expect(await revenue()).toBe(700);
    expect(await t.metric(`crm_invoices_generated_total{org_id="acme"}`)).toBe(0);
    expect((await company()).problem).toBeNull();
  });

  it("that is edited to nonsense keeps what is known of it, and holds no webhook up", async () => {
    await connected();
    const made = await t.control("POST", "/companies/-/payments", { amount: 10 });
    await eventually(async () => (await revenue()) === 1_000);
    await t.control("PATCH", `/companies/-/payments/${made.Id}`, { TotalAmt: -5 });
    await t.control("POST", "/companies/-/payments", { amount: 7 });
    await eventually(async () => (await revenue()) === 1_700);
    expect((await inbox()).filter((e) => e.processed_at === null)).toMatchObject([{ entity_id: made.Id, problem: expect.stringContaining("out of range") }]);
    expect(await t.metric(`crm_refunds_cents_total{org_id="acme"}`)).toBe(0);
  });

  it("is stored without the control characters of its names, at most as long as QuickBooks allows", async () => {
    await connected();
    await t.control("POST", "/webhooks", { enabled: false });
    const note = "\u0000 a \n note \ud800";
    const made = await t.control("POST", "/companies/-/invoices", { amount: 1, note });
    await t.control("PATCH", `/companies/-/invoices/${made.Id}`, { CustomerRef: { value: "1", name: `\u0000Ann\u0007\nLee ${"x".repeat(600)}` } });
    const blank = await t.control("POST", "/companies/-/invoices", { amount: 2 });
    await t.control("PATCH", `/companies/-/invoices/${blank.Id}`, { CustomerRef: { value: "9", name: "\u0000" } });
    await synchronise();
    const customers = (await t.get("/invoices?org_id=acme")).body.invoices.map((i: any) => i.customer).toSorted();
    expect(customers[0]).toBe("9");
    expect(customers[1]).toMatch(/^Ann Lee x{480,491}$/);
  });
});

it("sums beyond 2^53 cents lose a digit, and take no metrics with them", async () => {
  t = await startTestQbo();
  const cents = 9_007_199_254_740_990;
  await t.store.transaction(async (tx) => {
    const fact = { org_id: "acme", kind: "payment" as const, count: 1, amount_cents: cents, at: Date.now() };
    await tx.insertInto("ledger").values([fact, fact, fact]).execute();
    for (let i = 0; i < 3; i++) await tx.updateTable("totals").set((eb) => ({ amount_cents: eb("amount_cents", "+", cents) })).where("org_id", "=", "acme").where("kind", "=", "payment").execute();
  });
  expect(await revenue()).toBeCloseTo(3 * cents, -3);
  const now = Math.ceil(Date.now() / 1000);
  const { status, body } = await t.get(`/stats/window?from=${now - 60}&to=${now + 60}`);
  expect([status, body.orgs[0].revenue_cents]).toEqual([200, 3 * cents]);
});
