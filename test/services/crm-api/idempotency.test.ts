/** A change that its caller gives a key is made once, however often it is asked for. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forgetOldAnswers } from "../../../services/crm-api/crm/once.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { dayMs } from "../../../services/crm-api/crm/window.ts";
import { eventually, ManualClock, startTestApi, type TestApi } from "./support.ts";

let api: TestApi;
let clock: ManualClock;
beforeEach(async () => {
  clock = new ManualClock();
  api = await startTestApi({}, { clock });
});
afterEach(() => api.close());

async function post(url: string, key: string | string[], payload?: object) {
  const response = await api.service.app.inject({ method: "POST", url, headers: { "idempotency-key": key }, ...(payload === undefined ? {} : { payload }) });
  return { status: response.statusCode, body: response.json(), text: response.body, type: response.headers["content-type"], replayed: response.headers["idempotency-replayed"] };
}
const newInvoice = async (cents = 1_000): Promise<string> => (await api.post("/invoices", { org_id: "acme", customer: "x", amount_cents: cents })).body.id;
const payments = async (id: string) => (await api.get(`/payments?invoice_id=${id}`)).body.payments.length;
const keys = async () => (await api.store.db.selectFrom("idempotency_keys").select("key").orderBy("key").execute()).map((k) => k.key);
const traces = async () => [
  await api.metric("crm_outbox_depth"),
  await api.metric(`crm_payments_total{org_id="acme"}`),
  (await api.store.db.selectFrom("ledger").select("seq").execute()).length,
  (await api.store.db.selectFrom("qbo_pushes").select("seq").execute()).length,
];

describe("the same key", () => {
  it("gives the first answer again, and leaves no second trace", async () => {
    const id = await newInvoice();
    const first = await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100, reference: "wire" });
    expect(first).toMatchObject({ status: 201, replayed: undefined, body: { payment: { amount_cents: 100 } } });
    const before = await traces();
    // Later payments change the invoice, not what this one was answered.
    const again = await post(`/invoices/${id}/payments`, "k1", { reference: "wire", amount_cents: 100 });
    expect(again).toEqual({ ...first, replayed: "true" });
    expect(await traces()).toEqual(before);
    expect(await payments(id)).toBe(1);
  });

  it("with another body, path or method of paying is refused", async () => {
    const id = await newInvoice();
    await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 });
    const refused = { status: 422, body: { error: "key_reused", field: "idempotency-key", message: expect.stringContaining("idempotency-key") } };
    expect(await post(`/invoices/${id}/payments`, "k1", { amount_cents: 101 })).toMatchObject(refused);
    expect(await post(`/invoices/${await newInvoice()}/payments`, "k1", { amount_cents: 100 })).toMatchObject(refused);
    expect(await post("/payments", "k1", { invoice_id: id, amount_cents: 100 })).toMatchObject(refused);
    expect(await post(`/invoices/${id}/void`, "k1")).toMatchObject(refused);
    expect(await payments(id)).toBe(1);
  });

  it("is free again after a refusal", async () => {
    const id = await newInvoice();
    expect((await post(`/invoices/${id}/payments`, "k1", { amount_cents: 1_001 })).status).toBe(409);
    expect((await post("/invoices/nobody/payments", "k1", { amount_cents: 1 })).status).toBe(404);
    expect((await post(`/invoices/${id}/payments`, "k1", { amount_cents: -1 })).status).toBe(400);
    expect(await keys()).toEqual([]);
    expect(await post(`/invoices/${id}/payments`, "k1", { amount_cents: 1_000 })).toMatchObject({ status: 201, replayed: undefined });
  });

  it("is free again when the change could not be written to its end", async () => {
    const id = await newInvoice();
    const rename = (from: string, to: string) => api.store.db.schema.alterTable(from).renameTo(to).execute();
    await rename("outbox", "hidden");
    expect((await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 })).status).toBe(500);
    await rename("hidden", "outbox");
    expect([await payments(id), await keys()]).toEqual([0, []]);
    expect(await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 })).toMatchObject({ status: 201, replayed: undefined });
  });

  it("20 times at once books one payment", async () => {
    const id = await newInvoice(100);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 })));
    expect(new Set(answers.map((a) => a.text)).size).toBe(1);
    expect(answers.map((a) => [a.status, a.replayed ?? "first"]).sort()).toEqual([[201, "first"], ...Array(19).fill([201, "true"])]);
    expect(await payments(id)).toBe(1);
  });

  it("is remembered for a day, and not for ever", async () => {
    const id = await newInvoice();
    await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 });
    const changes = new Changes(api.store, clock);
    await clock.advance(dayMs - 1);
    await forgetOldAnswers(changes);
    expect((await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 })).replayed).toBe("true");
    await clock.advance(2);
    await forgetOldAnswers(changes);
    expect(await keys()).toEqual([]);
  });

  it("is forgotten by the service itself", async () => {
    const id = await newInvoice();
    await post(`/invoices/${id}/payments`, "k1", { amount_cents: 100 });
    api.service.start();
    await clock.advance(dayMs + 1);
    await eventually(async () => {
      await clock.advance(5_000);
      return (await keys()).length === 0;
    });
  });
});

it.each([
  ["an organisation", "/orgs", { id: "initech", name: "Initech" }, 201],
  ["a lead", "/leads", { org_id: "acme", name: "Bill" }, 201],
  ["a proposal", "/proposals", { org_id: "acme", title: "Roof", amount_cents: 5 }, 201],
  ["an invoice", "/invoices", { org_id: "acme", customer: "x", amount_cents: 5 }, 201],
])("works for %s", async (_what, url, body, status) => {
  const first = await post(url, "a key of 255 at most", body);
  expect(first.status).toBe(status);
  expect(await post(url, "a key of 255 at most", body)).toEqual({ ...first, replayed: "true" });
});

it("works for what changes something that is there: accept, void, refund", async () => {
  const proposal = (await api.post("/proposals", { org_id: "acme", title: "Roof", amount_cents: 5 })).body.id;
  const [open, paid] = [await newInvoice(), await newInvoice()];
  const { payment } = (await api.post(`/invoices/${paid}/payments`, { amount_cents: 1_000 })).body;
  for (const url of [`/proposals/${proposal}/accept`, `/invoices/${open}/void`, `/payments/${payment.id}/refund`]) {
    const first = await post(url, url);
    expect(first).toMatchObject({ status: 200, replayed: undefined });
    // No body and an empty one say the same.
    expect(await post(url, url, {})).toEqual({ ...first, replayed: "true" });
    expect((await api.post(url)).status).toBe(409);
  }
});

it.each([
  ["empty", ""],
  ["too long", "x".repeat(256)],
  ["not printable", "caf\u00e9"],
  ["with a tab", "a\tb"],
])("a key that is %s is refused by name", async (_what, key) => {
  expect(await post("/leads", key, { org_id: "acme", name: "x" })).toMatchObject({ status: 400, body: { error: "invalid", field: "idempotency-key", message: expect.stringContaining("idempotency-key") } });
  expect((await api.get("/leads?org_id=acme")).body.leads).toEqual([]);
});

it("without a key every request is its own", async () => {
  const id = await newInvoice();
  for (let i = 0; i < 3; i++) await api.post(`/invoices/${id}/payments`, { amount_cents: 100 });
  expect([await payments(id), await keys()]).toEqual([3, []]);
});
