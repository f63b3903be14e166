/** Which pages may read the events: what CORS_ORIGINS takes. */
import { describe, expect, it } from "vitest";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { readEnv } from "../../../services/shared/env.ts";

const origins = (value: string) => readEnv(eventsEnv, { KAFKA_BROKERS: "a", CORS_ORIGINS: value }).CORS_ORIGINS;

describe("CORS_ORIGINS", () => {
  it.each(["*", "http://localhost:3001", "https://ops.example.com", "http://[::1]:3001"])("takes %s", (value) => {
    expect(origins(value)).toEqual([value]);
  });

  it("takes several", () => {
    expect(origins("https://a.example, http://b.example:81,")).toEqual(["https://a.example", "http://b.example:81"]);
  });

  // No browser sends any of these, so that the page would be refused without a word.
  it.each(["foo", "https://a.example/path", "https://a.example/", "https://A.example", "https://a.example:443", "https://u:p@a.example", "ftp://a.example", "null", "https://*.example", "https://a.example,foo"])("refuses %s", (value) => {
    expect(() => origins(value)).toThrow(/^wrong environment: CORS_ORIGINS: [^;]*scheme:\/\/host\[:port\][^;]*$/);
  });
});
