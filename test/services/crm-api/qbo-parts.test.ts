/** The small parts of the QuickBooks side. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { QboCall, QboClient } from "../../../services/crm-api/qbo/client.ts";
import { endpoints } from "../../../services/crm-api/qbo/endpoints.ts";
import { convertCents, dueAt, fromCents, isVoid, markedId, marker, qboInvoice, toCents } from "../../../services/crm-api/qbo/entities.ts";
import { Limiter } from "../../../services/crm-api/qbo/limiter.ts";
import { queryAll, quoted } from "../../../services/crm-api/qbo/query.ts";
import { ManualClock } from "./support.ts";

describe("amounts", () => {
  it("survive the way to QuickBooks and back, to the cent", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 10_000_000_000 }), (cents) => toCents(JSON.parse(JSON.stringify(fromCents(cents)))) === cents));
  });

  it.each([
    [1234.5, 123_450],
    ["0.07", 7],
    [-3.2, -320],
    [0, 0],
    ["12.3400", 1_234],
  ])("%s is %s cents", (amount, cents) => expect(toCents(amount)).toBe(cents));

  it.each([
    [1_000_000, "0.0067", 6_700],
    [1, "0.5", 1],
    [1, "0.4999999", 0],
    [10_000_001, "1.1", 11_000_001],
    [9_999_999_999_999, "1", 9_999_999_999_999],
    [-100, "1.005", -101],
  ])("%i cents at a rate of %s are %i", (cents, rate, home) => expect(convertCents(cents, rate)).toBe(home));

  it("beyond the range do not come out of a rate", () => expect(() => convertCents(9_999_999_999_999, "2")).toThrow("out of range"));

  it.each([1.005, "1,000.00", "", "NaN", "1e3", 9e15, Number.NaN, "--1"])("%s is refused", (amount) => {
    expect(() => toCents(amount)).toThrow(RangeError);
  });
});

describe("objects", () => {
  const invoice = (more: object = {}) =>
    qboInvoice.parse({ Id: "1", SyncToken: "0", TotalAmt: 5, MetaData: { CreateTime: "2026-01-31T20:00:00-08:00", LastUpdatedTime: "2026-01-31T20:00:00-08:00" }, ...more });

  it("are due at the end of the day, or 30 days after their date", () => {
    expect(new Date(dueAt(invoice({ DueDate: "2026-03-01", TxnDate: "2026-01-01" }))).toISOString()).toBe("2026-03-01T23:59:59.999Z");
    expect(new Date(dueAt(invoice({ TxnDate: "2026-01-01" }))).toISOString()).toBe("2026-01-31T23:59:59.999Z");
    expect(new Date(dueAt(invoice())).toISOString()).toBe("2026-03-03T04:00:00.000Z");
  });

  it("carry our id in their note", () => {
    const id = crypto.randomUUID();
    expect(markedId("invoice", `Voided - ${marker("invoice", id)} thanks`)).toBe(id);
    expect(markedId("payment", marker("invoice", id))).toBeUndefined();
    expect(markedId("invoice", undefined)).toBeUndefined();
  });

  it("are void only with an amount of 0 and the word", () => {
    expect([isVoid({ TotalAmt: 0, PrivateNote: "Voided" }), isVoid({ TotalAmt: 0 }), isVoid({ TotalAmt: 5, PrivateNote: "voided" })]).toEqual([true, false, false]);
  });
});

it("text in a query cannot end it", () => {
  expect(quoted("O'Brien \\ Sons' OR Id > '0")).toBe("'O\\'Brien \\\\ Sons\\' OR Id > \\'0'");
});

it("a page whose last row has no date is followed by the rows behind the last that has one", async () => {
  const row = (second: number) => ({ MetaData: { LastUpdatedTime: new Date(second * 1000).toISOString() } });
  const pages: unknown[][] = [[...Array.from({ length: 999 }, (_, i) => row(i)), { MetaData: null }], Array.from({ length: 1_000 }, () => "?"), []];
  const asked: string[] = [];
  const call = async (_realm: string, { query }: QboCall) => {
    asked.push(query!["query"]!);
    return { QueryResponse: { Invoice: pages.shift() }, time: "2026-01-01T00:00:00Z" };
  };
  for await (const _ of queryAll({ call } as unknown as QboClient, "r", "Invoice"));
  expect(asked.map((q) => q.replace(/.*>= '(.*?)'.*(STARTPOSITION \d+).*/, "$1 $2"))).toEqual(["1970-01-01T00:00:00.000Z STARTPOSITION 1", "1970-01-01T00:16:38.000Z STARTPOSITION 1", "1970-01-01T00:16:38.000Z STARTPOSITION 1001"]);
});

it("addresses are Intuit's own unless one base is given", () => {
  expect(endpoints({ baseUrl: undefined, sandbox: true }).api).toBe("https://sandbox-quickbooks.api.intuit.com");
  expect(endpoints({ baseUrl: undefined, sandbox: false })).toEqual({
    authorise: "https://appcenter.intuit.com/connect/oauth2",
    token: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    api: "https://quickbooks.api.intuit.com",
  });
  expect(endpoints({ baseUrl: "http://qbo-standin:8091", sandbox: true }).token).toBe("http://qbo-standin:8091/oauth2/v1/tokens/bearer");
});

describe("the limiter", () => {
  /** Start times of `count` calls that all come at once. */
  async function starts(count: number): Promise<number[]> {
    const clock = new ManualClock(0);
    const limiter = new Limiter(clock, new AbortController().signal);
    const times: number[] = [];
    const calls = Array.from({ length: count }, () => limiter.take("r").then(() => times.push(clock.now())));
    for (let settled = false; !settled; ) {
      await clock.advance(0);
      const [wait] = clock.waits;
      if (wait === undefined) settled = times.length === count;
      else await clock.advance(wait);
    }
    await Promise.all(calls);
    return times;
  }

  it("lets at most 10 start in any second and 500 in any minute", async () => {
    const times = await starts(1_200);
    for (const at of times) {
      expect(times.filter((other) => other >= at && other < at + 1_000).length).toBeLessThanOrEqual(10);
      expect(times.filter((other) => other >= at && other < at + 60_000).length).toBeLessThanOrEqual(500);
    }
    // And is not slower than it must be.
    expect(times.at(-1)).toBeLessThan(3 * 61_000);
  });

  it("holds one company back and no other", async () => {
    const clock = new ManualClock(0);
    const limiter = new Limiter(clock, new AbortController().signal);
    limiter.pause("slow", 60_000);
    let through = false;
    const waiting = limiter.take("slow").then(() => (through = true));
    await limiter.take("fast");
    await clock.advance(59_999);
    expect(through).toBe(false);
    await clock.advance(1);
    await waiting;
  });

  it("holds nobody once the service stops", async () => {
    const stop = new AbortController();
    const limiter = new Limiter(new ManualClock(0), stop.signal);
    limiter.pause("r", 60_000);
    const waiting = limiter.take("r");
    stop.abort();
    await waiting;
  });
});
