/**
 * What each shipped stack would deploy, as files to review: a change of the program shows here as a change of the
 * resources. After an intended one: npx vitest run --project unit test/golden -u
 */
import { rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { rendered } from "../support/render.ts";
import { summaryOf } from "./summary.ts";

/** Those of the repository: stacks that a user adds beside them are his own. */
const stacks = ["dev", "fast", "prod"];

describe("the resources of the shipped stack", () => {
  it.each(stacks)("%s are those that were last agreed on", async (stack) => {
    const { folder, resources } = await rendered(stack);
    rmSync(folder, { recursive: true, force: true });
    const text = summaryOf(resources);
    const names = Object.values(parse(text) as Record<string, string[] | object>).flatMap((section) => (Array.isArray(section) ? section : Object.keys(section)));
    expect(names.filter((name) => name !== "(all)").sort()).toEqual(resources.map((r) => r.name).sort());
    await expect(text).toMatchFileSnapshot(`./${stack}.yaml`);
  });
});
