/** The same service on a real PostgreSQL, with two replicas. */
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Changes, type Unit } from "../../../services/crm-api/crm/unit.ts";
import { applyEntity } from "../../../services/crm-api/qbo/apply.ts";
import { connectCompany, findCompany } from "../../../services/crm-api/qbo/companies.ts";
import { pushLater } from "../../../services/crm-api/qbo/pushes.ts";
import { refundPayment } from "../../../services/crm-api/crm/invoices.ts";
import { forgetOldAnswers } from "../../../services/crm-api/crm/once.ts";
import { countDueInvoices } from "../../../services/crm-api/crm/due.ts";
import { systemClock } from "../../../services/crm-api/clock.ts";
import { createLease } from "../../../services/crm-api/store/lease.ts";
import { openPostgresStore, type Store } from "../../../services/crm-api/store/store.ts";
import { postgresMissing, startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import { Tokens } from "../../../services/crm-api/qbo/tokens.ts";
import { clientSecret, eventually, MemoryPublisher, silent, startTestApi, startTestQbo, type TestApi } from "./support.ts";

describe.skipIf(postgresMissing)("on PostgreSQL", () => {
  let server: TestPostgres;
  let database: string;
  let apis: TestApi[] = [];
  const problems: Error[] = [];

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    database = await server.createDatabase();
  });
  afterEach(async () => {
    await Promise.all(apis.map((api) => api.close()));
    apis = [];
  });

  const open = (password = server.password): Promise<Store> => openPostgresStore({ host: server.host, port: server.port, user: server.user, database, password: () => password, tls: false }, (error) => problems.push(error));
  const replica = async (publisher?: MemoryPublisher): Promise<TestApi> => {
    const api = await startTestApi({}, { store: await open(), clock: systemClock, ...(publisher === undefined ? {} : { publisher }) });
    apis.push(api);
    return api;
  };
  const newInvoice = async (api: TestApi, cents = 100): Promise<string> => (await api.post("/invoices", { org_id: "acme", customer: "x", amount_cents: cents })).body.id;

  it("starts several replicas at once on an empty database", async () => {
    const stores = await Promise.all([open(), open(), open()]);
    await stores[0]!.db.insertInto("orgs").values({ id: "x", name: "X", created_at: 1 }).execute();
    expect(await stores[2]!.db.selectFrom("orgs").select("id").execute()).toEqual([{ id: "x" }]);
    await Promise.all(stores.map((s) => s.close()));
  });

  it("goes through the cash loop, with amounts as exact numbers", async () => {
    const api = await replica();
    const id = await newInvoice(api, 9_999_999_999);
    expect(await api.post(`/invoices/${id}/payments`, { amount_cents: 10_000_000_000 })).toMatchObject({ status: 409, body: { field: "amount_cents" } });
    const paid = (await api.post(`/invoices/${id}/payments`, { amount_cents: 9_999_999_999 })).body;
    expect(paid.invoice).toMatchObject({ status: "paid", paid_cents: 9_999_999_999 });
    expect(await api.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)).toBe(9_999_999_999);
    const now = Date.now() / 1000;
    expect((await api.get(`/stats/window?from=${Math.floor(now - 60)}&to=${Math.ceil(now + 60)}`)).body.orgs[0]).toEqual({ org_id: "acme", invoices_created: 1, invoices_paid: 1, revenue_cents: 9_999_999_999 });
    await api.post(`/payments/${paid.payment.id}/refund`);
    await api.post(`/invoices/${id}/void`);
    expect((await api.get(`/invoices/${id}`)).body.status).toBe("void");
  });

  it("takes no more than is owed when payments race on two replicas", async () => {
    const [one, two] = [await replica(), await replica()];
    const id = await newInvoice(one, 1_000);
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? one : two).post(`/invoices/${id}/payments`, { amount_cents: 100 })));
    expect(answers.filter((a) => a.status === 201)).toHaveLength(10);
    expect(answers.filter((a) => a.status === 409)).toHaveLength(20);
    for (const api of [one, two]) {
      expect(await api.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)).toBe(1_000);
      expect(await api.metric(`crm_invoices_paid_total{org_id="acme"}`)).toBe(1);
    }
  });

  it("books one payment when one key comes 20 times at once to two replicas", async () => {
    const [one, two] = [await replica(), await replica()];
    const id = await newInvoice(one, 1_000);
    const pay = (i: number, cents: number) => (i % 2 === 0 ? one : two).service.app.inject({ method: "POST", url: `/invoices/${id}/payments`, headers: { "idempotency-key": "k" }, payload: { amount_cents: cents } });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => pay(i, 100)));
    expect(answers.map((a) => a.statusCode)).toEqual(Array(20).fill(201));
    expect(new Set(answers.map((a) => a.body)).size).toBe(1);
    expect(answers.filter((a) => a.headers["idempotency-replayed"] === "true")).toHaveLength(19);
    expect((await pay(1, 200)).statusCode).toBe(422);
    expect(await one.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)).toBe(100);
    const changes = new Changes(two.store, { ...systemClock, now: () => Date.now() + 2 * 86_400_000 });
    await forgetOldAnswers(changes);
    expect((await pay(0, 200)).statusCode).toBe(201);
  });

  it("agrees between replicas under concurrent business, without deadlocks", async () => {
    const [one, two] = [await replica(), await replica()];
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const api = i % 2 === 0 ? one : two;
        const id = (await api.post("/invoices", { org_id: i % 3 === 0 ? "acme" : "globex", customer: "x", amount_cents: 100 + i })).body.id;
        if (i % 4 !== 0) expect((await api.post(`/invoices/${id}/payments`, { amount_cents: 100 + i })).status).toBe(201);
        else expect((await api.post(`/invoices/${id}/void`)).status).toBe(200);
      }),
    );
    const exposition = async (api: TestApi) => String((await api.get("/metrics")).body).split("\n").filter((l) => /^crm_(invoices|invoice|refunds|payments)_/.test(l));
    expect(await exposition(one)).toEqual(await exposition(two));
    const sum = await one.store.db.selectFrom("payments").select((eb) => eb.fn.sum<number>("amount_cents").as("cents")).executeTakeFirstOrThrow();
    expect((await one.metric(`crm_invoice_payments_cents_total{org_id="acme"}`))! + (await one.metric(`crm_invoice_payments_cents_total{org_id="globex"}`))!).toBe(sum.cents);
  });

  it("counts a due date once, whichever replica looks", async () => {
    const [one, two] = [await replica(), await replica()];
    for (let i = 0; i < 20; i++) await newInvoice(one);
    await one.store.db.updateTable("invoices").set({ due_at: Date.now() - 1 }).execute();
    await Promise.all([one, two].map((api) => countDueInvoices(new Changes(api.store, systemClock))));
    expect([await one.metric(`crm_invoices_due_total{org_id="acme"}`), await two.metric(`crm_invoices_overdue_total{org_id="acme"}`)]).toEqual([20, 20]);
  });

  it("refunds what QuickBooks raises a payment to meanwhile, and neither breaks the other off", async () => {
    const [api, other] = [await replica(), await open()];
    const [here, worker] = [new Changes(api.store, systemClock), new Changes(other, systemClock)];
    const later = Date.now() + 86_400_000;
    await connectCompany(worker, "acme", "r", { accessToken: "a", refreshToken: "r", accessExpiresAt: later, refreshExpiresAt: later, issuedAt: Date.now() });
    const { payment } = (await api.post(`/invoices/${await newInvoice(api, 10_000)}/payments`, { amount_cents: 6_000 })).body;
    await other.db.updateTable("payments").set({ qbo_realm: "r", qbo_id: "2", qbo_sync_token: 0, qbo_updated_at: 0 }).execute();
    const company = (await findCompany(other.db, "r"))!;
    const time = new Date().toISOString();
    const raise = (u: Unit) => applyEntity(u, { ...company, home_currency: "USD" }, "Payment", { Id: "2", SyncToken: "1", TotalAmt: 80, MetaData: { CreateTime: time, LastUpdatedTime: time } });
    const [locked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const runs = { raise: 0, refund: 0 };
    const raising = worker.commit(async (u) => {
      runs.raise++;
      // What a raise does first.
      await u.tx.selectFrom("payments").select("id").forUpdate().execute();
      locked.resolve();
      await go.promise;
      await raise(u);
    });
    await locked.promise;
    const refunding = here.commit(async (u) => {
      runs.refund++;
      const { invoice } = await refundPayment(u, payment.id);
      await pushLater(u, "payment.void", "acme", payment.id, invoice.id);
    });
    await eventually(async () => (await sql<{ n: number }>`select count(*) as n from pg_stat_activity where wait_event_type = 'Lock'`.execute(other.db)).rows[0]!.n > 0);
    go.resolve();
    await Promise.all([raising, refunding]);
    expect(runs).toEqual({ raise: 1, refund: 1 });
    await worker.commit(raise);
    expect(await other.db.selectFrom("payments").select(["amount_cents", "refunded_cents"]).executeTakeFirst()).toEqual({ amount_cents: 8_000, refunded_cents: 8_000 });
    expect([await api.metric(`crm_invoice_payments_cents_total{org_id="acme"}`), await api.metric(`crm_refunds_cents_total{org_id="acme"}`)]).toEqual([8_000, 8_000]);
    await other.close();
  });

  it("has one relay at a time, wakes it from every replica, and hands over when it stops", async () => {
    const publisher = new MemoryPublisher();
    const [one, two] = [await replica(publisher), await replica(publisher)];
    one.service.start();
    await eventually(() => publisher.types.length === 2);
    two.service.start();
    for (let i = 0; i < 20; i++) await newInvoice(i % 2 === 0 ? one : two);
    await eventually(() => publisher.events.length === 22);
    expect(new Set(publisher.events.map((e) => e.event_id)).size).toBe(22);
    apis = [two];
    await one.close();
    await newInvoice(two);
    await eventually(() => publisher.events.length === 23);
  });

  it("gives a lease to one holder until it is released or runs out", async () => {
    const store = await open();
    const [a, b] = [createLease(store, "job", "a", 2_000), createLease(store, "job", "b", 2_000)];
    expect([await a.hold(), await b.hold(), await a.hold()]).toEqual([true, false, true]);
    await a.release();
    expect([await b.hold(), await a.hold()]).toEqual([true, false]);
    await eventually(() => a.hold());
    await store.close();
  });

  it("survives the server's death: 503 meanwhile, then on as before", async () => {
    const api = await replica();
    api.service.start();
    const id = await newInvoice(api);
    await server.kill();
    try {
      expect((await api.post(`/invoices/${id}/payments`, { amount_cents: 1 })).status).toBe(503);
      expect((await api.get("/healthz")).status).toBe(200);
      expect((await api.get("/qbo/status")).body.state).toBe("unknown");
    } finally {
      // Every other case needs it too.
      await server.start();
    }
    expect(await eventually(async () => ((await api.post(`/invoices/${id}/payments`, { amount_cents: 1 })).status === 201 ? true : undefined))).toBe(true);
    // Still woken by notifications on a new connection.
    await eventually(async () => (await api.metric("crm_outbox_depth")) === 0);
  });

  it("answers 503 when the server dies in the middle of a transaction", async () => {
    const [api, other] = [await replica(), await open()];
    const id = await newInvoice(api);
    const locked = Promise.withResolvers<void>();
    const holding = other.transaction(async (tx) => {
      await tx.selectFrom("invoices").selectAll().where("id", "=", id).forUpdate().execute();
      locked.resolve();
      await sql`select pg_sleep(60)`.execute(tx);
    }).catch((error: unknown) => error);
    await locked.promise;
    const payment = api.post(`/invoices/${id}/payments`, { amount_cents: 1 });
    const waiting = () => sql<{ n: number }>`select count(*) as n from pg_stat_activity where wait_event_type = 'Lock'`.execute(api.store.db);
    await eventually(async () => (await waiting()).rows[0]!.n > 0);
    await server.kill();
    try {
      expect((await payment).status).toBe(503);
      expect(await holding).toBeInstanceOf(Error);
    } finally {
      await server.start();
    }
    await other.close();
  });

  it("sums beyond 2^53 cents lose a digit, and take no metrics with them", async () => {
    const api = await replica();
    const cents = 9_007_199_254_740_990;
    const fact = { org_id: "acme", kind: "payment" as const, count: 1, amount_cents: cents, at: Date.now() };
    await api.store.db.insertInto("ledger").values([fact, fact, fact]).execute();
    await api.store.db.updateTable("totals").set({ amount_cents: sql`3 * ${cents}::bigint` }).where("org_id", "=", "acme").execute();
    expect(await api.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)).toBeCloseTo(3 * cents, -3);
    expect(await api.metric(`crm_store_revenue_cents_24h{org_id="acme"}`)).toBeCloseTo(3 * cents, -3);
  });

  it("names a wrong password and shows none", async () => {
    await expect(open("wrong password")).rejects.toThrow(/password authentication failed/);
    await expect(open("wrong password")).rejects.not.toThrow(/wrong password/);
  });

  it("refreshes a token once for 20 callers on two replicas", async () => {
    const t = await startTestQbo({ store: await open(), env: { QBO_SYNC_SECONDS: "86400" } });
    apis.push(t);
    await t.connect();
    await t.settled();
    await t.control("POST", "/rotation", { policy: "strict" });
    const { generation, realm_id: realm } = await t.store.db.selectFrom("qbo_connections").selectAll().executeTakeFirstOrThrow();
    const asked = t.standin.requests.get("token")!;
    const stores = [await open(), await open()];
    const replicas = stores.map((store) => {
      const config = { baseUrl: t.standinUrl, sandbox: true, clientId: "client", clientSecret: () => clientSecret, verifier: undefined, redirectUrl: "x", syncMs: 1 };
      return new Tokens({ config, changes: new Changes(store, systemClock), clock: systemClock, fetch, metrics: createMetrics(false), log: silent, holder: crypto.randomUUID() });
    });
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => replicas[i % 2]!.renew(realm, generation)));
    expect(new Set(results.map((c) => c.access_token)).size).toBe(1);
    expect([t.standin.requests.get("token")! - asked, results[0]!.generation]).toEqual([1, generation + 1]);
    await Promise.all(stores.map((s) => s.close()));
  });

  it("synchronises with QuickBooks and takes its webhooks", async () => {
    const t = await startTestQbo({ store: await open() });
    apis.push(t);
    await t.control("POST", "/seed", { invoices: 30, paid: 10 });
    expect((await t.connect()).status).toBe(200);
    await t.settled();
    await t.control("POST", "/clock", { offset_seconds: 2 });
    await t.control("POST", "/webhooks", { copies: 3 });
    const made = await t.control("POST", "/companies/-/invoices", { amount: 80.8 });
    await t.control("POST", "/companies/-/payments", { amount: 80.8, invoice_id: made.Id });
    await eventually(async () => (await t.metric(`crm_invoices_paid_total{org_id="acme"}`)) === 1);
    await t.settled();
    expect([await t.metric(`crm_invoices_generated_total{org_id="acme"}`), await t.metric(`crm_invoice_payments_cents_total{org_id="acme"}`)]).toEqual([1, 8_080]);
    const id = await newInvoice(t, 500);
    await eventually(async () => (await t.get(`/invoices/${id}`)).body.qbo_id !== null);
  });
});
