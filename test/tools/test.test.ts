import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

it("refuses a step that does not exist, instead of running nothing and calling that a success", () => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["tools/test.ts", "--only", "integration"], { cwd: fileURLToPath(new URL("../..", import.meta.url)), encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toBe("--only integration: there is no such step; the steps are types, lint, unit, programs, waiting, real, e2e\n");
});
