import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseMrkdwn, toneOf } from "../../../services/shared/mrkdwn.ts";

describe("parseMrkdwn", () => {
  it("finds bold, italic, code and links, and undoes Slack's three escapes", () => {
    expect(parseMrkdwn("a *b* _c_ `d*e*` <https://x.example/?a=1&amp;b=2|l> &lt;i&gt; <!here>")).toEqual([
      { text: "a " },
      { text: "b", bold: true },
      { text: " " },
      { text: "c", italic: true },
      { text: " " },
      { text: "d*e*", code: true },
      { text: " " },
      { text: "l", link: "https://x.example/?a=1&b=2" },
      { text: " <i> " },
      { text: "!here" },
    ]);
  });

  it("leaves names with underscores and products alone", () => {
    expect(parseMrkdwn("crm_api_down 2*3*4")).toEqual([{ text: "crm_api_down 2*3*4" }]);
  });

  it("makes no link of any address but http and https", () => {
    for (const address of ["javascript:alert(1)", "data:text/html,x", "JaVaScRiPt:x", "//x", "https://"]) {
      expect(parseMrkdwn(`<${address}|x>`).some((s) => s.link !== undefined)).toBe(false);
    }
  });

  it("never throws and never makes text longer", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."<>|*_`&;lt amp\nhtps:/x") }), (text) => {
        expect(parseMrkdwn(text).map((s) => s.text).join("").length).toBeLessThanOrEqual(text.length);
      }),
    );
  });
});

describe("toneOf", () => {
  it.each([
    ["danger", "danger"],
    ["#a30200", "danger"],
    ["#D1242F", "danger"],
    ["#daa038", "warning"],
    ["#2eb67d", "good"],
    ["#36a64f", "good"],
    ["#439fe0", undefined],
    ["#808080", undefined],
    ["red", undefined],
    [7, undefined],
  ])("reads %s", (color, tone) => expect(toneOf(color)).toBe(tone));
});
