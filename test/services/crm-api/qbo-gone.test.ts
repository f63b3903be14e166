/** What counts as deleted in QuickBooks, and in which order a change that touches several objects is taken over. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import { applyEntity } from "../../../services/crm-api/qbo/apply.ts";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany, findCompany } from "../../../services/crm-api/qbo/companies.ts";
import type { EntityName } from "../../../services/crm-api/qbo/entities.ts";
import { QboFault, QboUnreachable } from "../../../services/crm-api/qbo/errors.ts";
import { workOffInbox } from "../../../services/crm-api/qbo/inbox.ts";
import { syncCompany } from "../../../services/crm-api/qbo/sync.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import type { QboConnection } from "../../../services/crm-api/store/tables.ts";
import { ManualClock, silent } from "./support.ts";

const realm = "r";
let changes: Changes;
let clock: ManualClock;
/** What the company answers: to a look at one object, to a query for all, and to the question what changed. */
let reads: Map<string, () => unknown>;
let lists: Record<EntityName, object[]>;
let changed: Record<EntityName, object[]>;
let time: string;

const client = {
  call: async (_realm: string, { operation, path, query }: QboCall) => {
    if (operation === "read") return reads.get(path)!();
    if (operation === "companyinfo") return reads.get(operation)?.() ?? { CompanyInfo: {}, time };
    if (operation === "cdc") return { CDCResponse: [{ QueryResponse: [{ Invoice: changed.Invoice }, { Payment: changed.Payment }] }], time };
    const entity = /FROM (\w+)/.exec(query!["query"]!)![1] as EntityName;
    return { QueryResponse: { [entity]: lists[entity] }, time };
  },
} as unknown as QboClient;

const object = (Id: string, more: object = {}) => ({ Id, SyncToken: "0", TotalAmt: 100, MetaData: { CreateTime: time, LastUpdatedTime: time }, ...more });
const gone = () => {
  throw new QboFault("610", "Object Not Found");
};
const broken = () => {
  throw new QboUnreachable("QuickBooks answered 500", { status: 500 });
};

const silence = () => {
  throw new QboUnreachable("QuickBooks cannot be reached");
};

beforeEach(async () => {
  clock = new ManualClock();
  time = new Date(clock.now()).toISOString();
  changes = new Changes(await openEmbeddedStore(":memory:"), clock);
  [reads, lists, changed] = [new Map(), { Invoice: [], Payment: [] }, { Invoice: [], Payment: [] }];
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
  const later = clock.now() + 3_600_000;
  await connectCompany(changes, "acme", realm, { accessToken: "a", refreshToken: "r", accessExpiresAt: later, refreshExpiresAt: later, issuedAt: clock.now() });
  // So long ago that everything is compared.
  await changes.store.db.updateTable("qbo_connections").set({ imported_at: 1, baseline_at: 0, cursor_at: 0, home_currency: "USD" }).execute();
});
afterEach(() => changes.store.close());

const company = async (): Promise<QboConnection> => (await findCompany(changes.store.db, realm))!;
async function know(entity: EntityName, row: object): Promise<void> {
  const stored = await company();
  await changes.commit((u) => applyEntity(u, stored, entity, row));
}
const synchronise = async () => syncCompany(changes, client, await company(), silent, createMetrics(false));
const statuses = async () => Object.fromEntries((await changes.store.db.selectFrom("invoices").select(["qbo_id", "status"]).execute()).map((i) => [i.qbo_id, i.status]));
const refunded = async () => (await changes.store.db.selectFrom("payments").select("refunded_cents").execute()).map((p) => p.refunded_cents);
const inbox = () => changes.store.db.selectFrom("qbo_inbox").selectAll().orderBy("entity_id").execute();

async function announced(entity: EntityName, entity_id: string): Promise<void> {
  await changes.store.db.insertInto("qbo_inbox").values({ id: entity_id, realm_id: realm, entity, entity_id, operation: "updated", received_at: 1, processed_at: null, attempts: 0, next_attempt_at: 0, problem: null }).execute();
  await workOffInbox(changes, client, await company(), silent);
}

describe("an announced object", () => {
  it.each([{ status: "ok" }, {}, { Invoice: null, Payment: null }])("that is read as %j keeps what is known of it, and is looked at again later", async (answer) => {
    await know("Invoice", object("42"));
    await know("Payment", object("43"));
    reads.set("invoice/42", () => answer).set("payment/43", () => answer);
    await announced("Invoice", "42");
    await announced("Payment", "43");
    expect([await statuses(), await refunded()]).toEqual([{ 42: "open" }, [0]]);
    for (const event of await inbox()) expect(event).toMatchObject({ processed_at: null, attempts: 1, problem: expect.any(String) });
  });

  it("is void, or refunded, once QuickBooks says that it is not there", async () => {
    await know("Invoice", object("42"));
    await know("Payment", object("43"));
    reads.set("invoice/42", gone).set("payment/43", gone);
    await announced("Invoice", "42");
    await announced("Payment", "43");
    expect([await statuses(), await refunded()]).toEqual([{ 42: "void" }, [10_000]]);
  });
});

describe("a comparison", () => {
  it("asks for what no page had before it takes it for deleted", async () => {
    for (const id of ["1", "2", "3"]) await know("Invoice", object(id));
    await know("Payment", object("4"));
    lists.Invoice = [object("1")];
    reads.set("invoice/2", () => ({ Invoice: object("2", { SyncToken: "1", TotalAmt: 70 }) })).set("invoice/3", gone).set("payment/4", () => ({ Payment: object("4") }));
    await synchronise();
    expect([await statuses(), await refunded()]).toEqual([{ 1: "open", 2: "open", 3: "void" }, [0]]);
    expect(await changes.store.db.selectFrom("invoices").select("amount_cents").where("qbo_id", "=", "2").executeTakeFirst()).toMatchObject({ amount_cents: 7_000 });
  });

  it("leaves to a later look what cannot be told now, and ends all the same", async () => {
    for (const id of ["1", "2", "3"]) await know("Invoice", object(id));
    reads.set("invoice/1", () => ({ status: "ok" })).set("invoice/2", broken).set("invoice/3", gone);
    await synchronise();
    expect(await statuses()).toEqual({ 1: "open", 2: "open", 3: "void" });
    expect((await company()).cursor_at).toBe(clock.now());
    reads.set("invoice/1", gone).set("invoice/2", gone);
    await clock.advance(3_600_000);
    await workOffInbox(changes, client, await company(), silent);
    expect(await statuses()).toEqual({ 1: "void", 2: "void", 3: "void" });
    expect((await inbox()).filter((e) => e.processed_at === null)).toEqual([]);
  });

  it("goes on when one object's read is never answered, and looks again later", async () => {
    await know("Invoice", object("1"));
    reads.set("invoice/1", silence);
    await synchronise();
    expect(await statuses()).toEqual({ 1: "open" });
    expect((await inbox()).filter((e) => e.processed_at === null)).toMatchObject([{ attempts: 1 }]);
  });

  it("breaks off when QuickBooks cannot be reached at all", async () => {
    await know("Invoice", object("1"));
    for (const path of ["invoice/1", "companyinfo"]) reads.set(path, silence);
    await expect(synchronise()).rejects.toThrow(QboUnreachable);
    expect([await statuses(), (await company()).cursor_at]).toEqual([{ 1: "open" }, 0]);
  });
});

it.each(["what changed", "everything"])("an invoice keeps what was paid there when a payment that was entered here is deleted there, read from %s", async (from) => {
  await know("Invoice", object("1", { Balance: 0 }));
  const { id } = await changes.store.db.selectFrom("invoices").select("id").executeTakeFirstOrThrow();
  await know("Payment", object("2", { TotalAmt: 50 }));
  await changes.store.db.updateTable("payments").set({ invoice_id: id }).execute();
  const balance = object("1", { SyncToken: "1", Balance: 50 });
  [lists.Invoice, changed.Invoice, changed.Payment] = [[balance], [balance], [{ domain: "QBO", status: "Deleted", Id: "2" }]];
  reads.set("payment/2", gone);
  if (from === "what changed") await changes.store.db.updateTable("qbo_connections").set({ cursor_at: clock.now() }).execute();
  await synchronise();
  expect(await changes.store.db.selectFrom("invoices").select(["paid_cents", "status"]).executeTakeFirst()).toMatchObject({ paid_cents: 5_000, status: "open" });
});
