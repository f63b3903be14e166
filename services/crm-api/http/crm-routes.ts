/** The cash loop as JSON: organisations, leads, proposals, invoices, payments. */
import type { FastifyInstance } from "fastify";
import { windowSums } from "../crm/books.ts";
import { notFound } from "../crm/errors.ts";
import { createInvoice, payInvoice, refundPayment, voidInvoice } from "../crm/invoices.ts";
import { acceptProposal, createLead, createOrg, createProposal } from "../crm/orgs.ts";
import type { Changes, Unit } from "../crm/unit.ts";
import { dayMs } from "../crm/window.ts";
import { pushLater } from "../qbo/pushes.ts";
import { answerOnce } from "./once.ts";
import { check } from "./problems.ts";
import * as schema from "./schemas.ts";
import { leadView, invoiceView, orgView, paymentView, proposalView } from "./views.ts";

const defaultTermMs = 30 * dayMs;

/** @param changes to the store; reads go to its database directly */
export function crmRoutes(app: FastifyInstance, changes: Changes): void {
  orgRoutes(app, changes);
  proposalRoutes(app, changes);
  invoiceRoutes(app, changes);
  paymentRoutes(app, changes);
  app.get("/stats/window", async (request) => {
    const { from, to } = check(schema.windowQuery, request.query, "query");
    const orgs = await windowSums(changes.store.db, { from: Math.round(from * 1000), to: Math.round(to * 1000) });
    return { from, to, orgs };
  });
}

function orgRoutes(app: FastifyInstance, changes: Changes): void {
  const { db } = changes.store;
  app.post("/orgs", async (request, reply) => {
    const input = check(schema.newOrg, request.body, "body");
    return answerOnce(changes, request, reply, 201, async (u) => orgView(await createOrg(u, input)));
  });
  app.get("/orgs", async (request) => {
    const { limit, before } = check(schema.orgPage, request.query, "query");
    let query = db.selectFrom("orgs").selectAll().orderBy("id", "desc").limit(limit);
    if (before !== undefined) query = query.where("id", "<", before);
    return { orgs: (await query.execute()).map(orgView) };
  });
  app.post("/leads", async (request, reply) => {
    const input = check(schema.newLead, request.body, "body");
    return answerOnce(changes, request, reply, 201, async (u) => leadView(await createLead(u, input)));
  });
  app.get("/leads", async (request) => {
    const { limit, before, org_id } = check(schema.listPage, request.query, "query");
    let query = db.selectFrom("leads").selectAll().orderBy("id", "desc").limit(limit);
    if (before !== undefined) query = query.where("id", "<", before);
    if (org_id !== undefined) query = query.where("org_id", "=", org_id);
    return { leads: (await query.execute()).map(leadView) };
  });
}

function proposalRoutes(app: FastifyInstance, changes: Changes): void {
  app.post("/proposals", async (request, reply) => {
    const input = check(schema.newProposal, request.body, "body");
    return answerOnce(changes, request, reply, 201, async (u) => proposalView(await createProposal(u, input)));
  });
  app.get("/proposals", async (request) => {
    const { limit, before, org_id } = check(schema.listPage, request.query, "query");
    let query = changes.store.db.selectFrom("proposals").selectAll().orderBy("id", "desc").limit(limit);
    if (before !== undefined) query = query.where("id", "<", before);
    if (org_id !== undefined) query = query.where("org_id", "=", org_id);
    return { proposals: (await query.execute()).map(proposalView) };
  });
  app.post("/proposals/:id/accept", async (request, reply) => {
    const { id } = check(schema.byId, request.params, "path");
    check(schema.nothing, request.body, "body");
    return answerOnce(changes, request, reply, 200, async (u) => proposalView(await acceptProposal(u, id)));
  });
}

function invoiceRoutes(app: FastifyInstance, changes: Changes): void {
  const { db } = changes.store;
  app.post("/invoices", async (request, reply) => {
    const input = check(schema.newInvoice, request.body, "body");
    return answerOnce(changes, request, reply, 201, async (u) => {
      const created = await createInvoice(u, { ...input, due_at: input.due_at ?? u.at + defaultTermMs });
      await pushLater(u, "invoice.create", created.org_id, created.id, created.id);
      return invoiceView(created);
    });
  });
  app.get("/invoices", async (request) => {
    const { limit, before, org_id, status } = check(schema.invoicePage, request.query, "query");
    let query = db.selectFrom("invoices").selectAll().orderBy("id", "desc").limit(limit);
    if (before !== undefined) query = query.where("id", "<", before);
    if (org_id !== undefined) query = query.where("org_id", "=", org_id);
    if (status !== undefined) query = query.where("status", "=", status);
    return { invoices: (await query.execute()).map(invoiceView) };
  });
  app.get("/invoices/:id", async (request) => {
    const { id } = check(schema.byId, request.params, "path");
    const invoice = await db.selectFrom("invoices").selectAll().where("id", "=", id).executeTakeFirst();
    if (invoice === undefined) throw notFound("invoice", "id");
    return invoiceView(invoice);
  });
  app.post("/invoices/:id/void", async (request, reply) => {
    const { id } = check(schema.byId, request.params, "path");
    check(schema.nothing, request.body, "body");
    return answerOnce(changes, request, reply, 200, async (u) => {
      const voided = await voidInvoice(u, id);
      await pushLater(u, "invoice.void", voided.org_id, id, id);
      return invoiceView(voided);
    });
  });
}

async function pay(u: Unit, invoiceId: string, input: { amount_cents: number; reference?: string | undefined }, field: string) {
  const paid = await payInvoice(u, invoiceId, input, field);
  await pushLater(u, "payment.create", paid.payment.org_id, paid.payment.id, invoiceId);
  return { payment: paymentView(paid.payment), invoice: invoiceView(paid.invoice) };
}

function paymentRoutes(app: FastifyInstance, changes: Changes): void {
  app.post("/invoices/:id/payments", async (request, reply) => {
    const { id } = check(schema.byId, request.params, "path");
    const input = check(schema.invoicePayment, request.body, "body");
    return answerOnce(changes, request, reply, 201, (u) => pay(u, id, input, "id"));
  });
  app.post("/payments", async (request, reply) => {
    const { invoice_id, ...input } = check(schema.newPayment, request.body, "body");
    return answerOnce(changes, request, reply, 201, (u) => pay(u, invoice_id, input, "invoice_id"));
  });
  app.get("/payments", async (request) => {
    const { limit, before, org_id, invoice_id } = check(schema.paymentPage, request.query, "query");
    let query = changes.store.db.selectFrom("payments").selectAll().orderBy("id", "desc").limit(limit);
    if (before !== undefined) query = query.where("id", "<", before);
    if (org_id !== undefined) query = query.where("org_id", "=", org_id);
    if (invoice_id !== undefined) query = query.where("invoice_id", "=", invoice_id);
    return { payments: (await query.execute()).map(paymentView) };
  });
  app.post("/payments/:id/refund", async (request, reply) => {
    const { id } = check(schema.byId, request.params, "path");
    check(schema.nothing, request.body, "body");
    return answerOnce(changes, request, reply, 200, async (u) => {
      const { payment, invoice } = await refundPayment(u, id);
      await pushLater(u, "payment.void", payment.org_id, id, invoice.id);
      return { payment: paymentView(payment), invoice: invoiceView(invoice) };
    });
  });
}
