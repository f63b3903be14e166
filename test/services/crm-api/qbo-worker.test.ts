/** The QuickBooks worker beside single objects that never answer: all else of the company goes on. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createInvoice } from "../../../services/crm-api/crm/invoices.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany } from "../../../services/crm-api/qbo/companies.ts";
import { QboUnreachable } from "../../../services/crm-api/qbo/errors.ts";
import { inboxRow } from "../../../services/crm-api/qbo/inbox-row.ts";
import { pushLater } from "../../../services/crm-api/qbo/pushes.ts";
import { QboWorker } from "../../../services/crm-api/qbo/worker.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import { eventually, ManualClock, silent } from "./support.ts";

const day = 86_400_000;
let changes: Changes;
let clock: ManualClock;
let worker: QboWorker;
/** Invoices that arrived. */
let made: number;

/** Takes invoices, and answers for none that it is asked to read. */
const client = {
  call: async (_realm: string, { operation, query }: QboCall) => {
    const time = new Date(clock.now()).toISOString();
    if (operation === "companyinfo") return { CompanyInfo: { Id: "1" }, time };
    if (operation === "query") return { QueryResponse: { [/FROM (\w+)/.exec(query!["query"]!)![1]!]: [{ Id: "1" }] }, time };
    if (operation === "create") return { Invoice: { Id: String(++made), SyncToken: "0", TotalAmt: 1, MetaData: { CreateTime: time, LastUpdatedTime: time } } };
    throw new QboUnreachable("QuickBooks did not answer within 60 s");
  },
} as unknown as QboClient;

beforeEach(async () => {
  made = 0;
  clock = new ManualClock();
  changes = new Changes(await openEmbeddedStore(":memory:"), clock);
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
  const later = clock.now() + day;
  await connectCompany(changes, "acme", "r", { accessToken: "a", refreshToken: "r", accessExpiresAt: later, refreshExpiresAt: later, issuedAt: clock.now() });
  await changes.store.db.updateTable("qbo_connections").set({ imported_at: clock.now(), last_sync_at: clock.now(), sync_requested_at: null, home_currency: "USD" }).execute();
  const lease = { hold: async () => true, release: async () => undefined };
  worker = new QboWorker({ changes, client, lease, log: silent, metrics: createMetrics(false), syncMs: day });
});
afterEach(async () => {
  await worker.stop();
  await changes.store.close();
});

async function pass(seconds: number, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) {
    await clock.advance((seconds / steps) * 1000);
    await sleep(2);
  }
}

const write = () =>
  changes.commit(async (u) => {
    const { id } = await createInvoice(u, { org_id: "acme", customer: "C", amount_cents: 100, due_at: clock.now() + day });
    await pushLater(u, "invoice.create", "acme", id, id);
  });
const waiting = async () => (await changes.store.db.selectFrom("qbo_pushes").select("id").where("done_at", "is", null).execute()).length;

it("new writes go out within a minute, beside six objects that have not answered for an hour", async () => {
  const events = Array.from({ length: 6 }, (_, i) => inboxRow({ id: `e${i}`, realm_id: "r", entity: "Invoice", entity_id: String(i), operation: "read", received_at: clock.now() }));
  await changes.store.db.insertInto("qbo_inbox").values(events).execute();
  worker.start();
  await pass(3_600, 360);
  const state = await changes.store.db.selectFrom("qbo_inbox").selectAll().execute();
  expect(state.every((e) => e.attempts > 0 && e.processed_at === null)).toBe(true);
  for (let i = 0; i < 3; i++) {
    await pass(420, 42);
    await write();
    await pass(60, 12);
    await eventually(async () => (await waiting()) === 0, 2_000);
  }
});
