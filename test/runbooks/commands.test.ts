/** How the runbooks' commands are run, with commands that need no stack. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { bashArguments, runnableCommands, startsJava } from "./commands.ts";
import { fullStack } from "../../tools/runbooks.ts";

const exitCode = (command: string) => spawnSync("bash", bashArguments(command)).status;

describe("a command of a runbook", () => {
  test.each([
    ["true", 0],
    ["false", 1],
    ["false | tail -5", 1],
    ["no-such-program 2>&1 | grep x | tail -5", 127],
    ["echo y | grep x | tail -5", 0],
    ["echo x | grep x | tail -5", 0],
    ["echo x | grep -E '(' | tail -5", 1],
    ["echo y | grep -o 'x|y z' | sort | uniq -c", 0],
    ["echo y | grep x", 1],
    ["echo y | grep 'x z'", 1],
    ["echo x | grep x", 0],
    ["false | grep x", 1],
  ])("%s ends with %d", (command, expected) => {
    expect(exitCode(command)).toBe(expected);
  });

  test("starts Java only where it says so", () => {
    const java = runnableCommands(fullStack()).filter(startsJava);
    expect(java.length).toBeGreaterThan(5);
    for (const { command } of java) expect(command).toContain("-kafka env KAFKA_HEAP_OPTS=");
  });
});
