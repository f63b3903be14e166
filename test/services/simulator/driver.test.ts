/** The simulator against the real CRM in memory, on a clock that runs as fast as the machine allows. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Driver, type DriverOptions } from "../../../services/simulator/driver.ts";
import { Scenarios } from "../../../services/simulator/scenarios.ts";
import { createRegistry, type Registry } from "../../../services/shared/metrics.ts";
import { createStandin } from "../../../services/qbo-standin/app.ts";
import { FakeServer } from "../../support/fake-server.ts";
import { ManualClock, metricOf, silent, startTestApi, type TestApi } from "../crm-api/support.ts";

const orgs = [{ id: "acme", name: "Acme" }, { id: "globex", name: "Globex" }, { id: "initech", name: "Initech" }];
const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Moves time on while the CRM has nothing to do, so that a slow machine makes no payment late. */
function runClock(clock: ManualClock, busy: () => boolean): () => void {
  let running = true;
  void (async () => {
    while (running) {
      if (!busy()) await clock.advance(100);
      await sleep(1);
    }
  })();
  return () => void (running = false);
}

/** The CRM behind a front that can go away. */
async function startCrm(env: Record<string, string> = {}) {
  const clock = new ManualClock();
  let calls = 0;
  const api = await startTestApi(env, { clock });
  ends.push(() => api.close());
  api.service.start();
  const front = new FakeServer(async (request, response) => {
    calls += 1;
    response.on("close", () => (calls -= 1));
    const answer = await api.service.app.inject({ method: request.method as "GET", url: request.url ?? "/", headers: request.headers as Record<string, string>, payload: await bodyOf(request) });
    response.writeHead(answer.statusCode, answer.headers as Record<string, string>).end(answer.rawPayload);
  });
  await front.start();
  ends.push(() => front.stop(), runClock(clock, () => calls > 0));
  return { api, clock, front };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function drive(crm: Awaited<ReturnType<typeof startCrm>>, more: Partial<DriverOptions> = {}) {
  const registry = createRegistry(false);
  const scenarios = new Scenarios([], () => crm.clock.now());
  const driver = new Driver({ crmUrl: crm.front.url, orgs, eventsPerMinute: 300, termSeconds: 120, seed: 1, connectQbo: false, scenarios, registry, log: silent, clock: crm.clock, ...more });
  driver.start();
  ends.push(() => driver.stop());
  return { driver, scenarios, registry };
}

const metric = async (registry: Registry, series: string) => metricOf(await registry.metrics(), series) ?? 0;
/** A counter of the CRM over all organisations. */
const total = async (api: TestApi, name: string) => {
  const text = String((await api.get("/metrics")).body);
  return orgs.reduce((sum, { id }) => sum + (metricOf(text, `${name}{org_id="${id}"}`) ?? 0), 0);
};

/** Looks seldom, since looking takes the time that the business needs. */
const waitFor = (check: () => Promise<boolean> | boolean) => vi.waitFor(async () => expect(await check()).toBe(true), { timeout: 60_000, interval: 200 });
const atLeast = (api: TestApi, name: string, n: number) => waitFor(async () => (await total(api, name)) >= n);

describe("the driver", { timeout: 90_000 }, () => {
  it("does business for every organisation, most invoices paid by their due date, and nothing refused", async () => {
    const crm = await startCrm();
    const { registry } = drive(crm);
    await atLeast(crm.api, "crm_invoices_due_total", 30);
    for (const { id } of orgs) expect(await crm.api.metric(`crm_invoices_paid_total{org_id="${id}"}`)).toBeGreaterThan(0);
    const due = await total(crm.api, "crm_invoices_due_total");
    expect(1 - (await total(crm.api, "crm_invoices_overdue_total")) / due).toBeGreaterThan(0.85);
    expect(await total(crm.api, "crm_proposals_total")).toBeGreaterThanOrEqual(await total(crm.api, "crm_invoices_generated_total"));
    expect(await registry.metrics()).not.toMatch(/simulator_requests_total\{[^}]*outcome="(failed|refused)"\} [1-9]/);
    expect(await metric(registry, "simulator_crm_reachable")).toBe(1);
  });

  it("survives the CRM's absence, even at the start, and then goes on where it was", async () => {
    const crm = await startCrm();
    await crm.front.stop();
    const { registry } = drive(crm);
    await waitFor(async () => (await metric(registry, 'simulator_requests_total{operation="list",outcome="failed"}')) > 2);
    expect(await metric(registry, "simulator_crm_reachable")).toBe(0);
    await crm.front.start();
    await atLeast(crm.api, "crm_invoices_paid_total", 3);
    await crm.front.stop();
    await waitFor(async () => (await metric(registry, "simulator_crm_reachable")) === 0);
    const leads = await total(crm.api, "crm_leads_total");
    await crm.clock.sleep(20_000);
    // It backs off: not a call for each change that it would have made.
    const failed = async () => [...(await registry.metrics()).matchAll(/outcome="failed"\} (\d+)/g)].reduce((sum, m) => sum + Number(m[1]), 0);
    expect(await failed()).toBeLessThan(40);
    await crm.front.start();
    await waitFor(async () => (await total(crm.api, "crm_leads_total")) > leads);
  });

  it("pays what an earlier run left open, and leaves alone what is overdue", async () => {
    const crm = await startCrm();
    const post = async (seconds: number) => (await crm.api.post("/invoices", { org_id: "acme", customer: "Left open", amount_cents: 5000, due_at: new Date(crm.clock.now() + seconds * 1000).toISOString() })).body.id as string;
    const [late, open] = [await post(5), await post(600)];
    await crm.clock.sleep(10_000);
    drive(crm);
    await waitFor(async () => (await crm.api.get(`/invoices/${open}`)).body.status === "paid");
    expect((await crm.api.get(`/invoices/${late}`)).body).toMatchObject({ status: "open", paid_cents: 0 });
  });

  it("stops all payments in the scenario of unpaid invoices, and catches up after it", async () => {
    const crm = await startCrm();
    const { scenarios, registry } = drive(crm);
    scenarios.start("unpaid-invoices", {});
    await atLeast(crm.api, "crm_invoices_generated_total", 25);
    await waitFor(async () => (await metric(registry, "simulator_open_invoices")) > 10);
    expect(await total(crm.api, "crm_payments_total")).toBe(0);
    scenarios.stop("unpaid-invoices");
    await atLeast(crm.api, "crm_invoices_paid_total", 15);
  });

  it("burns the error budget, and pays when the scenario is over", async () => {
    const crm = await startCrm();
    const { scenarios } = drive(crm);
    scenarios.start("burn", { seconds: 60 });
    await atLeast(crm.api, "crm_invoices_overdue_total", 30);
    const overdue = (await total(crm.api, "crm_invoices_overdue_total")) / (await total(crm.api, "crm_invoices_due_total"));
    expect(overdue).toBeGreaterThan(0.5);
    const paid = await total(crm.api, "crm_invoices_paid_total");
    await atLeast(crm.api, "crm_invoices_paid_total", paid + 40);
    expect(scenarios.active("burn")).toBe(false);
  });

  it("puts many events on one key while it is hot, and settles the invoice after it", async () => {
    const crm = await startCrm();
    const { scenarios } = drive(crm, { eventsPerMinute: 20 });
    scenarios.start("hot-key", {});
    const hot = () => {
      const keys = new Map<string, number>();
      for (const event of crm.api.publisher.events) keys.set(event.key, (keys.get(event.key) ?? 0) + 1);
      return [...keys].sort((a, b) => b[1] - a[1])[0] ?? ["", 0];
    };
    await waitFor(() => hot()[1] > 150);
    const [key, count] = hot();
    expect(key).toMatch(/^invoice:/);
    expect(count / crm.api.publisher.events.length).toBeGreaterThan(0.7);
    scenarios.stop("hot-key");
    await waitFor(async () => (await crm.api.get(`/invoices/${key.slice("invoice:".length)}`)).body.status === "paid");
  });

  it("is silent when told so", async () => {
    const crm = await startCrm();
    const { scenarios } = drive(crm);
    await atLeast(crm.api, "crm_leads_total", 3);
    for (const name of ["silence", "burn", "hot-key"] as const) scenarios.start(name, {});
    await crm.clock.sleep(4000);
    const before = crm.api.publisher.events.length;
    await crm.clock.sleep(20_000);
    expect(crm.api.publisher.events.length).toBe(before);
    for (const name of ["burn", "hot-key", "silence"] as const) scenarios.stop(name);
    await waitFor(() => crm.api.publisher.events.length > before);
  });

  it("connects QuickBooks through the authorise page, and again when the connection is lost", async () => {
    const folder = mkdtempSync(join(tmpdir(), "simulator-test-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, "secret"), "s");
    const { app } = createStandin({ clientId: "client", clientSecret: () => "s", verifier: () => "v", webhookUrl: undefined, accessTokenSeconds: 3600, log: silent, processMetrics: false });
    const base = await app.listen({ host: "127.0.0.1", port: 0 });
    ends.push(() => app.close());
    // The redirect address has to be known before the CRM is made: a front that finds the CRM later.
    let target: FakeServer | undefined;
    const front = new FakeServer((request, response) => void response.writeHead(302, { location: `${target!.url}${request.url}` }).end());
    await front.start();
    ends.push(() => front.stop());
    const crm = await startCrm({ QBO_BASE_URL: base, QBO_CLIENT_ID: "client", QBO_CLIENT_SECRET_FILE: join(folder, "secret"), QBO_REDIRECT_URL: `${front.url}/qbo/callback` });
    target = crm.front;
    drive(crm, { connectQbo: true, qboSeconds: 4 });
    const state = async () => (await crm.api.get("/qbo/status")).body.state as string;
    await waitFor(async () => ["importing", "connected"].includes(await state()));
    await crm.api.store.db.updateTable("qbo_connections").set({ state: "reauthorise" }).execute();
    expect(await state()).toBe("reauthorise");
    await waitFor(async () => ["importing", "connected", "rate_limited"].includes(await state()));
  });
});
