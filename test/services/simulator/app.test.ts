import { afterEach, describe, expect, it } from "vitest";
import { simulatorApp } from "../../../services/simulator/app.ts";
import { Crm } from "../../../services/simulator/crm.ts";
import { simulatorEnv } from "../../../services/simulator/env.ts";
import { Scenarios } from "../../../services/simulator/scenarios.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";
import { metricOf, silent, startTestApi } from "../crm-api/support.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function build(crmUrl = "http://127.0.0.1:1") {
  const app = simulatorApp({ scenarios: new Scenarios(["vip-initech"]), crm: new Crm({ url: crmUrl }), registry: createRegistry(false), log: silent });
  ends.push(() => app.close());
  const call = async (method: "GET" | "POST" | "DELETE", url: string, payload?: unknown) => {
    const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload: payload as object }) });
    return { status: response.statusCode, body: response.json() };
  };
  return { call };
}

describe("the simulator's API", () => {
  it("starts and stops scenarios by name, with and without options", async () => {
    const { call } = build();
    expect(await call("POST", "/scenarios/burn")).toMatchObject({ status: 200, body: { name: "burn", active: true, until: null } });
    expect(await call("POST", "/scenarios/cache-misses", { tenant: "vip-initech", seconds: 60 })).toMatchObject({ status: 200, body: { active: true, tenant: "vip-initech" } });
    const { body } = await call("GET", "/scenarios");
    expect(body.scenarios.map((s: { name: string; active: boolean }) => [s.name, s.active])).toEqual([["unpaid-invoices", false], ["cache-misses", true], ["low-confidence", false], ["hot-key", false], ["silence", false], ["burn", true]]);
    expect(await call("DELETE", "/scenarios/burn")).toMatchObject({ status: 200, body: { active: false } });
  });

  it("refuses what it does not know, by name", async () => {
    const { call } = build();
    expect(await call("POST", "/scenarios/flood")).toMatchObject({ status: 404, body: { error: expect.stringContaining("unpaid-invoices") } });
    expect(await call("POST", "/scenarios/burn", { seconds: "x" })).toMatchObject({ status: 400, body: { error: expect.stringContaining("seconds") } });
    expect((await call("POST", "/burst", { org_id: "acme", invoices: 5000 })).body.error).toContain("invoices");
    expect(await call("POST", "/burst", { org_id: "acme", invoices: 1 })).toMatchObject({ status: 502, body: { error: "cannot be reached" } });
  });

  it("makes a burst of exactly the size asked for", async () => {
    const api = await startTestApi();
    const url = await api.service.app.listen({ host: "127.0.0.1", port: 0 });
    ends.push(() => api.close());
    const { call } = build(url);
    expect(await call("POST", "/burst", { org_id: "acme", invoices: 40, pay: 25, amount_cents: 1999 })).toEqual({ status: 200, body: { created: 40, paid: 25, paid_cents: 49_975, refused: 0 } });
    const metrics = String((await api.get("/metrics")).body);
    expect(metricOf(metrics, 'crm_invoices_generated_total{org_id="acme"}')).toBe(40);
    expect(metricOf(metrics, 'crm_invoices_paid_total{org_id="acme"}')).toBe(25);
    expect(metricOf(metrics, 'crm_invoice_payments_cents_total{org_id="acme"}')).toBe(49_975);
    expect((await call("POST", "/burst", { org_id: "nobody", invoices: 2 })).body).toEqual({ created: 0, paid: 0, paid_cents: 0, refused: 2 });
  });
});

describe("the environment", () => {
  it("needs a CRM and organisations, and names what is wrong", () => {
    expect(() => readEnv(simulatorEnv, {})).toThrow(/CRM_API_URL: .*ORGS: /);
    expect(() => readEnv(simulatorEnv, { CRM_API_URL: "http://crm-api:8080", ORGS: "[]" })).toThrow("ORGS");
    expect(readEnv(simulatorEnv, { CRM_API_URL: "http://crm-api:8080", ORGS: '[{"id":"acme","name":"Acme"}]' })).toMatchObject({ EVENTS_PER_MINUTE: 30, CONNECT_QBO: true, TENANTS: [], SEED: 1 });
  });
});
