/** The running `fast` stack as the end-to-end tests see it: its addresses, its engine, and waiting for things to become true. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readStack } from "../../components/settings/read.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { parts, type PartName } from "../../components/topology.ts";
import { fileSource } from "../../components/settings/stack-files.ts";
import { offlineRegistry } from "../../airgap/base.ts";
import { offlineOverrides } from "../../tools/images.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));
/** The stack that the tests drive; another one beside it by E2E_STACK, with its `portOffset`. */
export const stackName = process.env.E2E_STACK ?? "fast";
export const portOffset = Number(process.env.E2E_PORT_OFFSET ?? 20_000);
export const prefix = `crm-${stackName}`;
const execute = promisify(execFile);

/** Runs a program; its output, or an error with what it printed. */
export async function command(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, { cwd: root, maxBuffer: 64 << 20 });
  return stdout;
}

export const docker = (...args: string[]): Promise<string> => command("docker", ...args);

/** Settings of the stack as it runs: with or without what cannot be had offline. */
export async function runningSettings(overrides: Record<string, unknown> = {}): Promise<Settings> {
  const image = (await docker("inspect", "--format", "{{.Config.Image}}", `${prefix}-prometheus`)).trim();
  const offline = image.startsWith(offlineRegistry) ? offlineOverrides : {};
  return readStack(fileSource(root, stackName, { ...offline, ...overrides })).settings;
}

/** Address of a published part on this machine. */
export const at = (part: PartName, path = ""): string => `http://127.0.0.1:${parts[part].port + portOffset}${path}`;

/** GET that expects JSON. @throws Error with status and body when the answer is not 2xx */
export async function getJson<T = any>(url: string): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${(await response.text()).slice(0, 300)}`);
  return (await response.json()) as T;
}

/** POST of JSON that expects 2xx. */
export async function postJson<T = any>(url: string, body: unknown = {}): Promise<T> {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${(await response.text()).slice(0, 300)}`);
  return (await response.json()) as T;
}

/** One sample of an instant query. */
export interface Sample {
  readonly metric: Record<string, string>;
  readonly value: [number, string];
}

export const query = async (expr: string): Promise<Sample[]> => (await getJson(at("prometheus", `/api/v1/query?query=${encodeURIComponent(expr)}`))).data.result;

/** A message of the Slack inbox. */
export interface SlackMessage {
  readonly id: number;
  readonly at: string;
  readonly channel: string;
  readonly payload: { text?: string; attachments?: { title?: string; text?: string; color?: string; title_link?: string; actions?: { text: string; url: string }[] }[] };
}

export const inbox = async (): Promise<SlackMessage[]> => (await getJson(at("slack-standin", "/messages"))).messages;
export const emptyInbox = async (): Promise<void> => void (await fetch(at("slack-standin", "/messages"), { method: "DELETE" }));

/** Everything that a message says, as one text. */
export const textOf = (m: SlackMessage): string => JSON.stringify(m.payload);
/** `FIRING` or `RESOLVED` messages that name an alert. */
export const messagesOf = async (alert: string, state: "FIRING" | "RESOLVED"): Promise<SlackMessage[]> =>
  (await inbox()).filter((m) => m.payload.attachments?.some((a) => a.title?.includes(`[${state}`) && `${a.title} ${a.text}`.includes(alert)));

export const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/**
 * Waits until `test` gives something truthy; errors count as not yet.
 * @param seconds limit
 * @throws Error that names `what`, with the last answer or error
 */
export async function until<T>(what: string, seconds: number, test: () => Promise<T>): Promise<NonNullable<T>> {
  let last: unknown;
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(0.5)) {
    try {
      const answer = await test();
      if (answer) return answer as NonNullable<T>;
      last = answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: not within ${seconds} s (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
}

/** Starts or updates the stack, as `make up` does. @returns exit code and output */
export async function up(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, ["tools/up.ts", stackName, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? -1, output };
}

/** Starts an update and kills it, with all that it has started, once `when` holds. */
export async function upAndKill(when: () => Promise<boolean>, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, ["tools/up.ts", stackName, ...args], { cwd: root, stdio: "ignore", detached: true });
  const ended = once(child, "close");
  try {
    await until("the moment to kill the update", 120, when);
  } finally {
    if (child.exitCode === null) process.kill(-child.pid!, "SIGKILL");
    await ended;
  }
}

/** When a container was last started. */
export const startedAt = async (part: string): Promise<string> => (await docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", `${prefix}-${part}`)).trim();
