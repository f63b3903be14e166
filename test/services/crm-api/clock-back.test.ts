/** A host's clock that is set back: nothing that was noted under the old time may wait for that to come again. */
import { afterEach, expect, it } from "vitest";
import { cached } from "../../../services/crm-api/cached.ts";
import { addOrg } from "../../../services/crm-api/crm/orgs.ts";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import type { QboClient } from "../../../services/crm-api/qbo/client.ts";
import { connectCompany } from "../../../services/crm-api/qbo/companies.ts";
import { QboUnreachable } from "../../../services/crm-api/qbo/errors.ts";
import { Limiter } from "../../../services/crm-api/qbo/limiter.ts";
import { QboWorker } from "../../../services/crm-api/qbo/worker.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import { eventually, ManualClock, silent } from "./support.ts";

const hour = 3_600_000;
let close: () => Promise<void> = async () => undefined;
afterEach(() => close());

/** A worker whose lease is always given and whose company does not answer. */
async function worker(clock: ManualClock) {
  const store = await openEmbeddedStore(":memory:");
  const changes = new Changes(store, clock);
  await changes.commit((u) => addOrg(u, { id: "acme", name: "Acme" }));
  const seen = { held: 0, calls: 0 };
  const client = {
    call: async () => {
      seen.calls++;
      throw new QboUnreachable("QuickBooks cannot be reached");
    },
  } as unknown as QboClient;
  const lease = {
    hold: async () => {
      seen.held++;
      return true;
    },
    release: async () => undefined,
  };
  const it = new QboWorker({ changes, client, lease, log: silent, metrics: createMetrics(false), syncMs: 60_000 });
  close = async () => {
    await it.stop();
    await store.close();
  };
  const connect = () => connectCompany(changes, "acme", "r", { accessToken: "a", refreshToken: "r", accessExpiresAt: clock.now() + hour, refreshExpiresAt: clock.now() + hour, issuedAt: clock.now() });
  return { it, store, seen, connect };
}

it("a cached value is computed anew", async () => {
  const clock = new ManualClock();
  let computed = 0;
  const value = cached(clock, 5_000, async () => ++computed);
  expect([await value(), await value()]).toEqual([1, 1]);
  await clock.advance(-hour);
  expect([await value(), await value()]).toEqual([2, 2]);
  await clock.advance(5_000);
  expect(await value()).toBe(3);
});

it.each([0, 60_000])("calls to QuickBooks wait as they did, and not for the old time, with %i ms of a pause left", async (pause) => {
  // Timers know nothing of the step: a sleep under way ends when it would have.
  const ticks = new ManualClock();
  let set = 0;
  const limiter = new Limiter({ now: () => ticks.now() + set, sleep: (ms, signal) => ticks.sleep(ms, signal) }, new AbortController().signal);
  for (let i = 0; i < 10; i++) await limiter.take("r");
  if (pause > 0) limiter.pause("r", ticks.now() + pause);
  let through = 0;
  // One waits already when the clock is set back, one comes then.
  void limiter.take("r").then(() => through++);
  await ticks.advance(0);
  set = -hour;
  void limiter.take("r").then(() => through++);
  for (let left = Math.max(1_100, pause); left > 0; left -= 100) {
    expect(through).toBe(0);
    await ticks.advance(100);
  }
  // What is left of the wait is counted from the last look at the clock, so that it may come once more.
  for (let more = Math.max(1_100, pause); more > 0 && through < 2; more -= 100) await ticks.advance(100);
  expect(through).toBe(2);
});

it("a pause that is noted after the step holds", async () => {
  const clock = new ManualClock();
  const limiter = new Limiter(clock, new AbortController().signal);
  await limiter.take("r");
  await clock.advance(-hour);
  limiter.pause("r", clock.now() + 60_000);
  let through = false;
  const call = limiter.take("r").then(() => (through = true));
  await clock.advance(59_999);
  expect(through).toBe(false);
  await clock.advance(1);
  await call;
});

it("the QuickBooks worker renews its lease, and goes on with a company that failed", async () => {
  const clock = new ManualClock();
  const { it: active, seen, connect } = await worker(clock);
  await connect();
  active.start();
  await eventually(() => seen.calls === 1 && clock.waits.length > 0);
  await clock.advance(-hour);
  active.wake();
  await eventually(() => seen.held === 2 && seen.calls === 2);
});

it("the QuickBooks worker synchronises", async () => {
  const clock = new ManualClock();
  const { it: active, store, seen, connect } = await worker(clock);
  await connect();
  await store.db.updateTable("qbo_connections").set({ imported_at: clock.now(), last_sync_at: clock.now(), sync_requested_at: null }).execute();
  await clock.advance(-hour);
  active.start();
  // What was not answered is followed by the question whether anything is.
  await eventually(() => seen.calls === 2);
});
