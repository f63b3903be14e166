/** Input that no client of ours sends: it is refused, and leaves nothing behind. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createStandin, type Standin } from "../../../services/qbo-standin/app.ts";
import { createLogger } from "../../../services/shared/log.ts";

let app: ReturnType<typeof createStandin>["app"];
let standin: Standin;
let headers: { authorization: string };
let verifier: () => string;

beforeEach(() => {
  verifier = () => "verifier";
  ({ app, standin } = createStandin({
    clientId: "client",
    clientSecret: () => "secret",
    verifier: () => verifier(),
    webhookUrl: "http://127.0.0.1:1/",
    accessTokenSeconds: 3600,
    log: createLogger("test", "silent"),
    processMetrics: false,
    limits: { perSecond: Number.POSITIVE_INFINITY, perMinute: Number.POSITIVE_INFINITY },
  }));
  const { access_token } = standin.oauth.redeem(standin.oauth.issueCode(standin.nextRealm, "x"), "x")!;
  headers = { authorization: `Bearer ${access_token}` };
});
afterEach(() => app.close());

const api = (method: "GET" | "POST", path: string, payload?: object) => app.inject({ method, url: `/v3/company/${standin.nextRealm}/${path}`, headers, ...(payload && { payload }) });
const control = (path: string, payload?: object) => app.inject({ method: "POST", url: `/standin${path}`, ...(payload && { payload }) });
const metrics = async () => (await app.inject("/metrics")).body;

it("paths that nothing can be written to have one name in the metrics, with a token and without", async () => {
  for (let i = 0; i < 20; i++) {
    await app.inject({ method: "POST", url: `/v3/company/1/stranger${i}`, payload: {} });
    expect((await api("POST", `guest${i}`, {})).statusCode).toBe(400);
  }
  expect(standin.requests.get("other")).toBe(40);
  expect([...standin.requests.keys()].filter((name) => name !== "other")).toEqual([]);
  expect(await metrics()).not.toMatch(/stranger|guest/);
  await api("POST", "customer", { DisplayName: "Ann" });
  expect(standin.requests.get("customer")).toBe(1);
});

describe("a parameter that is given twice", () => {
  it.each(["query?query=a&query=b", "cdc?entities=Invoice&entities=Payment&changedSince=2020"])("is refused: %s", async (path) => {
    const { statusCode, body } = await api("GET", path);
    expect([statusCode, JSON.parse(body).error]).toEqual([400, expect.stringContaining("must be given once")]);
  });

  it("is refused in a write and on the authorise page", async () => {
    expect((await api("POST", "customer?requestid=a&requestid=b", { DisplayName: "Ann" })).statusCode).toBe(400);
    expect((await app.inject("/connect/oauth2?client_id=client&response_type=code&scope=a&scope=b&redirect_uri=http://x")).statusCode).toBe(400);
    expect((await app.inject("/connect/oauth2?client_id=client&response_type=code&scope=com.intuit.quickbooks.accounting&redirect_uri=http://x&constructor=1")).statusCode).toBe(302);
  });
});

describe("a control", () => {
  it.each([
    ["/clock", { offset_seconds: 1e15 }, "offset_seconds"],
    ["/clock", { offset_seconds: -1e15 }, "offset_seconds"],
    ["/seed", { invoices: 1, paid: 0, days_ago: 1e12 }, "days_ago"],
  ])("%s refuses %j by name", async (path, payload, field) => {
    const { statusCode, body } = await control(path, payload);
    expect([statusCode, JSON.parse(body).error]).toEqual([400, expect.stringMatching(`^${field}: `)]);
  });

  it("that needs a body says so", async () => {
    const { statusCode, body } = await control("/seed");
    expect([statusCode, JSON.parse(body).error]).toEqual([400, expect.stringMatching("^body: ")]);
  });
});

it("a payment is kept in whole cents", async () => {
  const { Customer } = (await api("POST", "customer", { DisplayName: "Ann" })).json();
  const line = { Amount: 1, DetailType: "SalesItemLineDetail", SalesItemLineDetail: { ItemRef: { value: "1" } } };
  const { Invoice } = (await api("POST", "invoice", { CustomerRef: { value: Customer.Id }, Line: [line] })).json();
  const Line = [{ Amount: 0.1 + 0.2, LinkedTxn: [{ TxnId: Invoice.Id, TxnType: "Invoice" }] }];
  const { Payment } = (await api("POST", "payment", { CustomerRef: { value: Customer.Id }, TotalAmt: 0.1 + 0.7, Line })).json();
  expect(Payment).toMatchObject({ TotalAmt: 0.8, UnappliedAmt: 0.5, Line: [{ Amount: 0.3 }] });
  expect((await api("GET", `invoice/${Invoice.Id}`)).json().Invoice.Balance).toBe(0.7);
});

it("a webhook whose verifier token cannot be read is repeated later", async () => {
  verifier = () => {
    throw new Error("the file is gone");
  };
  await control("/companies/-/invoices", { amount: 1 });
  while (!(await metrics()).includes('qbo_standin_webhooks_total{result="repeated"} 1')) await new Promise((resolve) => setTimeout(resolve, 10));
});
