/** Connecting to QuickBooks and keeping the connection, against the stand-in over loopback. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { Changes } from "../../../services/crm-api/crm/unit.ts";
import { QboClient } from "../../../services/crm-api/qbo/client.ts";
import { findCompany } from "../../../services/crm-api/qbo/companies.ts";
import type { QboConfig } from "../../../services/crm-api/qbo/config.ts";
import { Limiter } from "../../../services/crm-api/qbo/limiter.ts";
import { Tokens } from "../../../services/crm-api/qbo/tokens.ts";
import { createMetrics } from "../../../services/crm-api/metrics.ts";
import { systemClock } from "../../../services/crm-api/clock.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import { readSecret } from "../../../services/shared/env.ts";
import type { Logger } from "../../../services/shared/log.ts";
import { clientSecret, eventually, fastClock, silent, startTestQbo, verifierToken, type TestQbo } from "./support.ts";

let t: TestQbo;
let base = "";
afterEach(() => t.close());

const stored = async () => (await findCompany(t.store.db, t.standin.nextRealm))!;

const config = () => ({ baseUrl: base, sandbox: true, clientId: "client", clientSecret: () => clientSecret, verifier: undefined, redirectUrl: "http://crm-api:8080/qbo/callback", syncMs: 1 });

/** Token handling of one more process on the same store. */
function moreTokens(fetchWith: typeof fetch = fetch, configured: QboConfig = config()): Tokens {
  const changes = new Changes(t.store, systemClock);
  return new Tokens({ config: configured, changes, clock: systemClock, fetch: (url, init) => fetchWith(url, init), metrics: createMetrics(false), log: silent, holder: crypto.randomUUID() });
}

/** A person says yes. @returns the address to come back to, for a company of the test's choice */
async function allowed(orgId = "acme"): Promise<(realm: string) => string> {
  const start = await t.service.app.inject({ method: "GET", url: `/qbo/connect?org_id=${orgId}` });
  const page = await fetch(String(start.headers.location), { redirect: "manual" });
  const back = new URL(String(page.headers.get("location")));
  return (realm) => {
    back.searchParams.set("realmId", realm);
    return `${back.pathname}${back.search}`;
  };
}

async function connected(options: Parameters<typeof startTestQbo>[0] = {}): Promise<void> {
  t = await startTestQbo(options);
  const start = await t.service.app.inject({ method: "GET", url: "/qbo/connect" });
  base = new URL(String(start.headers.location)).origin;
  expect((await t.connect()).status).toBe(200);
  await t.settled();
}

describe("connecting", () => {
  it("asks for the accounting scope with a state, and takes each state once", async () => {
    t = await startTestQbo();
    expect((await t.get("/qbo/status")).body).toMatchObject({ state: "not_connected", environment: "stand-in" });
    const start = await t.service.app.inject({ method: "GET", url: "/qbo/connect?org_id=globex" });
    expect(start.statusCode).toBe(302);
    const query = new URL(String(start.headers.location)).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({ client_id: "client", response_type: "code", scope: "com.intuit.quickbooks.accounting", redirect_uri: "http://crm-api:8080/qbo/callback" });
    const page = await fetch(String(start.headers.location), { redirect: "manual" });
    const back = new URL(String(page.headers.get("location")));
    expect((await t.get(`${back.pathname}${back.search}`)).body).toEqual({ state: "connected", org_id: "globex", realm_id: t.standin.nextRealm });
    expect(await t.get(`${back.pathname}${back.search}`)).toMatchObject({ status: 400, body: { field: "state" } });
    expect(await t.metric("crm_qbo_connected")).toBe(1);
    expect(await t.metric("crm_qbo_token_age_seconds")).toBeGreaterThanOrEqual(0);
    expect((await t.get("/qbo/status")).body.companies[0].tokens_refreshed_at).toBe(new Date((await stored()).refreshed_at!).toISOString());
    const text = JSON.stringify((await t.get("/qbo/status")).body) + String((await t.get("/metrics")).body);
    const company = await stored();
    expect(text).not.toContain(company.access_token);
    expect(text).not.toContain(company.refresh_token);
  });

  it.each([
    ["/qbo/callback?code=x&realmId=1", 400, "state"],
    ["/qbo/callback?state=made-up&code=x&realmId=1", 400, "state"],
    ["/qbo/connect?org_id=nobody", 404, "org_id"],
    ["/qbo/connect?org_id=%00", 400, "org_id"],
  ])("refuses %s", async (path, status, field) => {
    t = await startTestQbo();
    expect(await t.get(path)).toMatchObject({ status, body: { field } });
    expect((await t.post("/qbo/sync")).status).toBe(409);
  });

  it("says so when the person refuses, or QuickBooks refuses the code", async () => {
    t = await startTestQbo();
    await t.control("POST", "/authorise", { deny: true });
    expect(await t.connect()).toMatchObject({ status: 400, body: { error: "refused" } });
    await t.control("POST", "/authorise", { deny: false });
    const start = await t.service.app.inject({ method: "GET", url: "/qbo/connect" });
    const state = new URL(String(start.headers.location)).searchParams.get("state");
    expect(await t.get(`/qbo/callback?state=${state}&code=wrong&realmId=1`)).toMatchObject({ status: 400, body: { field: "code" } });
  });

  it("sends nobody off without a client secret, and uses up no state", async () => {
    const folder = mkdtempSync(join(tmpdir(), "crm-secret-"));
    try {
      const file = join(folder, "secret");
      t = await startTestQbo({ env: { QBO_CLIENT_SECRET_FILE: file } });
      const missing = { status: 503, body: { error: "not_configured", message: expect.stringContaining("QBO_CLIENT_SECRET_FILE") } };
      expect(await t.get("/qbo/connect")).toMatchObject(missing);
      expect(await t.store.db.selectFrom("qbo_states").selectAll().execute()).toEqual([]);
      writeFileSync(file, clientSecret);
      const back = await allowed();
      writeFileSync(file, "");
      expect(await t.get(back("9"))).toMatchObject(missing);
      writeFileSync(file, clientSecret);
      expect(await t.get(back(t.standin.nextRealm))).toMatchObject({ status: 200 });
      await t.settled();
      // A refresh in the background says so too, and goes on by itself.
      const problem = async () => (await t.get("/qbo/status")).body.companies[0].problem;
      rmSync(file);
      await t.control("POST", "/expire-access");
      await t.post("/qbo/sync");
      await eventually(async () => (await problem())?.includes("QBO_CLIENT_SECRET_FILE"));
      writeFileSync(file, clientSecret);
      await eventually(async () => (await problem()) === null);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("refuses a company that the tokens do not open, and keeps the one that there is", async () => {
    await connected();
    const before = await stored();
    const foreign = { status: 400, body: { error: "invalid", field: "realmId" } };
    expect(await t.get((await allowed())("42"))).toMatchObject(foreign);
    // The new consent ended the old tokens; what it gave serves the company that it is for.
    expect(await stored()).toMatchObject({ state: "connected", connected_at: before.connected_at, generation: before.generation + 1 });
    await t.post("/qbo/sync");
    await eventually(async () => (await stored()).sync_requested_at === null);
    expect((await t.get("/qbo/status")).body).toMatchObject({ state: "connected", companies: [{ realm_id: t.standin.nextRealm, problem: null }] });
    const kept = await stored();
    await t.control("POST", "/authorise", { realm: "4711" });
    expect(await t.get((await allowed())("42"))).toMatchObject(foreign);
    expect(await t.get((await allowed("globex"))("42"))).toMatchObject(foreign);
    expect(await t.store.db.selectFrom("qbo_connections").selectAll().execute()).toMatchObject([{ realm_id: kept.realm_id, generation: kept.generation }]);
  });

  it.each(["500", "429", "fault-in-200", "html", "truncated", "reset", "stale"])("connects a company whose check gets %s", async (mode) => {
    t = await startTestQbo();
    await t.control("POST", "/faults", { mode, operation: "companyinfo" });
    expect((await t.connect()).status).toBe(200);
    expect(t.standin.requests.get("companyinfo")).toBe(1);
  });

  it("keeps a company to its organisation", async () => {
    await connected();
    expect(await t.connect("globex")).toMatchObject({ status: 409, body: { error: "other_organisation" } });
  });
});

describe("tokens", () => {
  it("20 concurrent 401s give one refresh", async () => {
    await connected({ env: { QBO_SYNC_SECONDS: "86400" } });
    await t.control("POST", "/rotation", { policy: "strict" });
    await t.control("POST", "/expire-access");
    const before = t.standin.oauth.refreshes;
    const { realm_id: realm, generation } = await stored();
    const tokens = moreTokens();
    const { signal } = new AbortController();
    const client = new QboClient({ config: config(), db: t.store.db, tokens, limiter: new Limiter(systemClock, signal), clock: systemClock, fetch, metrics: createMetrics(false), log: silent, stop: signal });
    const asked = t.standin.requests.get("token");
    const query = { operation: "query", path: "query", query: { query: "SELECT COUNT(*) FROM Invoice" } };
    await Promise.all(Array.from({ length: 20 }, () => client.call(realm, query)));
    expect([t.standin.oauth.refreshes - before, t.standin.requests.get("token")! - asked!, (await stored()).generation - generation]).toEqual([1, 1, 1]);
  });

  it("stores the new pair before anybody uses it", async () => {
    await connected();
    await t.control("POST", "/rotation", { policy: "strict" });
    const before = await stored();
    await t.store.db.updateTable("qbo_connections").set({ refreshed_at: before.refreshed_at! - 3_000_000 }).execute();
    expect(await t.metric("crm_qbo_token_age_seconds")).toBeGreaterThanOrEqual(3_000);
    const asked = systemClock.now();
    const renewed = await moreTokens().renew(before.realm_id, before.generation);
    expect(renewed.refreshed_at).toBeGreaterThanOrEqual(asked);
    expect(renewed.refresh_token).not.toBe(before.refresh_token);
    expect(await stored()).toMatchObject({ refresh_token: renewed.refresh_token, access_token: renewed.access_token, generation: before.generation + 1 });
  });

  it("survive a crash between the answer and the store", async () => {
    await connected();
    await t.control("POST", "/rotation", { policy: "always" });
    const before = await stored();
    // QuickBooks has replaced the token; the process that asked is gone before it could store the answer.
    const lost = moreTokens(async (url, init) => {
      await (await fetch(url, init)).text();
      throw new TypeError("the process ended here");
    });
    for (let crash = 0; crash < 3; crash++) await expect(lost.renew(before.realm_id, before.generation)).rejects.toThrow("cannot be reached");
    expect((await stored()).refresh_token).toBe(before.refresh_token);
    const renewed = await moreTokens().renew(before.realm_id, before.generation);
    expect(renewed.refresh_token).not.toBe(before.refresh_token);
    await t.post("/qbo/sync");
    await eventually(async () => (await stored()).sync_requested_at === null);
    expect((await t.get("/qbo/status")).body.state).toBe("connected");
  });

  it("stop at invalid_grant, say so, and go on after a new consent", async () => {
    const clock = fastClock(20);
    await connected({ clock });
    await t.control("POST", "/revoke");
    await t.post("/qbo/sync");
    const status = await eventually(async () => {
      const { body } = await t.get("/qbo/status");
      return body.state === "reauthorise" ? body : undefined;
    });
    expect(status.companies[0].problem).toContain("refresh token");
    expect(await t.metric("crm_qbo_connected")).toBe(0);
    expect(await t.metric(`crm_qbo_token_refreshes_total{result="invalid_grant"}`)).toBe(1);
    // Watched by its expiry, the dead token raises an alert at once.
    expect((await t.metric("crm_qbo_refresh_token_expiry_timestamp_seconds"))! * 1000).toBeLessThanOrEqual(clock.now());
    const asked = t.standin.requests.get("token");
    await t.post("/leads", { org_id: "acme", name: "x" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(t.standin.requests.get("token")).toBe(asked);
    expect((await t.connect()).status).toBe(200);
    await t.settled();
    expect((await t.get("/qbo/status")).body.state).toBe("connected");
  });

  it("are renewed before they run out, whatever QuickBooks' clock says", async () => {
    await connected();
    for (const offset of [600, -600]) {
      await t.control("POST", "/clock", { offset_seconds: offset });
      await t.control("POST", "/expire-access");
      await t.post("/qbo/sync");
      await eventually(async () => (await stored()).sync_requested_at === null);
      expect((await t.get("/qbo/status")).body).toMatchObject({ state: "connected", companies: [{ problem: null }] });
    }
  });

  it("are not renewed while the client secret cannot be read, which is said by name", async () => {
    await connected();
    const before = await stored();
    const noSecret = { ...config(), clientSecret: () => readSecret(join(tmpdir(), "no-such-secret")) };
    await expect(moreTokens(fetch, noSecret).renew(before.realm_id, before.generation)).rejects.toMatchObject({ name: "QboUnreachable", message: expect.stringContaining("QBO_CLIENT_SECRET_FILE") });
    expect(await stored()).toMatchObject({ state: "connected", refresh_token: before.refresh_token });
  });

  it("are not touched by a token endpoint that is down, slow or talks HTML", async () => {
    await connected();
    const before = await stored();
    for (const mode of ["500", "html", "reset", "truncated"]) {
      await t.control("POST", "/faults", { mode, operation: "token" });
      await expect(moreTokens().renew(before.realm_id, before.generation), mode).rejects.toThrow(/token endpoint/);
    }
    expect(await stored()).toMatchObject({ state: "connected", refresh_token: before.refresh_token });
  });
});

it("no log line, metric or answer holds a secret, whatever goes wrong", async () => {
  const lines: string[] = [];
  const secrets = new Set([clientSecret, verifierToken, Buffer.from(`client:${clientSecret}`).toString("base64")]);
  await connected({ log: pino({ level: "trace" }, { write: (line: string) => void lines.push(line) }) as Logger });
  const remember = async () => {
    const { access_token, refresh_token } = await stored();
    secrets.add(access_token).add(refresh_token);
  };
  await remember();
  await t.control("POST", "/rotation", { policy: "always" });
  for (const fault of [{ mode: "500", operation: "token" }, { mode: "html", operation: "token" }, { mode: "reset", operation: "cdc" }, { mode: "fault-in-200", operation: "invoice" }, { mode: "truncated", operation: "read" }]) {
    await t.control("POST", "/faults", fault);
    await t.control("POST", "/expire-access");
    await t.post("/qbo/sync");
    await t.post("/invoices", { org_id: "acme", customer: "x", amount_cents: 5 });
    await eventually(async () => (await t.get("/qbo/status")).body.companies[0].problem === null && (await stored()).sync_requested_at === null);
    await remember();
  }
  await t.get(`/qbo/callback?state=made-up&code=${clientSecret}&realmId=1`);
  await t.service.app.inject({ method: "POST", url: "/qbo/webhooks", headers: { "content-type": "application/json", "intuit-signature": verifierToken }, payload: verifierToken });
  await t.control("POST", "/revoke");
  await t.post("/qbo/sync");
  await eventually(async () => (await t.get("/qbo/status")).body.state === "reauthorise");
  const everything = [...lines, JSON.stringify((await t.get("/qbo/status")).body), String((await t.get("/metrics")).body)].join("\n");
  expect(lines.length).toBeGreaterThan(5);
  expect(secrets.size).toBeGreaterThan(7);
  expect([...secrets].filter((secret) => everything.includes(secret))).toEqual([]);
});

it("a store that cannot be read gives the state unknown, not an error", async () => {
  const store = await openEmbeddedStore(":memory:");
  t = await startTestQbo({ store });
  await store.close();
  expect(await t.get("/qbo/status")).toEqual({ status: 200, body: { state: "unknown", environment: null, connect_path: null, companies: [] } });
});
