/** Every rule case against the real Prometheus engine. */
import { describe, expect, it } from "vitest";
import { fastCases, fastGroups } from "./cases/fast.ts";
import { allCases } from "./cases/index.ts";
import { findPromtool, runCases } from "./support/promtool.ts";

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);

describe.skipIf("missing" in promtool)("rules under promtool", () => {
  const program = "program" in promtool ? promtool.program : "";
  it.concurrent.each([...Map.groupBy(allCases, (c) => c.rule)])("%s", { timeout: 600_000 }, async (_rule, cases) => {
    expect(await runCases(program, cases)).toBe("");
  });

  it.concurrent.each([...Map.groupBy(fastCases, (c) => c.rule)])("%s in the fast profile", { timeout: 600_000 }, async (_rule, cases) => {
    expect(await runCases(program, cases, fastGroups)).toBe("");
  });
});
