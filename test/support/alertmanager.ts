/** A real Alertmanager on a free port with the stack's own configuration in quick time, and a Slack that a test can maltreat. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureTool } from "../../airgap/tools.ts";
import type { Labels } from "../../rules/types.ts";
import { freePort } from "./prometheus.ts";

/** An alert as Alertmanager's API shows it. */
export interface SeenAlert {
  readonly labels: Labels;
  readonly receivers: readonly { readonly name: string }[];
  readonly status: { readonly state: "active" | "suppressed" | "unprocessed"; readonly inhibitedBy: readonly string[] };
  readonly fingerprint: string;
}

export interface TestAlertmanager {
  readonly url: string;
  /** Posts firing alerts, or resolved ones. Annotations are the same for all. */
  post(alerts: readonly Labels[], options?: { readonly resolved?: boolean; readonly annotations?: Labels }): Promise<void>;
  /** Alerts that it knows. */
  alerts(): Promise<SeenAlert[]>;
  /** Groups with their labels, receiver and the fingerprints of their alerts. */
  groups(): Promise<{ readonly labels: Labels; readonly receiver: { readonly name: string }; readonly alerts: readonly SeenAlert[] }[]>;
  /** Ends it (`SIGKILL` when `hard`) and starts it again on the same port and data. */
  restart(hard?: boolean): Promise<void>;
  /** Ends it and keeps its data. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Asks it to load its configuration again. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

/** Path of the program, or why there is none. */
export async function findAlertmanager(): Promise<{ program: string } | { missing: string }> {
  try {
    return { program: await ensureTool("alertmanager") };
  } catch (error) {
    return { missing: (error as Error).message };
  }
}

/** Group, wait and repeat times of the standard profile and what stands for them here; the order of times stays. */
const quickTimes: Readonly<Record<string, string>> = { "0s": "0s", "30s": "2s", "50s": "900ms", "1m": "1s", "2m": "2s", "5m": "3s", "2h": "1m", "4h": "2m" };

/** `alertmanager.yml` in quick time, its secret files in `secrets`. */
export const quick = (yaml: string, secrets: string): string =>
  yaml.replaceAll("/run/secrets/crm", secrets).replace(/(group_wait|group_interval|repeat_interval): (\w+)/g, (_, key: string, time: string) => `${key}: ${quickTimes[time] ?? time}`);

/**
 * Starts Alertmanager.
 * @param files its configuration folder, with `alertmanager.yml`, times as rendered
 * @param secrets content by file name
 * @param args further flags; it is alone unless they name an address for a cluster
 */
export async function startAlertmanager(program: string, files: Readonly<Record<string, string>>, secrets: Readonly<Record<string, string>>, args: readonly string[] = []): Promise<TestAlertmanager> {
  const folder = mkdtempSync(join(tmpdir(), "alertmanager-"));
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, path === "alertmanager.yml" ? quick(text, join(folder, "secrets")) : text);
  for (const [name, text] of Object.entries(secrets)) write(`secrets/${name}`, text);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const command = [`--config.file=${folder}/alertmanager.yml`, `--storage.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`, ...(args.some((arg) => arg.startsWith("--cluster.listen-address=")) ? [] : ["--cluster.listen-address="]), ...args];
  let process: ChildProcess | undefined;
  const start = async () => void (process = await launched(program, command, url));
  const kill = async (hard = true) => {
    if (process) await ended(process, hard ? "SIGKILL" : "SIGTERM");
    process = undefined;
  };
  await start();
  return {
    url,
    ...api(url),
    start,
    kill,
    restart: async (hard = false) => {
      await kill(hard);
      await start();
    },
    reload: async () => {
      const answer = await fetch(`${url}/-/reload`, { method: "POST" });
      if (!answer.ok) throw new Error(await answer.text());
    },
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function api(url: string): Pick<TestAlertmanager, "post" | "alerts" | "groups"> {
  // An alert keeps the time at which it began, as with Prometheus: one that is older than the group wait is sent at once.
  const began = new Map<string, string>();
  return {
    post: async (alerts, { resolved = false, annotations = {} } = {}) => {
      const now = new Date().toISOString();
      const body = alerts.map((labels) => {
        const name = JSON.stringify(labels);
        const startsAt = began.get(name) ?? now;
        if (resolved) began.delete(name);
        else began.set(name, startsAt);
        return { labels, annotations, startsAt, ...(resolved ? { endsAt: now } : {}) };
      });
      const answer = await fetch(`${url}/api/v2/alerts`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(await answer.text());
    },
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts`)).json()) as SeenAlert[],
    groups: async () => (await (await fetch(`${url}/api/v2/alerts/groups`)).json()) as Awaited<ReturnType<TestAlertmanager["groups"]>>,
  };
}

async function launched(program: string, args: readonly string[], url: string): Promise<ChildProcess> {
  const process = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  process.stderr!.on("data", (chunk: Buffer) => (log = (log + chunk).slice(-4000)));
  for (let tries = 0; tries < 150 && process.exitCode === null; tries++) {
    const ready = await fetch(`${url}/-/ready`).then((r) => r.ok, () => false);
    if (ready) return process;
    await sleep(100);
  }
  await ended(process, "SIGKILL");
  throw new Error(`Alertmanager did not become ready:\n${log}`);
}

async function ended(process: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exit = once(process, "exit");
  process.kill(signal);
  await exit;
}

/** How the test's Slack answers a request. */
export type SlackAnswer = "ok" | "500" | "429" | "404" | "hang" | "reset" | "invalid_token";

/** A message as it came in. */
export interface SlackMessage {
  readonly at: number;
  readonly path: string;
  readonly attachment: { readonly title: string; readonly title_link: string; readonly text: string; readonly fallback: string; readonly color: string };
  readonly answer: SlackAnswer;
}

export interface TestSlack {
  readonly url: string;
  /** Every request so far, the refused ones too. */
  readonly requests: SlackMessage[];
  /** Requests that were answered well. */
  delivered(): SlackMessage[];
  /** Answers for the next requests, then `ok` again. */
  misbehave(...answers: SlackAnswer[]): void;
  /** Waits until that many messages are delivered. @throws Error after `seconds` */
  wait(count: number, seconds?: number): Promise<SlackMessage[]>;
  stop(): Promise<void>;
}

/** A Slack that remembers what it got. */
export async function startSlack(): Promise<TestSlack> {
  const requests: SlackMessage[] = [];
  let faults: SlackAnswer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const payload = JSON.parse(Buffer.concat(chunks).toString()) as { attachments?: SlackMessage["attachment"][] };
      const answer = faults.shift() ?? "ok";
      requests.push({ at: Date.now(), path: request.url!, attachment: payload.attachments?.[0] ?? { title: "", title_link: "", text: "", fallback: "", color: "" }, answer });
      respond(response, answer);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const delivered = () => requests.filter((r) => r.answer === "ok");
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    requests,
    delivered,
    misbehave: (...answers) => void (faults = answers),
    wait: async (count, seconds = 20) => {
      const end = Date.now() + seconds * 1000;
      while (delivered().length < count) {
        if (Date.now() > end) throw new Error(`${delivered().length} of ${count} messages came: ${delivered().map((m) => m.attachment.title).join(", ")}`);
        await sleep(50);
      }
      return delivered();
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function respond(response: ServerResponse, answer: SlackAnswer): void {
  if (answer === "hang") return;
  if (answer === "reset") return void response.socket!.resetAndDestroy();
  const status = { ok: 200, invalid_token: 200, "500": 500, "429": 429, "404": 404 }[answer];
  response.writeHead(status, { "content-type": "text/html", ...(answer === "429" ? { "retry-after": "1" } : {}) }).end(answer);
}
