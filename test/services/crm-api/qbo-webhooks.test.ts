/** Webhook deliveries, as they are taken. */
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { started, t } from "./qbo-support.ts";
import { verifierToken } from "./support.ts";

describe("webhook deliveries", () => {
  const body = Buffer.from(JSON.stringify([{ specversion: "1.0", id: "e-1", source: "x", type: "qbo.invoice.created.v1", time: "2026-01-01T00:00:00Z", intuitentityid: "1", intuitaccountid: "77", data: {} }]));
  const sign = (bytes: Buffer, key = verifierToken) => createHmac("sha256", key).update(bytes).digest("base64");
  const deliver = async (payload: Buffer, signature?: string) => {
    const response = await t.service.app.inject({ method: "POST", url: "/qbo/webhooks", headers: { "content-type": "application/json", ...(signature === undefined ? {} : { "intuit-signature": signature }) }, payload });
    return { status: response.statusCode, body: response.json() };
  };

  it("are taken with a signature over the raw bytes only", async () => {
    await started();
    expect(await deliver(body, sign(body))).toEqual({ status: 200, body: { accepted: 1, duplicate: 0 } });
    expect(await deliver(body, sign(body))).toEqual({ status: 200, body: { accepted: 0, duplicate: 1 } });
    const spaced = Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 1));
    for (const [payload, signature] of [[body, undefined], [body, ""], [body, "no base64 %%%"], [body, sign(body, "another key")], [spaced, sign(body)], [Buffer.alloc(0), undefined]] as const) {
      expect((await deliver(payload, signature)).status).toBe(401);
    }
    expect(await t.metric(`crm_qbo_webhooks_total{result="rejected"}`)).toBe(6);
  });

  it("are refused when they are signed and senseless, and let through when they concern something else", async () => {
    await started();
    for (const text of ["", "{", "{}", "null", "5", '{"eventNotifications":1}']) {
      const bytes = Buffer.from(text);
      expect((await deliver(bytes, sign(bytes))).status, text).toBe(400);
    }
    const customer = Buffer.from(body.toString().replace("qbo.invoice", "qbo.customer"));
    expect(await deliver(customer, sign(customer))).toEqual({ status: 200, body: { accepted: 0, duplicate: 0 } });
    const none = Buffer.from("[]");
    expect((await deliver(none, sign(none))).status).toBe(200);
  });

  it.each([
    ["no kind", {}],
    ["no object", { id: "e-2", type: "qbo.invoice.created.v1", intuitaccountid: "77" }],
    ["no text", 5],
    ["null", null],
  ])("keep their other events when one has %s", async (_name, bad) => {
    await started();
    const mixed = Buffer.from(JSON.stringify([bad, ...JSON.parse(body.toString())]));
    expect(await deliver(mixed, sign(mixed))).toEqual({ status: 200, body: { accepted: 1, duplicate: 0 } });
    const entity = { name: "Invoice", id: "1", operation: "Create" };
    const old = Buffer.from(JSON.stringify({ eventNotifications: [bad, { realmId: "77", dataChangeEvent: { entities: [{ ...entity, id: undefined }, 5, entity] } }] }));
    expect(await deliver(old, sign(old))).toEqual({ status: 200, body: { accepted: 1, duplicate: 0 } });
    expect(await t.metric(`crm_qbo_webhooks_total{result="unusable"}`)).toBeGreaterThanOrEqual(3);
  });

  it("say nothing of events about something else, whatever they lack", async () => {
    await started();
    const other = Buffer.from(JSON.stringify([{ type: "intuit.app.disconnected.v1" }, ...JSON.parse(body.toString())]));
    expect((await deliver(other, sign(other))).body).toEqual({ accepted: 1, duplicate: 0 });
    expect(await t.metric(`crm_qbo_webhooks_total{result="unusable"}`)).toBe(0);
  });

  it("are put off, not lost, while the verifier token cannot be read", async () => {
    await started({ env: { QBO_WEBHOOK_VERIFIER_FILE: "/nowhere/verifier" } });
    expect(await deliver(body, sign(body))).toMatchObject({ status: 503, body: { error: "not_configured" } });
  });

  it("of several companies and kinds arrive whole", async () => {
    await started();
    const event = JSON.parse(body.toString())[0];
    const many = Buffer.from(JSON.stringify([event, { ...event, id: "e-2", intuitaccountid: "78", type: "qbo.payment.updated.v1" }, { ...event, id: "e-2" }]));
    expect((await deliver(many, sign(many))).body).toEqual({ accepted: 2, duplicate: 1 });
    expect((await t.store.db.selectFrom("qbo_inbox").select(["realm_id", "entity", "operation"]).orderBy("realm_id").execute()).map((r) => ({ ...r }))).toEqual([
      { realm_id: "77", entity: "Invoice", operation: "created" },
      { realm_id: "78", entity: "Payment", operation: "updated" },
    ]);
  });
});
