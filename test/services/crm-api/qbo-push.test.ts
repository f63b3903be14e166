/** Writes to QuickBooks whose answer cannot be used: what that does to them, and to all others. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { createInvoice, voidInvoice } from "../../../services/crm-api/crm/invoices.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany, findCompany } from "../../../services/crm-api/qbo/companies.ts";
import { QboFault, QboUnreachable } from "../../../services/crm-api/qbo/errors.ts";
import { inboxRow } from "../../../services/crm-api/qbo/inbox-row.ts";
import { wasAnswered, workOffInbox } from "../../../services/crm-api/qbo/inbox.ts";
import { sendPushes } from "../../../services/crm-api/qbo/push.ts";
import { pushLater } from "../../../services/crm-api/qbo/pushes.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import type { QboPush } from "../../../services/crm-api/store/tables.ts";
import { ManualClock, silent } from "./support.ts";

let changes: Changes;
let clock: ManualClock;
/** By customer: what a look for it ends with. */
let failures: Map<string, () => Error>;
/** Invoices that arrived. */
let made: number;
/** Whether QuickBooks answers what concerns no invoice. */
let down: boolean;

const client = {
  call: async (_realm: string, { operation, path, query, body }: QboCall) => {
    const time = new Date(clock.now()).toISOString();
    if (operation === "companyinfo") {
      if (down) throw new QboUnreachable("QuickBooks cannot be reached");
      return { CompanyInfo: { Id: "1" }, time };
    }
    if (operation === "query") {
      const [, entity, name] = /FROM (\w+) WHERE \w+ = '(\w+)'/.exec(query!["query"]!)!;
      const failure = failures.get(name!);
      if (failure !== undefined) throw failure();
      return { QueryResponse: { [entity!]: [{ Id: "1" }] }, time };
    }
    const Id = operation === "create" ? String(++made) : operation === "read" ? path.slice("invoice/".length) : (body as { Id: string }).Id;
    return { Invoice: { Id, SyncToken: "0", TotalAmt: 1, MetaData: { CreateTime: time, LastUpdatedTime: time } } };
  },
} as unknown as QboClient;

beforeEach(async () => {
  clock = new ManualClock();
  changes = new Changes(await openEmbeddedStore(":memory:"), clock);
  [failures, made, down] = [new Map(), 0, false];
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
  const later = clock.now() + 3_600_000;
  await connectCompany(changes, "acme", "r", { accessToken: "a", refreshToken: "r", accessExpiresAt: later, refreshExpiresAt: later, issuedAt: clock.now() });
});
afterEach(() => changes.store.close());

const status = (code: number) => () => new QboUnreachable(`QuickBooks answered ${code} without JSON that can be used`, { status: code });
const send = async () => sendPushes(changes, client, (await findCompany(changes.store.db, "r"))!, silent);
const pushes = (): Promise<QboPush[]> => changes.store.db.selectFrom("qbo_pushes").selectAll().orderBy("seq").execute();
const arrived = async () => (await pushes()).map((p) => p.done_at !== null);

async function invoice(customer: string): Promise<string> {
  return changes.commit(async (u) => {
    const { id } = await createInvoice(u, { org_id: "acme", customer, amount_cents: 100, due_at: clock.now() + 1e9 });
    await pushLater(u, "invoice.create", "acme", id, id);
    return id;
  });
}

async function withdraw(id: string): Promise<void> {
  await changes.commit(async (u) => {
    await voidInvoice(u, id);
    await pushLater(u, "invoice.void", "acme", id, id);
  });
}

it("a write that is refused without QuickBooks' own words is put off with those that build on it, and never given up", async () => {
  failures.set("Bad", status(403));
  await withdraw(await invoice("Bad"));
  await invoice("Good");
  await send();
  expect(await arrived()).toEqual([false, false, true]);
  expect(await pushes()).toMatchObject([{ attempts: 1, next_attempt_at: clock.now() + 10_000, problem: expect.stringContaining("403") }, { attempts: 0 }, { problem: null }]);
  for (let round = 0; round < 12; round++) {
    await clock.advance(3_600_000);
    await send();
  }
  expect((await pushes())[0]).toMatchObject({ attempts: 7, failed_at: null, done_at: null });
  failures.clear();
  await clock.advance(3_600_000);
  await send();
  expect(await arrived()).toEqual([true, true, true]);
});

it("a write that QuickBooks fails at each time is told of, and holds up no other", async () => {
  failures.set("Bad", status(500));
  await invoice("Bad");
  for (const customer of ["Good", "Better"]) await invoice(customer);
  await expect(send()).rejects.toThrow("500");
  expect(await arrived()).toEqual([false, true, true]);
  expect(await send()).toBe(0);
  await clock.advance(10_000);
  await expect(send()).rejects.toThrow("500");
  expect((await pushes())[0]).toMatchObject({ attempts: 2, next_attempt_at: clock.now() + 20_000 });
});

it("a QuickBooks that fails at everything is not asked for every write", async () => {
  failures.set("C", status(503));
  for (let i = 0; i < 6; i++) await invoice("C");
  await expect(send()).rejects.toThrow("503");
  expect((await pushes()).map((p) => p.attempts)).toEqual([1, 1, 1, 0, 0, 0]);
});

it("failures of QuickBooks do not use up the attempts that refusals have", async () => {
  failures.set("C", status(500));
  await invoice("C");
  await changes.store.db.updateTable("qbo_pushes").set({ attempts: 8 }).execute();
  await expect(send()).rejects.toThrow("500");
  expect((await pushes())[0]).toMatchObject({ attempts: 8, failed_at: null });
  failures.set("C", () => new QboFault("6000", "no"));
  for (const attempts of [9, 10]) {
    await clock.advance(3_600_000);
    await send();
    expect((await pushes())[0]!.attempts).toBe(attempts);
  }
  expect((await pushes())[0]!.failed_at).not.toBeNull();
});

it("an invoice that was refused to the end and is void by now has nothing left to be sent", async () => {
  failures.set("C", () => new QboFault("6000", "no"));
  await withdraw(await invoice("C"));
  for (let round = 0; round < 9; round++) {
    await send();
    await clock.advance(3_600_000);
  }
  expect(await pushes()).toMatchObject([{ attempts: 9, done_at: null }, { attempts: 0, done_at: null }]);
  await send();
  expect(await pushes()).toMatchObject([{ done_at: clock.now(), failed_at: null }, { done_at: clock.now(), failed_at: null }]);
  expect(made).toBe(0);
});

it("writes stay as they are while QuickBooks cannot be reached", async () => {
  failures.set("C", () => new QboUnreachable("QuickBooks cannot be reached"));
  down = true;
  await invoice("C");
  await expect(send()).rejects.toThrow(QboUnreachable);
  expect((await pushes())[0]).toMatchObject({ attempts: 0, next_attempt_at: 0, problem: null });
});

it("a write that times out each time, while QuickBooks answers otherwise, is put off and told of, and holds up no other", async () => {
  failures.set("Bad", () => new QboUnreachable("QuickBooks did not answer within 30 s"));
  await withdraw(await invoice("Bad"));
  await invoice("Good");
  await expect(send()).rejects.toThrow("did not answer");
  expect(await arrived()).toEqual([false, false, true]);
  expect((await pushes())[0]).toMatchObject({ attempts: 1, next_attempt_at: clock.now() + 10_000, problem: expect.stringContaining("did not answer"), failed_at: null });
  expect(await send()).toBe(0);
  for (let round = 0; round < 12; round++) {
    await clock.advance(3_600_000);
    await expect(send()).rejects.toThrow("did not answer");
  }
  expect((await pushes())[0]).toMatchObject({ attempts: 7, failed_at: null });
  failures.clear();
  await clock.advance(3_600_000);
  await send();
  expect(await arrived()).toEqual([true, true, true]);
});

it("more writes that time out than one round tries keep none that comes after them", async () => {
  for (let i = 0; i < 6; i++) {
    failures.set(`Bad${i}`, () => new QboUnreachable("QuickBooks did not answer within 30 s"));
    await invoice(`Bad${i}`);
  }
  await withdraw(await invoice("Good"));
  for (let round = 0; round < 2; round++) {
    await expect(send()).rejects.toThrow("did not answer");
    await clock.advance(480_000);
  }
  expect(await arrived()).toEqual(Array(8).fill(false));
  await expect(send()).rejects.toThrow("did not answer");
  expect(await arrived()).toEqual([...Array(6).fill(false), true, true]);
  // Of those that wait, each has its turn.
  await clock.advance(480_000);
  await expect(send()).rejects.toThrow("did not answer");
  expect((await pushes()).map((p) => p.attempts)).toEqual([2, 2, 2, 2, 2, 2, 0, 0]);
});

it("writes that are put off keep none that comes after them, however many they are", async () => {
  for (let i = 0; i < 600; i++) await invoice("Bad");
  await changes.store.db.updateTable("qbo_pushes").set({ attempts: 1, next_attempt_at: clock.now() + 1 }).execute();
  await withdraw(await invoice("Good"));
  expect(await send()).toBe(2);
  expect(await arrived()).toEqual([...Array(600).fill(false), true, true]);
  // When their time has come, so has their turn: a round's worth at a time.
  await clock.advance(1);
  expect([await send(), await send()]).toEqual([500, 100]);
});

it("a clock that is set back takes no write, nor those behind it, with it for longer than any is put off", async () => {
  failures.set("Bad", status(403));
  await withdraw(await invoice("Bad"));
  await send();
  failures.clear();
  await clock.advance(-20 * 60_000);
  expect(await send()).toBe(0);
  await clock.advance(-86_400_000);
  expect(await send()).toBe(2);
  expect(await arrived()).toEqual([true, true]);
});

it("a clock that is set back takes no event with it for longer than any is put off", async () => {
  const reader = { call: async () => Promise.reject(new QboFault("4000", "no")) } as unknown as QboClient;
  const look = async (through: QboClient) => workOffInbox(changes, through, (await findCompany(changes.store.db, "r"))!, silent);
  await changes.store.db.insertInto("qbo_inbox").values(inboxRow({ id: "1", realm_id: "r", entity: "Invoice", entity_id: "1", operation: "read", received_at: 1 })).execute();
  expect([await look(reader), await look(client)]).toEqual([1, 0]);
  await clock.advance(-20 * 60_000);
  expect(await look(client)).toBe(0);
  await clock.advance(-86_400_000);
  expect(await look(client)).toBe(1);
});

it("an object whose read times out each time is put off, and holds up no other event", async () => {
  const slow = new QboUnreachable("QuickBooks did not answer within 30 s");
  const reader = { call: async (realm: string, call: QboCall) => (call.path === "invoice/1" ? Promise.reject(slow) : call.path === "invoice/2" ? Promise.reject(new QboFault("610", "gone")) : client.call(realm, call)) } as unknown as QboClient;
  const look = async () => workOffInbox(changes, reader, (await findCompany(changes.store.db, "r"))!, silent).catch((error: unknown) => error);
  for (const id of ["1", "2"]) await changes.store.db.insertInto("qbo_inbox").values(inboxRow({ id, realm_id: "r", entity: "Invoice", entity_id: id, operation: "read", received_at: Number(id) })).execute();
  const events = () => changes.store.db.selectFrom("qbo_inbox").selectAll().orderBy("id").execute();
  down = true;
  expect(wasAnswered(await look())).toBe(false);
  expect(await events()).toMatchObject([{ attempts: 0, processed_at: null }, { processed_at: null }]);
  down = false;
  expect(wasAnswered(await look())).toBe(true);
  expect(await events()).toMatchObject([{ attempts: 1, next_attempt_at: clock.now() + 10_000 }, { processed_at: null }]);
  expect(await look()).toBe(1);
  expect(await events()).toMatchObject([{ processed_at: null }, { processed_at: clock.now() }]);
});
