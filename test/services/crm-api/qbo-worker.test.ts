/** The QuickBooks worker beside single objects, or a synchronisation, that QuickBooks has no usable answer for: all else of the company goes on. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { createInvoice } from "../../../services/crm-api/crm/invoices.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany } from "../../../services/crm-api/qbo/companies.ts";
import { QboFault, QboUnreachable } from "../../../services/crm-api/qbo/errors.ts";
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

/** What it says when it is asked to read an invoice, and when for changes. */
let [read, change] = [silence, silence];

/** Takes invoices. */
const client = {
  call: async (_realm: string, { operation, query }: QboCall) => {
    const time = new Date(clock.now()).toISOString();
    if (operation === "companyinfo") return { CompanyInfo: { Id: "1" }, time };
    if (operation === "query" && query!["query"]!.includes("ORDERBY")) return change();
    if (operation === "query") return { QueryResponse: { [/FROM (\w+)/.exec(query!["query"]!)![1]!]: [{ Id: "1" }] }, time };
    if (operation === "create") return { Invoice: { Id: String(++made), SyncToken: "0", TotalAmt: 1, MetaData: { CreateTime: time, LastUpdatedTime: time } } };
    return operation === "read" ? read() : change();
  },
} as unknown as QboClient;

function silence(): unknown {
  throw new QboUnreachable("QuickBooks did not answer within 60 s");
}
const unwell = () => {
  throw new QboUnreachable("QuickBooks answered with HTTP 503", { status: 503 });
};
const refusal = () => {
  throw new QboFault("4000", "Error parsing query");
};
const nonsense = () => z.object({ time: z.string() }).parse({});

beforeEach(async () => {
  made = 0;
  [read, change] = [silence, silence];
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

/** Three times within an hour. */
async function expectWrites(): Promise<void> {
  await pass(3_600, 360);
  for (let i = 0; i < 3; i++) {
    await pass(420, 42);
    await write();
    await pass(60, 12);
    await eventually(async () => (await waiting()) === 0, 2_000);
  }
}

it.each([
  ["have not answered", silence],
  ["have been answered with 503", unwell],
])("new writes go out within a minute, beside six objects that %s for an hour", async (_, answer) => {
  read = answer;
  const events = Array.from({ length: 6 }, (_, i) => inboxRow({ id: `e${i}`, realm_id: "r", entity: "Invoice", entity_id: String(i), operation: "read", received_at: clock.now() }));
  await changes.store.db.insertInto("qbo_inbox").values(events).execute();
  worker.start();
  await expectWrites();
  const state = await changes.store.db.selectFrom("qbo_inbox").selectAll().execute();
  expect(state.every((e) => e.attempts > 0 && e.processed_at === null)).toBe(true);
});

it.each([
  ["is not answered", silence],
  ["is answered with 503", unwell],
  ["is refused", refusal],
  ["is answered with nonsense", nonsense],
])("new writes go out within a minute, while the synchronisation %s, and the problem is shown", async (_, answer) => {
  change = answer;
  await changes.store.db.updateTable("qbo_connections").set({ last_sync_at: 0, cursor_at: clock.now() - day }).execute();
  worker.start();
  await expectWrites();
  const company = await changes.store.db.selectFrom("qbo_connections").selectAll().executeTakeFirstOrThrow();
  expect(company.last_sync_at).toBe(0);
  expect(company.problem).toEqual(expect.any(String));
});
