/** What the API does with good and bad input, through the app in memory. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { problemOf } from "../../../services/crm-api/http/problems.ts";
import { startTestApi, type TestApi } from "./support.ts";

let api: TestApi;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const invoice = (more: object = {}) => ({ org_id: "acme", customer: "Initech", amount_cents: 12_345, ...more });

describe("the cash loop", () => {
  it("goes from lead to revenue", async () => {
    const lead = (await api.post("/leads", { org_id: "acme", name: "Bill Lumbergh", email: "bill@initech.example" })).body;
    const proposal = (await api.post("/proposals", { org_id: "acme", lead_id: lead.id, title: "New roof", amount_cents: 500_000 })).body;
    expect(await api.post("/invoices", invoice({ proposal_id: proposal.id }))).toMatchObject({ status: 409, body: { field: "proposal_id" } });
    expect((await api.post(`/proposals/${proposal.id}/accept`)).body.status).toBe("accepted");
    expect((await api.post(`/proposals/${proposal.id}/accept`)).status).toBe(409);
    const made = await api.post("/invoices", { org_id: "acme", customer: "Initech", proposal_id: proposal.id });
    expect(made).toMatchObject({ status: 201, body: { amount_cents: 500_000, paid_cents: 0, status: "open" } });

    const part = await api.post(`/invoices/${made.body.id}/payments`, { amount_cents: 200_000, reference: "wire 7" });
    expect(part).toMatchObject({ status: 201, body: { invoice: { status: "open", paid_cents: 200_000 }, payment: { amount_cents: 200_000 } } });
    const rest = await api.post("/payments", { invoice_id: made.body.id, amount_cents: 300_000 });
    expect(rest.body.invoice).toMatchObject({ status: "paid", paid_cents: 500_000 });
    expect((await api.get(`/invoices/${made.body.id}`)).body.paid_at).not.toBeNull();
    expect((await api.get(`/payments?invoice_id=${made.body.id}`)).body.payments).toHaveLength(2);
  });

  it("lists page by page, newest first", async () => {
    const made: string[] = [];
    const org_id = `pages-${crypto.randomUUID().slice(0, 8)}`;
    await api.post("/orgs", { id: org_id, name: org_id });
    for (let i = 0; i < 5; i++) made.push((await api.post("/leads", { org_id, name: `Lead ${i}` })).body.id);
    const first = (await api.get(`/leads?org_id=${org_id}&limit=3`)).body.leads;
    const second = (await api.get(`/leads?org_id=${org_id}&limit=3&before=${first.at(-1).id}`)).body.leads;
    expect([...first, ...second].map((l) => l.id)).toEqual(made.toReversed());
  });

  it("refunds once, opens the invoice again and counts it as paid once", async () => {
    const { id } = (await api.post("/invoices", invoice({ amount_cents: 100 }))).body;
    const { payment } = (await api.post(`/invoices/${id}/payments`, { amount_cents: 100 })).body;
    const paidBefore = await api.metric(`crm_invoices_paid_total{org_id="acme"}`);
    expect((await api.post(`/payments/${payment.id}/refund`)).body).toMatchObject({ invoice: { status: "open", paid_cents: 0 }, payment: { refunded_cents: 100 } });
    expect((await api.post(`/payments/${payment.id}/refund`)).status).toBe(409);
    expect((await api.post(`/invoices/${id}/payments`, { amount_cents: 100 })).body.invoice.status).toBe("paid");
    expect(await api.metric(`crm_invoices_paid_total{org_id="acme"}`)).toBe(paidBefore);
  });

  it("names the largest amount, and takes the last date", async () => {
    expect((await api.post("/invoices", invoice({ amount_cents: 10_000_000_001 }))).body.message).toBe("amount_cents: must be at most 10000000000 cents");
    expect((await api.post("/invoices", invoice({ due_at: "9999-12-31T23:59:59Z" }))).body.due_at).toBe("9999-12-31T23:59:59.000Z");
  });

  it("voids an invoice without payments only", async () => {
    const { id } = (await api.post("/invoices", invoice())).body;
    await api.post(`/invoices/${id}/payments`, { amount_cents: 1 });
    expect(await api.post(`/invoices/${id}/void`)).toMatchObject({ status: 409, body: { error: "has_payments" } });
    const other = (await api.post("/invoices", invoice())).body.id;
    expect((await api.post(`/invoices/${other}/void`)).body.status).toBe("void");
    expect((await api.post(`/invoices/${other}/void`)).status).toBe(409);
    expect((await api.post(`/invoices/${other}/payments`, { amount_cents: 1 })).body.error).toBe("void");
  });
});

describe("bad input is refused by name", () => {
  const bodies: [name: string, path: string, body: unknown, status: number, field: string | undefined][] = [
    ["no body", "/invoices", undefined, 400, "body"],
    ["a list", "/invoices", [], 400, "body"],
    ["a missing field", "/invoices", { customer: "x", amount_cents: 1 }, 400, "org_id"],
    ["an unknown field", "/invoices", invoice({ amount: 5 }), 400, "amount"],
    ["negative cents", "/invoices", invoice({ amount_cents: -1 }), 400, "amount_cents"],
    ["zero cents", "/invoices", invoice({ amount_cents: 0 }), 400, "amount_cents"],
    ["a fraction of a cent", "/invoices", invoice({ amount_cents: 1.5 }), 400, "amount_cents"],
    ["cents as text", "/invoices", invoice({ amount_cents: "12" }), 400, "amount_cents"],
    ["more than an exact number", "/invoices", invoice({ amount_cents: 2 ** 53 }), 400, "amount_cents"],
    ["more than QuickBooks takes", "/invoices", invoice({ amount_cents: 10_000_000_001 }), 400, "amount_cents"],
    ["no amount and no proposal", "/invoices", { org_id: "acme", customer: "x" }, 400, "amount_cents"],
    ["a due date that is past", "/invoices", invoice({ due_at: "2020-01-01T00:00:00Z" }), 400, "due_at"],
    ["a due date without a zone", "/invoices", invoice({ due_at: "2099-01-01T00:00:00" }), 400, "due_at"],
    ["a due date in the year 10000 of UTC", "/invoices", invoice({ due_at: "9999-12-31T23:59:59-23:59" }), 400, "due_at"],
    ["an impossible date", "/invoices", invoice({ due_at: "2099-02-30T00:00:00Z" }), 400, "due_at"],
    ["an organisation that is not there", "/invoices", invoice({ org_id: "nobody" }), 404, "org_id"],
    ["an id with odd bytes", "/invoices", invoice({ org_id: "a\u0000b" }), 400, "org_id"],
    ["a control character in text", "/invoices", invoice({ customer: "a\u0000b" }), 400, "customer"],
    ["half a surrogate pair", "/invoices", invoice({ customer: "a\ud800b" }), 400, "customer"],
    ["a name that nobody can see", "/leads", { org_id: "acme", name: "\u200b\u2060 \ufeff" }, 400, "name"],
    ["a customer whose text runs backwards", "/invoices", invoice({ customer: "Init\u202eech" }), 400, "customer"],
    ["an isolate of direction", "/orgs", { id: "x2", name: "a\u2066b\u2069" }, 400, "name"],
    ["a line separator", "/proposals", { org_id: "acme", title: "a\u2028b", amount_cents: 1 }, 400, "title"],
    ["blank text", "/leads", { org_id: "acme", name: "   " }, 400, "name"],
    ["long text", "/leads", { org_id: "acme", name: "x".repeat(201) }, 400, "name"],
    ["no mail address", "/leads", { org_id: "acme", name: "x", email: "nope" }, 400, "email"],
    ["a lead of another organisation", "/proposals", { org_id: "acme", lead_id: "nobody", title: "x", amount_cents: 1 }, 404, "lead_id"],
    ["a payment on no invoice", "/payments", { invoice_id: "nobody", amount_cents: 1 }, 404, "invoice_id"],
    ["a taken id", "/orgs", { id: "acme", name: "again" }, 409, "id"],
    ["a polluted prototype", "/orgs", JSON.parse('{"id":"x1","name":"x","__proto__":{"a":1}}'), 400, "__proto__"],
  ];
  it.each(bodies)("%s", async (_name, path, body, status, field) => {
    const answer = await api.post(path, body);
    expect(answer).toMatchObject({ status, body: { field, message: expect.stringContaining(String(field)) } });
  });

  it("says of text what is wrong with it, and takes what joins letters or parts of a picture", async () => {
    const message = async (name: string) => (await api.post("/leads", { org_id: "acme", name })).body.message;
    expect(await message("\u200b")).toBe("name: must have something that can be seen");
    expect(await message("a\u202eb")).toBe("name: must not contain line separators or marks that turn the direction of text");
    for (const name of ["\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "\u05d0\u05d1\u200f", "\u2764\ufe0f"]) expect((await api.post("/leads", { org_id: "acme", name })).status).toBe(201);
  });

  it("overpayment says what is owed", async () => {
    const { id } = (await api.post("/invoices", invoice({ amount_cents: 100 }))).body;
    expect(await api.post(`/invoices/${id}/payments`, { amount_cents: 101 })).toMatchObject({ status: 409, body: { error: "overpayment", field: "amount_cents", message: expect.stringContaining("100") } });
    expect((await api.get(`/invoices/${id}`)).body.paid_cents).toBe(0);
  });

  it.each([
    ["/invoices/%00", 400],
    ["/invoices/a%2Fb", 400],
    ["/invoices/%E4%BD%A0", 400],
    [`/invoices/${"a".repeat(200)}`, 400],
    ["/invoices/%zz", 400],
    ["/invoices/' or 1=1 --", 400],
    ["/invoices/nobody", 404],
    ["/invoices?limit=0", 400],
    ["/invoices?limit=1e9", 400],
    ["/invoices?status=odd", 400],
    ["/invoices?org_id=a&org_id=b", 400],
    ["/stats/window?from=5", 400],
    ["/stats/window?from=6&to=5", 400],
    ["/nowhere", 404],
  ])("GET %s", async (path, status) => {
    const answer = await api.get(path);
    expect(answer.status).toBe(status);
    expect(answer.body.message).toBeTypeOf("string");
  });

  it.each([
    ["broken JSON", "application/json", '{"org_id":', 400, "body"],
    ["bytes that are no UTF-8", "application/json", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400, "body"],
    ["another content type", "text/plain", "{}", 415, "content-type"],
    ["a form", "application/x-www-form-urlencoded", "org_id=acme", 415, "content-type"],
    ["too much", "application/json", JSON.stringify({ name: "x".repeat(70_000) }), 413, "body"],
    ["deep nesting", "application/json", `${"[".repeat(30_000)}${"]".repeat(30_000)}`, 400, "body"],
  ])("%s", async (_name, type, payload, status, field) => {
    const response = await api.service.app.inject({ method: "POST", url: "/invoices", headers: { "content-type": type }, payload });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toMatchObject({ field });
  });

  it.each([
    ["DELETE", "/orgs", "GET, HEAD, POST"],
    ["OPTIONS", "/invoices/x", "GET, HEAD"],
    ["GET", "/invoices/x/void", "POST"],
    ["PUT", "/qbo/webhooks", "POST"],
    // A look at where the link leads must not use up the state of a connection, nor make one.
    ["HEAD", "/qbo/connect", "GET"],
    ["HEAD", "/qbo/callback?state=x&code=y", "GET"],
  ] as const)("%s %s is told the methods that there are", async (method, url, allow) => {
    const response = await api.service.app.inject({ method, url });
    expect([response.statusCode, response.headers.allow]).toEqual([405, allow]);
    if (method !== "HEAD") expect(response.json()).toEqual({ error: "method_not_allowed", message: `this path takes ${allow}` });
    expect(await api.store.db.selectFrom("qbo_states").selectAll().execute()).toEqual([]);
  });

  it("a packed body is not taken for what it is not", async () => {
    const send = (encoding: string) => api.service.app.inject({ method: "POST", url: "/leads", headers: { "content-type": "application/json", "content-encoding": encoding }, payload: JSON.stringify({ org_id: "acme", name: "x" }) });
    expect((await send("gzip")).json()).toMatchObject({ error: "unsupported_media_type", field: "content-encoding" });
    expect((await send("gzip")).statusCode).toBe(415);
    expect((await send("identity")).statusCode).toBe(201);
  });

  const paths = ["/orgs", "/leads", "/proposals", "/invoices", "/payments", "/invoices/x/payments", "/invoices/x/void", "/payments/x/refund", "/proposals/x/accept", "/qbo/sync", "/qbo/webhooks"];

  it("never fails on anything that can be written as JSON, or on any bytes", async () => {
    const fields = fc.dictionary(fc.constantFrom("id", "org_id", "name", "customer", "amount_cents", "due_at", "title", "invoice_id", "email"), fc.oneof(fc.jsonValue(), fc.constant("acme"), fc.constant("2999-01-01T00:00:00Z"), fc.double(), fc.string({ unit: "binary" })));
    const payload = fc.oneof(fields.map((f) => Buffer.from(JSON.stringify(f))), fc.json().map((j) => Buffer.from(j)), fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), payload, async (url, bytes) => {
        const { statusCode, body } = await api.service.app.inject({ method: "POST", url, headers: { "content-type": "application/json" }, payload: bytes });
        // Without a QuickBooks application, webhooks are put off.
        expect([url, bytes.toString(), statusCode < 500 || (url === "/qbo/webhooks" && statusCode === 503) || body]).toEqual([url, bytes.toString(), true]);
      }),
      { numRuns: 400 },
    );
  });

  it("never fails on any path or query", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("/invoices/", "/invoices?before=", "/leads?org_id=", "/payments?limit=", "/stats/window?to=5&from=", "/qbo/callback?state=", "/qbo/connect?org_id="), fc.string({ unit: "binary", maxLength: 300 }), async (start, text) => {
        const url = `${start}${encodeURIComponent(text.toWellFormed())}`;
        expect([url, (await api.get(url)).status < 500]).toEqual([url, true]);
      }),
      { numRuns: 200 },
    );
  });

  it("changes nothing when it refuses", async () => {
    const before = [await api.metric("crm_outbox_depth"), (await api.store.db.selectFrom("ledger").select("seq").execute()).length];
    await api.post("/invoices", invoice({ org_id: "nobody" }));
    await api.post("/payments", { invoice_id: "nobody", amount_cents: 1 });
    expect([await api.metric("crm_outbox_depth"), (await api.store.db.selectFrom("ledger").select("seq").execute()).length]).toEqual(before);
  });
});

describe("trouble of the store", () => {
  it.each([
    [{ code: "ERR_SQLITE_ERROR", errcode: 13 }, 503],
    [{ code: "ERR_SQLITE_ERROR", errcode: 778 }, 503],
    [{ code: "ECONNREFUSED" }, 503],
    [{ code: "57P01" }, 503],
    [{ code: "53300" }, 503],
    [{ code: "ERR_SQLITE_ERROR", errcode: 19 }, 500],
    [{ code: "23505" }, 500],
    [{}, 500],
  ])("%j is %i, and tells nobody more", (fields, status) => {
    const answer = problemOf(Object.assign(new Error("inner words"), fields));
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.problem)).not.toContain("inner");
  });
});

describe("itself", () => {
  it("is well, and says where it keeps its data", async () => {
    expect(await api.get("/healthz")).toEqual({ status: 200, body: { status: "ok", store: "embedded" } });
  });

  it("labels requests by route, never by path", async () => {
    await api.get("/invoices/some-id-of-a-caller");
    await api.get("/some/path/of/a/caller");
    const text = String((await api.get("/metrics")).body);
    expect(text).toContain(`crm_http_requests_total{method="GET",route="/invoices/:id",status="404"}`);
    expect(text).toContain(`route="unknown",status="404"`);
    expect(text).not.toContain("of-a-caller");
  });

  it("has one label for methods that it does not know", async () => {
    for (const method of ["PROPFIND", "PURGE", "PATCH"]) await api.service.app.inject({ method: method as "PATCH", url: "/orgs" });
    const text = String((await api.get("/metrics")).body);
    expect(text).toMatch(/crm_http_requests_total\{method="other",route="unknown",status="405"\} 2/);
    expect(text).toMatch(/crm_http_requests_total\{method="PATCH",route="unknown",status="405"\} 1/);
    expect(text).toMatch(/crm_http_request_duration_seconds_count\{method="other",route="unknown"\} 2/);
    expect(text).not.toMatch(/PROPFIND|PURGE/);
  });

  it("tells the state of QuickBooks without an application", async () => {
    expect(await api.get("/qbo/status")).toEqual({ status: 200, body: { state: "not_configured", environment: null, connect_path: null, companies: [] } });
    expect(await api.get("/qbo/connect")).toMatchObject({ status: 409, body: { error: "not_configured" } });
  });
});
