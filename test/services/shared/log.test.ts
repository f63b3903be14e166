import { describe, expect, it } from "vitest";
import { createLogger, type Logger } from "../../../services/shared/log.ts";

/** What a logger writes, line by line. */
function written(use: (log: Logger) => void): string[] {
  const lines: string[] = [];
  use(createLogger("test", "info", { write: (line) => lines.push(line) }));
  return lines;
}

describe("a log", () => {
  it("has one JSON line per event, with level, time, service and message", () => {
    const lines = written((log) => log.warn({ n: 1, list: [{ a: "b" }] }, "seen"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(lines[0]!)).toEqual({ level: "warn", time: expect.stringMatching(/^\d{4}-.*Z$/), service: "test", n: 1, list: [{ a: "b" }], message: "seen" });
  });

  it.each([
    ["at the top", { token: "hunter2" }],
    ["four levels deep", { a: { b: { c: { token: "hunter2" } } } }],
    ["in a list", { list: [[{ password: "hunter2" }]] }],
    ["in any spelling", { Authorization: "hunter2", apiKey: "hunter2", "X-API-Key": "hunter2", clientSecret: "hunter2", refreshToken: "hunter2", "Set-Cookie": ["hunter2"], "intuit-signature": "hunter2", slack_webhook_url: "hunter2" }],
    ["of an error", { err: Object.assign(new Error("refused"), { config: { headers: { authorization: "hunter2" } } }) }],
    ["of an error's cause", { err: new Error("refused", { cause: Object.assign(new Error("why"), { response: { accessToken: "hunter2" } }) }) }],
    ["of many errors", { err: new AggregateError([Object.assign(new Error("one"), { token: "hunter2" })], "all") }],
    ["under 15 levels", { a: JSON.parse(`${'{"x":'.repeat(15)}{"secret":"hunter2"}${"}".repeat(15)}`) }],
    ["under 1000 levels", { token: 1, a: JSON.parse(`${'{"x":'.repeat(1_000)}{"secret":"hunter2"}${"}".repeat(1_000)}`) }],
  ])("shows no secret %s", (_where, fields) => {
    const [line = ""] = written((log) => log.error(fields, "seen"));
    expect(line).not.toContain("hunter2");
    expect(JSON.parse(line)).toMatchObject({ message: "seen" });
  });

  it("shows no secret of a child logger's fields", () => {
    expect(written((log) => log.child({ req: { headers: { cookie: "hunter2" } } }).info("seen")).join("")).not.toContain("hunter2");
  });

  it("keeps an error's message and stack", () => {
    const [line = ""] = written((log) => log.error({ err: Object.assign(new Error("broken"), { token: "hunter2" }) }, "seen"));
    expect(JSON.parse(line).err).toMatchObject({ type: "Error", message: "broken", stack: expect.stringContaining("log.test.ts"), token: "[redacted]" });
  });
});
