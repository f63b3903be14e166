import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, expect, it } from "vitest";
import { bashArguments, runnableCommands, startsJava, type RunnableCommand } from "../runbooks/commands.ts";
import { allUp } from "../support/drill.ts";
import { portOffset, root, runningSettings, stackName } from "../support/stack.ts";

const run = promisify(execFile);
/** Most of a command's time is the start of a program, on a machine that others use too. */
const limitSeconds = 120;

/** Runs one command; what is wrong with it, or nothing. */
async function faultOf({ place, command }: RunnableCommand): Promise<string[]> {
  try {
    await run("bash", bashArguments(command), { cwd: root, env: { ...process.env, STACK: stackName, PORT_OFFSET: `${portOffset}` }, timeout: limitSeconds * 1000, maxBuffer: 64 << 20 });
    return [];
  } catch (error) {
    const { killed, code, stderr, stdout } = error as { killed?: boolean; code?: number | string; stderr?: string; stdout?: string };
    const how = killed ? `not within ${limitSeconds} s` : `exit code ${code}`;
    return [`${place}: ${command}\n${how}\n${`${stderr ?? ""}\n${stdout ?? ""}`.trim().slice(0, 600)}`];
  }
}

/** Runs commands one after the other. @returns all faults */
async function lane(commands: RunnableCommand[]): Promise<string[]> {
  const faults: string[] = [];
  for (let next = commands.shift(); next !== undefined; next = commands.shift()) faults.push(...(await faultOf(next)));
  return faults;
}

// The files before this one end and begin parts of the stack.
beforeAll(() => allUp());

it("every runbook command that changes nothing works on the running stack", { timeout: 900_000 }, async () => {
  const commands = runnableCommands(await runningSettings()).filter((c) => !c.changes && c.command.trim() !== "");
  expect(commands.length).toBeGreaterThan(20);
  const java = commands.filter(startsJava);
  const others = commands.filter((c) => !startsJava(c));
  // Those in Kafka's container one at a time: its limits are the broker's, and several would run out of memory together.
  const faults = await Promise.all([lane(java), lane(others), lane(others)]);
  expect(faults.flat()).toEqual([]);
});
