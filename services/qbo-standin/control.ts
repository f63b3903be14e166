/** Controls for tests and people: faults, tokens, the clock, webhooks, and changes as somebody at QuickBooks makes them. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { Standin } from "./app.ts";
import type { Books } from "./books.ts";
import { faultOrder } from "./faults.ts";
import { policies } from "./oauth.ts";

const amount = z.number().positive().max(99_999_999);
const person = z.string().min(1).max(100).default("Walk-in customer");
const newInvoice = z.strictObject({ customer: person, amount, due_date: z.iso.date().optional(), note: z.string().optional(), created_at: z.iso.datetime({ offset: true }).optional() });
const newPayment = z.strictObject({ customer: person, amount, invoice_id: z.string().optional(), note: z.string().optional(), created_at: z.iso.datetime({ offset: true }).optional() });
const edit = z.record(z.string(), z.unknown());
const webhooks = z.strictObject({ enabled: z.boolean().optional(), form: z.enum(["cloudevents", "eventNotifications"]).optional(), copies: z.int().min(0).max(100).optional() });
const seed = z.strictObject({ invoices: z.int().min(0).max(20_000), paid: z.int().min(0), days_ago: z.number().min(0).max(36_500).default(40) });
const tenYears = 10 * 365 * 24 * 60 * 60;

function customerId(books: Books, name: string): string {
  const known = [...books.customers.values()].find((c) => c.DisplayName === name);
  return (known ?? books.createCustomer({ DisplayName: name })).Id;
}

export function makeInvoice(books: Books, input: z.output<typeof newInvoice>) {
  const invoice = books.createInvoice({
    CustomerRef: { value: customerId(books, input.customer) },
    Line: [{ Amount: input.amount, DetailType: "SalesItemLineDetail", SalesItemLineDetail: { ItemRef: { value: "1" } } }],
    ...(input.due_date === undefined ? {} : { DueDate: input.due_date }),
    ...(input.note === undefined ? {} : { PrivateNote: input.note }),
  });
  if (input.created_at !== undefined) books.backdate(invoice, Date.parse(input.created_at));
  return invoice;
}

export function makePayment(books: Books, input: z.output<typeof newPayment>) {
  const payment = books.createPayment({
    CustomerRef: { value: customerId(books, input.customer) },
    TotalAmt: input.amount,
    Line: input.invoice_id === undefined ? [] : [{ Amount: input.amount, LinkedTxn: [{ TxnId: input.invoice_id, TxnType: "Invoice" }] }],
    ...(input.note === undefined ? {} : { PrivateNote: input.note }),
  });
  if (input.created_at !== undefined) books.backdate(payment, Date.parse(input.created_at));
  return payment;
}

/** History from before anybody connected. */
export function seedBooks(books: Books, order: z.output<typeof seed>, now: number): void {
  const at = new Date(now - order.days_ago * 24 * 60 * 60 * 1000).toISOString();
  for (let i = 0; i < order.invoices; i++) {
    const invoice = makeInvoice(books, { customer: "Long-standing customer", amount: 100 + i, created_at: at });
    if (i < order.paid) makePayment(books, { customer: "Long-standing customer", amount: 100 + i, invoice_id: invoice.Id, created_at: at });
    books.backdate(invoice, Date.parse(at));
  }
}

/** @param standin what the controls act on; `:realm` may be `-` for the company that the authorise page gives */
export function controlRoutes(app: FastifyInstance, standin: Standin): void {
  const books = (realm: string): Books => standin.company(realm === "-" ? standin.nextRealm : realm).books;
  faultControls(app, standin);
  app.post("/standin/seed", async (request) => {
    seedBooks(books("-"), seed.parse(request.body), standin.clock.now());
    return { ok: true };
  });
  app.post<{ Params: { realm: string } }>("/standin/companies/:realm/invoices", async (request) => makeInvoice(books(request.params.realm), newInvoice.parse(request.body)));
  app.post<{ Params: { realm: string } }>("/standin/companies/:realm/payments", async (request) => makePayment(books(request.params.realm), newPayment.parse(request.body)));
  app.get<{ Params: { realm: string } }>("/standin/companies/:realm", async (request) => {
    const b = books(request.params.realm);
    return { realm: b.realm, customers: [...b.customers.values()], invoices: [...b.invoices.values()], payments: [...b.payments.values()] };
  });
  const one = "/standin/companies/:realm/:entity/:id";
  app.patch<{ Params: { realm: string; entity: string; id: string } }>(one, async ({ params, body }) => books(params.realm).edit(entityOf(params.entity), params.id, edit.parse(body)));
  app.delete<{ Params: { realm: string; entity: string; id: string } }>(one, async ({ params }) => {
    const b = books(params.realm);
    return b.remove(entityOf(params.entity), newest(b, params.entity, params.id));
  });
  app.post<{ Params: { realm: string; entity: string; id: string } }>(`${one}/void`, async ({ params }) => {
    const b = books(params.realm);
    const version = newest(b, params.entity, params.id);
    return entityOf(params.entity) === "Invoice" ? b.voidInvoice(version) : b.voidPayment(version);
  });
}

const entityOf = (path: string): "Invoice" | "Payment" => z.enum(["invoices", "payments"]).parse(path) === "invoices" ? "Invoice" : "Payment";

const newest = (b: Books, entity: string, id: string) => ({ Id: id, SyncToken: (entityOf(entity) === "Invoice" ? b.invoices : b.payments).get(id)?.SyncToken ?? "0" });

function faultControls(app: FastifyInstance, standin: Standin): void {
  app.get("/standin/state", async () => standin.state());
  app.post("/standin/faults", async (request) => {
    standin.faults.order(faultOrder.parse(request.body));
    return { ok: true };
  });
  app.delete("/standin/faults", async () => {
    standin.faults.clear();
    return { ok: true };
  });
  app.post("/standin/rotation", async (request) => {
    standin.oauth.policy = z.strictObject({ policy: z.enum(policies) }).parse(request.body).policy;
    return { ok: true };
  });
  app.post("/standin/expire-access", async () => {
    standin.oauth.expireAccess();
    return { ok: true };
  });
  app.post("/standin/revoke", async () => {
    standin.oauth.revoke(standin.nextRealm);
    return { ok: true };
  });
  app.post("/standin/clock", async (request) => {
    standin.clock.offsetMs = z.strictObject({ offset_seconds: z.number().min(-tenYears).max(tenYears) }).parse(request.body).offset_seconds * 1000;
    return { now: new Date(standin.clock.now()).toISOString() };
  });
  app.post("/standin/authorise", async (request) => {
    const order = z.strictObject({ realm: z.string().regex(/^\d{1,20}$/).optional(), deny: z.boolean().optional() }).parse(request.body);
    if (order.realm !== undefined) standin.nextRealm = order.realm;
    if (order.deny !== undefined) standin.deny = order.deny;
    return { realm: standin.nextRealm, deny: standin.deny };
  });
  app.post("/standin/webhooks", async (request) => Object.assign(standin.webhooks.settings, webhooks.parse(request.body)));
  app.post("/standin/webhooks/repeat", async () => ({ ok: standin.webhooks.repeat() }));
}
