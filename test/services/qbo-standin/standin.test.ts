/** The stand-in keeps the rules that Intuit documents; otherwise tests against it would prove nothing. */
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createStandin, type Standin, type StandinOptions } from "../../../services/qbo-standin/app.ts";
import { StandinClock } from "../../../services/qbo-standin/clock.ts";
import { Oauth } from "../../../services/qbo-standin/oauth.ts";
import { parseQuery, runQuery } from "../../../services/qbo-standin/query.ts";
import { createLogger } from "../../../services/shared/log.ts";

const options: StandinOptions = {
  clientId: "client",
  clientSecret: () => "secret",
  verifier: () => "verifier",
  webhookUrl: undefined,
  accessTokenSeconds: 3600,
  log: createLogger("test", "silent"),
  processMetrics: false,
  limits: { perSecond: Number.POSITIVE_INFINITY, perMinute: Number.POSITIVE_INFINITY },
};

let app: ReturnType<typeof createStandin>["app"];
let standin: Standin;
let access: string;

async function start(more: Partial<StandinOptions> = {}): Promise<void> {
  ({ app, standin } = createStandin({ ...options, ...more }));
  access = standin.oauth.redeem(standin.oauth.issueCode(standin.nextRealm, "x"), "x")!.access_token;
}

beforeEach(() => start());
afterEach(() => app.close());

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function api(method: "GET" | "POST", path: string, body?: unknown, token = access) {
  const response = await app.inject({ method, url: `/v3/company/${standin.nextRealm}/${path}`, headers: { authorization: `Bearer ${token}` }, ...(body === undefined ? {} : { payload: body as object }) });
  return { status: response.statusCode, body: parsed(response.body) };
}
const query = async (text: string) => (await api("GET", `query?query=${encodeURIComponent(text)}`)).body;
const control = async (method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown) => (await app.inject({ method, url: `/standin${path}`, ...(body === undefined ? {} : { payload: body as object }) })).json();
const customer = async () => (await api("POST", "customer", { DisplayName: `C${Math.random()}` })).body.Customer;
const line = (amount: number, item = true) => ({ Amount: amount, DetailType: "SalesItemLineDetail", SalesItemLineDetail: item ? { ItemRef: { value: "1" } } : {} });
const createInvoice = async (amount = 100, more = "") => (await api("POST", `invoice${more}`, { CustomerRef: { value: (await customer()).Id }, Line: [line(amount)] })).body.Invoice;

describe("tokens", () => {
  const grant = (policy: Oauth["policy"]) => {
    const clock = new StandinClock();
    const oauth = new Oauth(clock, 3600);
    oauth.policy = policy;
    const first = oauth.redeem(oauth.issueCode("r", "x"), "x")!;
    return { clock, oauth, first };
  };

  it("a code is good once, for ten minutes, for its address", () => {
    const { oauth, clock } = grant("daily");
    const code = oauth.issueCode("r", "x");
    expect(oauth.redeem(code, "x")).toBeDefined();
    expect(oauth.redeem(code, "x")).toBeUndefined();
    expect(oauth.redeem(oauth.issueCode("r", "x"), "y")).toBeUndefined();
    const late = oauth.issueCode("r", "x");
    clock.offsetMs = 601_000;
    expect(oauth.redeem(late, "x")).toBeUndefined();
  });

  it("daily: the refresh token stays for a day and is then replaced", () => {
    const { oauth, clock, first } = grant("daily");
    expect(oauth.refresh(first.refresh_token)!.refresh_token).toBe(first.refresh_token);
    clock.offsetMs = 25 * 3_600_000;
    expect(oauth.refresh(first.refresh_token)!.refresh_token).not.toBe(first.refresh_token);
  });

  it("always: the old one repeats the answer until the new pair is used, or a day is over", () => {
    const { oauth, clock, first } = grant("always");
    const second = oauth.refresh(first.refresh_token)!;
    const repeated = oauth.refresh(first.refresh_token)!;
    expect(repeated.refresh_token).toBe(second.refresh_token);
    expect(oauth.admits(repeated.access_token, "r")).toBe(true);
    expect(oauth.refresh(first.refresh_token)).toBeUndefined();
    const third = oauth.refresh(second.refresh_token)!;
    clock.offsetMs = 24 * 3_600_000 + 1;
    expect(oauth.refresh(second.refresh_token)).toBeUndefined();
    expect(oauth.refresh(third.refresh_token)).toBeDefined();
  });

  it("strict: the old one is dead at once", () => {
    const { oauth, first } = grant("strict");
    expect(oauth.refresh(first.refresh_token)).toBeDefined();
    expect(oauth.refresh(first.refresh_token)).toBeUndefined();
  });

  it("an access token opens its company for an hour, until it is revoked", async () => {
    expect((await api("GET", "query?query=select%20*%20from%20Item")).status).toBe(200);
    expect((await api("GET", "query?query=select%20*%20from%20Item", undefined, "wrong")).status).toBe(401);
    standin.clock.offsetMs = 3_600_000;
    expect((await api("GET", "query?query=select%20*%20from%20Item")).status).toBe(401);
    standin.clock.offsetMs = 0;
    await control("POST", "/revoke");
    expect((await api("GET", "query?query=select%20*%20from%20Item")).status).toBe(401);
  });

  it("the token endpoint wants the client's secret", async () => {
    const post = async (secret: string, form: string) =>
      (await app.inject({ method: "POST", url: "/oauth2/v1/tokens/bearer", headers: { authorization: `Basic ${Buffer.from(`client:${secret}`).toString("base64")}`, "content-type": "application/x-www-form-urlencoded" }, payload: form })).json();
    expect(await post("wrong", "grant_type=refresh_token&refresh_token=x")).toEqual({ error: "invalid_client" });
    expect(await post("secret", "grant_type=refresh_token&refresh_token=x")).toEqual({ error: "invalid_grant" });
  });
});

describe("the query language", () => {
  const rows = [
    { Id: "1", TotalAmt: 5, DisplayName: "O'Brien", MetaData: { LastUpdatedTime: "2026-01-01T00:00:00-08:00" } },
    { Id: "2", TotalAmt: 15, DisplayName: "Ann", MetaData: { LastUpdatedTime: "2026-01-01T07:00:00Z" } },
    { Id: "3", TotalAmt: 25, DisplayName: "Zoe", MetaData: { LastUpdatedTime: "2026-01-03T00:00:00Z" } },
  ];
  const ids = (text: string) => runQuery(parseQuery(text), rows).page.map((r) => r.Id);

  it.each([
    ["SELECT * FROM Customer", ["1", "2", "3"]],
    ["select * from Customer where DisplayName = 'O\\'Brien'", ["1"]],
    ["SELECT Id, TotalAmt FROM Customer WHERE TotalAmt > '10' AND TotalAmt <= '25' ORDERBY TotalAmt DESC", ["3", "2"]],
    ["SELECT * FROM Customer WHERE MetaData.LastUpdatedTime >= '2026-01-01T08:00:00Z' ORDERBY MetaData.LastUpdatedTime", ["1", "3"]],
    ["SELECT * FROM Customer WHERE Id IN ('1', '3')", ["1", "3"]],
    ["SELECT * FROM Customer WHERE DisplayName LIKE 'A%'", ["2"]],
    ["SELECT * FROM Customer ORDER BY Id STARTPOSITION 2 MAXRESULTS 1", ["2"]],
  ])("%s", (text, expected) => expect(ids(text)).toEqual(expected));

  it.each(["", "SELECT", "DELETE FROM Customer", "SELECT * FROM Customer WHERE Id = '1' OR Id = '2'", "SELECT * FROM Customer MAXRESULTS 1001", "SELECT * FROM Customer; DROP", "SELECT * FROM Customer WHERE Nope = '1'", "SELECT * FROM Customer WHERE Id = 'x"])("refuses %s", (text) => {
    expect(() => ids(text)).toThrow();
  });

  it("counts", async () => {
    await createInvoice();
    expect((await query("SELECT COUNT(*) FROM Invoice")).QueryResponse).toEqual({ totalCount: 1 });
  });
});

describe("the books", () => {
  it("count a line only with an item", async () => {
    const { Id } = await customer();
    const made = (await api("POST", "invoice", { CustomerRef: { value: Id }, Line: [line(10.5), line(99, false)] })).body.Invoice;
    expect(made).toMatchObject({ TotalAmt: 10.5, Balance: 10.5, SyncToken: "0" });
  });

  it("lower a balance by a payment, and raise it again when that is void", async () => {
    const invoice = await createInvoice(100);
    const link = { CustomerRef: invoice.CustomerRef, TotalAmt: 40, Line: [{ Amount: 40, LinkedTxn: [{ TxnId: invoice.Id, TxnType: "Invoice" }] }] };
    const payment = (await api("POST", "payment", link)).body.Payment;
    expect((await api("GET", `invoice/${invoice.Id}`)).body.Invoice).toMatchObject({ Balance: 60, SyncToken: "0" });
    await api("POST", "payment?operation=update&include=void", { Id: payment.Id, SyncToken: "0", sparse: true });
    expect((await api("GET", `invoice/${invoice.Id}`)).body.Invoice.Balance).toBe(100);
    expect((await api("GET", `payment/${payment.Id}`)).body.Payment).toMatchObject({ TotalAmt: 0, PrivateNote: expect.stringContaining("Voided") });
  });

  it("apply no more of a payment than is owed", async () => {
    const invoice = await createInvoice(100);
    const link = { CustomerRef: invoice.CustomerRef, TotalAmt: 150, Line: [{ Amount: 150, LinkedTxn: [{ TxnId: invoice.Id, TxnType: "Invoice" }] }] };
    const payment = (await api("POST", "payment", link)).body.Payment;
    expect(payment).toMatchObject({ TotalAmt: 150, UnappliedAmt: 50, Line: [{ Amount: 100 }] });
    await api("POST", "payment?operation=update&include=void", { Id: payment.Id, SyncToken: "0", sparse: true });
    expect((await api("GET", `invoice/${invoice.Id}`)).body.Invoice).toMatchObject({ TotalAmt: 100, Balance: 100 });
  });

  it("of nobody know a property that is not there as little as those of anybody", async () => {
    expect((await query("SELECT * FROM Invoice WHERE a = 1")).Fault.Error[0].code).toBe("4001");
    expect((await query("SELECT * FROM Invoice ORDERBY a")).Fault.Error[0].code).toBe("4001");
  });

  it.each([
    ["2500", "invoice", { CustomerRef: { value: "999" }, Line: [line(1)] }],
    ["2020", "invoice", { Line: [line(1)] }],
    ["610", "invoice?operation=void", { Id: "999", SyncToken: "0" }],
  ])("refuse with %s", async (code, path, body) => {
    expect(await api("POST", path, body)).toMatchObject({ status: 400, body: { Fault: { Error: [{ code }] } } });
  });

  it("refuse an old version and a taken name", async () => {
    const invoice = await createInvoice();
    await control("PATCH", `/companies/-/invoices/${invoice.Id}`, { PrivateNote: "x" });
    expect((await api("POST", "invoice?operation=void", { Id: invoice.Id, SyncToken: "0" })).body.Fault.Error[0].code).toBe("5010");
    await api("POST", "customer", { DisplayName: "Ann" });
    expect((await api("POST", "customer", { DisplayName: "ANN" })).body.Fault.Error[0].code).toBe("6240");
  });

  it("make one object of a repeated requestid, and give the first answer again", async () => {
    const { Id } = await customer();
    const body = { CustomerRef: { value: Id }, Line: [line(1)] };
    const answers = await Promise.all(Array.from({ length: 10 }, () => api("POST", "invoice?requestid=r-1", body)));
    expect(new Set(answers.map((a) => a.body.Invoice.Id)).size).toBe(1);
    expect((await query("SELECT COUNT(*) FROM Invoice")).QueryResponse.totalCount).toBe(1);
  });
});

describe("change data capture", () => {
  it("tells what changed and what is gone, at most 1000 objects, 30 days back", async () => {
    const invoice = await createInvoice();
    await control("DELETE", `/companies/-/invoices/${invoice.Id}`);
    const since = (ms: number) => encodeURIComponent(new Date(Date.now() - ms).toISOString());
    const answer = (await api("GET", `cdc?entities=Invoice,Payment&changedSince=${since(60_000)}`)).body;
    expect(answer.CDCResponse[0].QueryResponse).toMatchObject([{ Invoice: [{ Id: invoice.Id, status: "Deleted" }] }]);
    await control("POST", "/seed", { invoices: 1_100, paid: 0, days_ago: 0 });
    const full = (await api("GET", `cdc?entities=Invoice,Payment&changedSince=${since(60_000)}`)).body;
    expect(full.CDCResponse[0].QueryResponse.reduce((sum: number, part: any) => sum + part.maxResults, 0)).toBe(1_000);
    expect((await api("GET", `cdc?entities=Invoice&changedSince=${since(31 * 86_400_000)}`)).status).toBe(400);
  });
});

describe("misbehaviour", () => {
  it("limits a company's requests", async () => {
    await app.close();
    // A second is too short to be sure that all of them fall into it.
    await start({ limits: { perSecond: Number.POSITIVE_INFINITY, perMinute: 10 } });
    const statuses = await Promise.all(Array.from({ length: 15 }, async () => (await api("GET", "query?query=select%20*%20from%20Item")).status));
    expect(statuses.filter((s) => s === 200)).toHaveLength(10);
    expect(statuses.filter((s) => s === 429)).toHaveLength(5);
  });

  it.each([
    ["401", 401],
    ["429", 429],
    ["500", 500],
    ["fault-in-200", 200],
    ["html", 200],
    ["truncated", 200],
  ])("%s on order, as often as ordered", async (mode, status) => {
    await control("POST", "/faults", { mode, operation: "query", count: 2 });
    const text = "query?query=select%20*%20from%20Item";
    expect((await api("GET", text)).status).toBe(status);
    expect((await api("GET", "item/1")).status).toBe(200);
    expect((await api("GET", text)).status).toBe(status);
    expect((await api("GET", text)).body.QueryResponse.Item).toHaveLength(1);
  });
});

it("tells about a company, to whoever has a token for it", async () => {
  const { nextRealm: realm } = standin;
  expect(await api("GET", `companyinfo/${realm}`)).toMatchObject({ status: 200, body: { CompanyInfo: { CompanyName: expect.any(String), domain: "QBO", Id: "1", SyncToken: "0" }, time: expect.any(String) } });
  expect(await api("GET", "companyinfo/42")).toMatchObject({ status: 400, body: { Fault: { Error: [{ code: "610" }] } } });
  standin.nextRealm = "42";
  expect((await api("GET", "companyinfo/42")).status).toBe(401);
});

it.each([
  [undefined, undefined],
  [{ seconds: 90 }, "90"],
  [{ seconds: 90, form: "date" }, expect.stringMatching(/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/)],
])("a 429 on order asks for the pause %j", async (retry_after, header) => {
  await control("POST", "/faults", { mode: "429", ...(retry_after && { retry_after }) });
  const { headers } = await app.inject({ url: `/v3/company/${standin.nextRealm}/item/1`, headers: { authorization: `Bearer ${access}` } });
  expect(headers["retry-after"]).toEqual(header);
});

describe("webhooks", () => {
  it("are signed over the bytes sent, and repeated until somebody takes them", async () => {
    const got: { body: string; signature: string }[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk)).on("end", () => {
        got.push({ body, signature: String(request.headers["intuit-signature"]) });
        response.writeHead(got.length === 1 ? 200 : 500).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    standin.webhooks.settings.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const invoice = await createInvoice();
    while (got.length < 1) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(got[0]!.signature).toBe(createHmac("sha256", "verifier").update(got[0]!.body).digest("base64"));
    expect(JSON.parse(got[0]!.body)).toContainEqual(expect.objectContaining({ specversion: "1.0", type: "qbo.invoice.created.v1", intuitentityid: invoice.Id, intuitaccountid: standin.nextRealm }));
    standin.webhooks.settings.copies = 2;
    await control("PATCH", `/companies/-/invoices/${invoice.Id}`, { PrivateNote: "x" });
    while (got.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(got[1]!.body).toBe(got[2]!.body);
    while (!(await app.inject("/metrics")).body.includes(`qbo_standin_webhooks_total{result="repeated"} 2`)) await new Promise((resolve) => setTimeout(resolve, 10));
    server.close();
  });
});
