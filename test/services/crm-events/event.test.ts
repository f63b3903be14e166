/** The pure parts of a stream: positions, events, frames, history, requests read from bytes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkEvent } from "../../../services/crm-events/event.ts";
import { History } from "../../../services/crm-events/history.ts";
import { Cursor, formatPosition, parsePosition } from "../../../services/crm-events/position.ts";
import { eventParts, Frame, gapFrame } from "../../../services/crm-events/sse.ts";
import { parseStreamHead } from "../../../services/crm-events/stream-head.ts";
import { sampleEvent, SseParser, type Received } from "./support.ts";

const offset = fc.maxSafeNat();

describe("a position", () => {
  test("survives its text form, for any offsets", () => {
    fc.assert(
      fc.property(fc.array(offset, { minLength: 1, maxLength: 50 }), (next) => {
        const position = { epoch: "a1b2c3d4", next };
        expect(parsePosition(formatPosition(position))).toEqual(position);
        expect(new Cursor(position).id).toBe(formatPosition(position));
      }),
    );
  });

  test("is never read from anything else, and reading never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const position = parsePosition(text);
        if (position !== undefined) expect(text).toMatch(/^[0-9a-z.]+$/);
      }),
      { numRuns: 2_000 },
    );
    for (const text of ["", ".", "a", "a.", "a..1", "a.1.", "A.1", "a.1 ", "a.-1", "a.1e5\n", "a.zzzzzzzzzzz", `a${".1".repeat(7_000)}`]) expect(parsePosition(text), text).toBeUndefined();
  });

  test("that moves has the id of where it is", () => {
    const cursor = new Cursor({ epoch: "e", next: [1, 2] });
    cursor.advance(1, 36);
    expect(cursor.id).toBe("e.1.10");
    cursor.advance(4, 7);
    expect(cursor.id).toBe("e.1.10.0.0.7");
    expect(cursor.next).toEqual([1, 36, 0, 0, 7]);
  });
});

describe("a message", () => {
  const check = (value: unknown) => checkEvent(typeof value === "string" ? Buffer.from(value) : Buffer.from(JSON.stringify(value)), 100_000);
  const event = sampleEvent("a", 1);

  /** An event with so many levels in all; itself and its data are two. */
  const nested = (levels: number) => JSON.stringify({ ...event, data: 0 }).replace('"data":0', `"data":{"x":${"[".repeat(levels - 2)}${"]".repeat(levels - 2)}}`);

  test("that is an event passes unchanged, with its time", () => {
    const value = Buffer.from(JSON.stringify(event));
    expect(checkEvent(value, 100_000)).toEqual({ ok: true, json: value, at: Date.parse(event["ts"] as string) });
  });

  test("with line ends between its tokens has blanks for them, and not a byte changes otherwise", () => {
    const head = JSON.stringify(event).replace(/"data":.*/, "");
    const value = (end: string) => `${head}\t${end}"data":${end}{"text": "é\\n\\r","cents":9007199254740993,"rate":1.10,"large":1e400,"x":1,"x":2 }${end}}`;
    for (const [end, blanks] of [["\n", " "], ["\r", " "], ["\r\n", "  "]] as const) {
      const checked = check(value(end));
      expect(checked.ok && checked.json.toString()).toBe(value(blanks));
    }
  });

  test("never grows over what a message may have", () => {
    const value = JSON.stringify(event, null, "\n").replace(/"data":[^]*/, `"data":{"list":[${Array(19_000).fill("1e20").join(",")}]}}`);
    const checked = check(value);
    expect(checked.ok && checked.json.length).toBe(Buffer.byteLength(value));
  });

  test.each([
    ["tombstone", null],
    ["bad_json", "{"],
    ["bad_json", ""],
    ["bad_json", "\u0000"],
    ["bad_json", `\n${"[".repeat(60_000)}${"]".repeat(30_000)}`],
    ["bad_envelope", "[]"],
    ["bad_envelope", "7"],
    ["bad_envelope", `\n${"[".repeat(45_000)}${"]".repeat(45_000)}`],
    ["unknown_version", { ...event, version: 2 }],
    ["unknown_version", { ...event, version: "1" }],
    ["bad_envelope", nested(65)],
    ["bad_envelope", nested(40_000)],
    ["bad_envelope", { ...event, id: "" }],
    ["bad_envelope", { ...event, id: 5 }],
    ["bad_envelope", { ...event, org_id: "x".repeat(257) }],
    ["bad_envelope", { ...event, aggregate: null }],
    ["bad_envelope", { ...event, aggregate: { type: "invoice" } }],
    ["bad_envelope", { ...event, data: [] }],
    ["bad_envelope", { ...event, ts: "2025-01-01" }],
    ["bad_envelope", { ...event, ts: 1 }],
    ["control_characters", { ...event, type: "a\nb" }],
    ["control_characters", { ...event, id: "a\u2028b" }],
    ["control_characters", { ...event, aggregate: { type: "invoice", id: "\u007f" } }],
    ["bad_envelope", { ...event, ts: "2026-02-30T00:00:00Z" }],
    ["bad_envelope", { ...event, ts: "2025-02-29T23:59:59.5+01:00" }],
    ["bad_utf8", { ...event, data: { note: "\ud800" } }],
    ["bad_utf8", { ...event, data: { note: "\udc00\ud800" } }],
    ["bad_utf8", { ...event, data: { "\udfff": 1 } }],
    ["bad_utf8", { ...event, org_id: "acme\ud83d" }],
    ["bad_utf8", JSON.stringify({ ...event, data: { x: 1 } }).replace('"x":1', String.raw`"x":"\uD83D\uD83D\uDE00","x":1`)],
    ["bad_utf8", JSON.stringify({ ...event, data: { x: 1 } }).replace('"x":1', String.raw`"x":"\\\uDE00"`)],
    ["too_large", "x".repeat(100_001)],
  ])("is refused as %s", (reason, value) => {
    const checked = value === null ? checkEvent(null, 100_000) : check(value);
    expect(checked).toMatchObject({ ok: false, reason });
  });

  test.each([
    { ...event, ts: "2024-02-29T23:59:59.5-08:00" },
    { ...event, data: { note: "a😀b", "😀": "\ufffd" } },
    JSON.stringify({ ...event, data: { x: 1 } }).replace('"x":1', String.raw`"x":"\\ud800 \ud83d\uDE00\\\uD83D\uDE00"`),
  ])("with a day that exists and whole characters, escaped or not, passes", (value) => {
    expect(check(value)).toMatchObject({ ok: true });
  });

  test("may be nested on 64 levels", () => {
    expect(check(nested(64)).ok).toBe(true);
  });

  test("of any bytes is checked without an error, and what passes is one line of JSON", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json().map((text) => new TextEncoder().encode(text))), (bytes) => {
        const checked = checkEvent(Buffer.from(bytes), 1_000);
        if (checked.ok) expect(checked.json.toString()).not.toMatch(/[\r\n]/);
      }),
      { numRuns: 2_000 },
    );
  });

  test("cannot forge a field, whatever its texts hold", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), fc.constantFrom(0, 1, "\t"), (type, data, space) => {
        const made = { ...event, type, data };
        const checked = checkEvent(Buffer.from(JSON.stringify(made, null, space)), 1_000_000);
        if (!checked.ok) return;
        const received: Received[] = [];
        const parser = new SseParser((one) => received.push(one));
        parser.push(new Frame(Buffer.concat(eventParts("e.1", checked.json))).body);
        expect(received).toHaveLength(1);
        expect(received[0]).toMatchObject({ event: "message", id: "e.1" });
        expect(JSON.parse(received[0]!.data)).toEqual(JSON.parse(JSON.stringify(made)));
        expect(parser.strange).toEqual([]);
      }),
    );
  });
});

test("a frame is one chunk of HTTP/1.1", () => {
  expect(new Frame(Buffer.from("data: é\n\n")).chunk.toString()).toBe("a\r\ndata: é\n\n\r\n");
  expect(gapFrame("expired", { epoch: "e", next: [1] }, { epoch: "e", next: [35] }).body.toString()).toBe('event: gap\nid: e.z\ndata: {"reason":"expired","from":"e.1","to":"e.z"}\n\n');
});

test("history holds the newest events within its bounds, and knows from where on it is complete", () => {
  const entry = fc.record({ partition: fc.nat(2), bytes: fc.nat(400), skip: fc.boolean() });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 120 }), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 200, max: 8_000 }), (entries, capacity, maxBytes) => {
      const history = new History(capacity, maxBytes, { epoch: "e", next: [5, 0, 9] });
      const next = [5, 0, 9];
      const all: { partition: number; offset: number }[] = [];
      for (const { partition, bytes, skip } of entries) {
        const at = next[partition]!++;
        if (skip) history.reach(partition, next[partition]!);
        else {
          history.append({ partition, offset: at, json: Buffer.alloc(bytes), time: all.length });
          all.push({ partition, offset: at });
        }
        expect(history.size).toBeLessThanOrEqual(capacity);
        expect(history.bytes <= maxBytes || history.size === 1).toBe(true);
      }
      expect(history.position.next).toEqual(next);
      const held = history.newest(1_000).map(({ partition, offset: at }) => ({ partition, offset: at }));
      expect(held).toEqual(all.slice(all.length - held.length));
      // Complete from `from` on: every event at or above it is held, and nothing below that was read is.
      for (const { partition, offset: at } of all) expect(held.some((h) => h.partition === partition && h.offset === at)).toBe(at >= history.from(partition));
    }),
  );
});

describe("a request for a stream, read from bytes", () => {
  const head = (line: string, ...headers: string[]) => parseStreamHead(Buffer.from(`${[line, ...headers].join("\r\n")}\r\n\r\n`, "latin1"));

  test("gives what opening a stream needs", () => {
    expect(head("GET /crm-events HTTP/1.1", "Host: x", "LAST-EVENT-ID:  e.1 ", "Origin: http://a", "X-Forwarded-For: 1.2.3.4", "Accept: text/event-stream")).toEqual({ lastEventId: "e.1", origin: "http://a", forwardedFor: "1.2.3.4" });
    expect(head("GET /crm-events?lastEventId=e.2&x=1 HTTP/1.1", "Host: x")?.lastEventId).toBe("e.2");
    expect(head("GET /crm-events?lastEventId=e.2 HTTP/1.1", "Host: x", "Last-Event-ID: e.3")?.lastEventId).toBe("e.3");
    expect(head("GET /crm-events?lastEventId= HTTP/1.1", "Host: x", "Last-Event-ID:")?.lastEventId).toBeUndefined();
  });

  test.each([
    ["another path", "GET /crm-events/history HTTP/1.1", "Host: x"],
    ["a path that only begins alike", "GET /crm-eventsx HTTP/1.1", "Host: x"],
    ["another method", "POST /crm-events HTTP/1.1", "Host: x"],
    ["HTTP/1.0", "GET /crm-events HTTP/1.0", "Host: x"],
    ["no host", "GET /crm-events HTTP/1.1", "Accept: x"],
    ["two hosts", "GET /crm-events HTTP/1.1", "Host: x", "Host: y"],
    ["a body", "GET /crm-events HTTP/1.1", "Host: x", "Content-Length: 1"],
    ["a chunked body", "GET /crm-events HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"],
    ["an upgrade", "GET /crm-events HTTP/1.1", "Host: x", "Upgrade: h2c"],
    ["a folded header", "GET /crm-events HTTP/1.1", "Host: x", " folded"],
    ["space before the colon", "GET /crm-events HTTP/1.1", "Host : x"],
    ["a bare line feed", "GET /crm-events HTTP/1.1", "Host: x\nLast-Event-ID: e.1"],
    ["a NUL", "GET /crm-events HTTP/1.1", "Host: x\u0000"],
    ["a space in the query", "GET /crm-events?a b HTTP/1.1", "Host: x"],
    ["something behind it", "GET /crm-events HTTP/1.1", "Host: x", "", "more"],
  ])("leaves %s to the HTTP server", (_what, line, ...headers) => {
    expect(head(line, ...headers)).toBeUndefined();
  });

  test("is left to the HTTP server while it is incomplete, and never fails", () => {
    const whole = Buffer.from("GET /crm-events HTTP/1.1\r\nHost: x\r\n\r\n");
    for (let n = 0; n < whole.length; n++) expect(parseStreamHead(whole.subarray(0, n))).toBeUndefined();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => void parseStreamHead(Buffer.from(bytes))));
  });
});
