import { describe, expect, it } from "vitest";
import { problemOf } from "../../../services/crm-api/http/problems.ts";

const failure = (message: string, code?: string) => Object.assign(new Error(message), code === undefined ? {} : { code });

describe("a failure of the store", () => {
  it.each([
    ["terminating connection due to administrator command", "57P01"],
    ["canceling statement due to statement timeout", "57014"],
    ["could not obtain lock on row", "55P03"],
    ["terminating connection due to idle-in-transaction timeout", "25P03"],
    ["cannot execute INSERT in a read-only transaction", "25006"],
    ["could not serialize access", "40001"],
    ["deadlock detected", "40P01"],
    ["password authentication failed", "28P01"],
    ["sorry, too many clients already", "53300"],
    ["connect ECONNREFUSED 127.0.0.1:5432", "ECONNREFUSED"],
    ["Connection terminated unexpectedly", undefined],
    ["timeout exceeded when trying to connect", undefined],
    ["Client has encountered a connection error and is not queryable", undefined],
    ["Query read timeout", undefined],
  ])("that passes is a 503: %s", (message, code) => {
    expect(problemOf(failure(message, code))).toMatchObject({ status: 503, problem: { error: "unavailable" } });
  });

  it.each([
    ["duplicate key value violates unique constraint", "23505"],
    ["syntax error", "42601"],
    ["53 is a number", undefined],
  ])("that stays is a 500: %s", (message, code) => {
    expect(problemOf(failure(message, code)).status).toBe(500);
  });
});
