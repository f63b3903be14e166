/** Waits until every program of a stack is healthy, with a line whenever something changes. */
import { run, say } from "../airgap/process.ts";

/** State of one container. */
export interface PartState {
  readonly name: string;
  /** `healthy`, `starting`, `unhealthy`, `exited (1)`, … */
  readonly state: string;
}

/**
 * States of a stack's programs, loaders left out.
 * @param prefix such as `crm-dev`
 */
export async function states(prefix: string): Promise<PartState[]> {
  const ids = (await run("docker", ["ps", "--all", "--quiet", "--filter", `label=crm.stack=${prefix}`])).split("\n").filter((id) => id !== "");
  if (ids.length === 0) return [];
  const format = "{{.Name}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.State.ExitCode}}";
  const lines = (await run("docker", ["inspect", "--format", format, ...ids])).trim().split("\n");
  return lines
    .map((line) => line.split("|") as [string, string, string, string])
    .filter(([name]) => !name.endsWith("-loader"))
    .map(([name, status, health, code]) => ({ name: name.slice(prefix.length + 2), state: status === "running" ? health || "running" : `${status} (${code})` }));
}

const well = (part: PartState) => part.state === "healthy";

/** Whether all `expected` programs are there and healthy. */
export async function allHealthy(prefix: string, expected: readonly string[]): Promise<boolean> {
  const now = new Map((await states(prefix)).map((part) => [part.name, part]));
  return expected.every((name) => now.has(name) && well(now.get(name)!));
}

/**
 * Waits for all `expected` programs.
 * @throws Error after `seconds`, naming those that are not healthy and the last lines that each of them logged
 */
export async function waitHealthy(prefix: string, expected: readonly string[], seconds: number): Promise<void> {
  let shown = "";
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const now = (await states(prefix)).filter((part) => expected.includes(part.name));
    const left = expected.filter((name) => !now.some((part) => part.name === name && well(part)));
    if (left.length === 0) return;
    const line = `${expected.length - left.length} of ${expected.length} healthy; waiting for ${left.join(", ")}`;
    if (line !== shown) say((shown = line));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const failed = (await states(prefix)).filter((part) => expected.includes(part.name) && !well(part));
  const reports = await Promise.all(failed.map(async (part) => `${part.name} is ${part.state}:\n${await tail(`${prefix}-${part.name}`)}`));
  throw new Error(`not healthy after ${seconds} s\n${reports.join("\n") || "containers are missing"}`);
}

const tail = (container: string, lines = 10) => run("sh", ["-c", 'docker logs --tail "$2" "$1" 2>&1', "sh", container, String(lines)]);

/** Names of a stack's loaders, and what the engine says of each, such as `Exited (0) 2 minutes ago`. */
async function loaders(prefix: string): Promise<[name: string, status: string][]> {
  const lines = (await run("docker", ["ps", "--all", "--format", "{{.Names}}|{{.Status}}", "--filter", `label=crm.stack=${prefix}`])).split("\n");
  return lines.map((line) => line.split("|")).map(([name = "", status = ""]): [string, string] => [name, status]).filter(([name]) => name.endsWith("-loader"));
}

/** Names of the loaders that did not end well, or were never started. */
export async function failedLoaders(prefix: string): Promise<string[]> {
  return (await loaders(prefix)).filter(([, status]) => !status.startsWith("Exited (0)")).map(([name]) => name);
}

/** What each loader that has failed said, under its name; Compose itself prints a code at most. */
export async function loaderReports(prefix: string): Promise<string[]> {
  const names = (await loaders(prefix)).map(([name]) => name);
  if (names.length === 0) return [];
  const codes = (await run("docker", ["inspect", "--format", "{{.State.ExitCode}} {{.State.Error}}", ...names])).split("\n");
  const failed = names.map((name, i) => ({ name, state: (codes[i] ?? "0").trim() })).filter(({ state }) => !/^0(\s|$)/.test(state));
  return Promise.all(failed.map(async ({ name, state }) => `${name} ended with code ${state}:\n${(await tail(name, 50)).trimEnd()}`));
}
