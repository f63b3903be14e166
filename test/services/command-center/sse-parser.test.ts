import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseParser, SseTooLarge } from "../../../services/command-center/sse-parser.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Parses a text that arrives in pieces of the given sizes. */
function parse(text: string, sizes: readonly number[] = []) {
  const parser = new SseParser("before");
  const all = bytes(text);
  const messages = [];
  let at = 0;
  for (const size of [...sizes, all.length]) {
    messages.push(...parser.push(all.subarray(at, at + size)));
    at += size;
  }
  return { messages, lastEventId: parser.lastEventId, retryMs: parser.retryMs };
}

describe("SseParser", () => {
  it("reads fields as the standard says", () => {
    const { messages, lastEventId, retryMs } = parse(":comment\nretry: 300\nid: 1\n\nevent: gap\ndata:a\ndata: b\ndata\nid: 2\n\ndata:  c\r\n\r\ndata: d\r\rid: 3\ndata: cut");
    expect(messages).toEqual([
      { event: "gap", data: "a\nb\n" },
      { event: "message", data: " c" },
      { event: "message", data: "d" },
    ]);
    expect([lastEventId, retryMs]).toEqual(["2", 300]);
  });

  it("resumes from an id without data, and only from complete blocks", () => {
    expect(parse("id: 7\n\n").lastEventId).toBe("7");
    expect(parse("id: 7\ndata: x\n").lastEventId).toBe("before");
    expect(parse("id: a\0b\n\n").lastEventId).toBe("before");
  });

  it("gives the same however the bytes are cut", () => {
    const line = fc.constantFrom("data: ä€😀", "data", "id: 5", "event: x", "event:", ": c", "", "", "retry: 9");
    const end = fc.constantFrom("\n", "\r\n", "\r");
    fc.assert(
      fc.property(fc.array(fc.tuple(line, end)), fc.array(fc.integer({ min: 1, max: 7 })), (lines, sizes) => {
        const text = `${lines.map((l) => l.join("")).join("")}:end\n`;
        expect(parse(text, sizes)).toEqual(parse(text));
      }),
    );
  });

  it("refuses to grow without end", () => {
    expect(() => new SseParser("", 100).push(bytes("x".repeat(101)))).toThrow(SseTooLarge);
    expect(() => new SseParser("", 100).push(bytes("data: 1234567890\n".repeat(20)))).toThrow(SseTooLarge);
  });
});
