/** Disturbs the running `fast` stack with nothing but the Docker client, and puts it right again. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { partsOf, replicaNames, replicasOf, type PartName } from "../../components/topology.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { waitHealthy } from "../../tools/health.ts";
import { at, docker, getJson, prefix, query, until } from "./stack.ts";

/** Name of a part's container; replicas are `crm-events-1` and so on. */
export const container = (part: string): string => `${prefix}-${part}`;

const network = `${prefix}-backend`;

export const stop = (part: string): Promise<string> => docker("stop", "--time", "10", container(part));
export const start = (part: string): Promise<string> => docker("start", container(part));
export const restart = (part: string): Promise<string> => docker("restart", "--time", "10", container(part));

/** Runs a client with text on its standard input. @returns its output. @throws Error with what it printed */
export async function dockerInput(input: string, ...args: string[]): Promise<string> {
  const child = spawn("docker", args, { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`docker ${args.slice(0, 4).join(" ")} … ended with ${code}: ${output.slice(-600)}`);
  return output;
}

const isConnected = async (part: string) => network in (JSON.parse(await docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container(part))) as object);

/** Takes a published part off the stack's inner network: its peers cannot reach it, Prometheus still scrapes it through the outer one. */
export async function cutOff(part: string): Promise<void> {
  await docker("network", "disconnect", network, container(part));
}

/** Undoes `cutOff`; does nothing when the part is connected. */
export async function reconnect(part: string): Promise<void> {
  if (await isConnected(part)) return;
  const names = new Set([part, part.replace(/-\d+$/, "")]);
  await docker("network", "connect", ...[...names].flatMap((name) => ["--alias", name]), network, container(part));
}

/** Starts whatever does not run, connects whatever is cut off, and waits until all is healthy. */
export async function putRight(s: Settings): Promise<void> {
  const names = partsOf(s).flatMap((part) => replicaNames(part, replicasOf(s, part)));
  for (const name of names) await reconnect(name);
  await docker("start", ...names.map(container));
  await waitHealthy(prefix, names, 180);
}

/** Asks a part that is not published, from inside its own container. @returns the answer as text */
export async function askInside(part: PartName, method: "GET" | "POST" | "DELETE", url: string, body?: unknown): Promise<string> {
  const script = `const r = await fetch(process.argv[1], { method: process.argv[2], ...(process.argv[3] ? { headers: { "content-type": "application/json" }, body: process.argv[3] } : {}) }); const text = await r.text(); console.log(text); if (!r.ok) process.exit(1)`;
  return docker("exec", container(part), "node", "--input-type=module", "-e", script, url, method, ...(body === undefined ? [] : [JSON.stringify(body)]));
}

/** Starts or stops one of the simulator's scenarios. */
export async function scenario(name: string, on: boolean, body?: object): Promise<void> {
  const response = await fetch(at("simulator", `/scenarios/${name}`), { method: on ? "POST" : "DELETE", ...(body ? { body: JSON.stringify(body) } : {}) });
  if (!response.ok) throw new Error(`scenario ${name}: ${response.status} ${await response.text()}`);
}

/** Makes the Slack stand-in answer the next webhook requests wrongly. */
export async function slackFault(mode: "ok" | "429" | "500", count = 1): Promise<void> {
  const response = await fetch(at("slack-standin", "/faults"), { method: "POST", body: JSON.stringify({ mode, count }) });
  if (!response.ok) throw new Error(`fault ${mode}: ${response.status} ${await response.text()}`);
}

/**
 * Starts Prometheus on an empty storage, as after the loss of its disk: windows of minutes then hold what happened from now
 * on, and alerts that look back at earlier disturbances are over.
 * @param meanwhile is done while it is stopped
 */
export async function freshPrometheus(meanwhile?: () => Promise<void>): Promise<void> {
  const name = container("prometheus");
  const image = (await docker("inspect", "--format", "{{.Config.Image}}", name)).trim();
  await stop("prometheus");
  await docker("run", "--rm", "--user", "65534", "--volume", `${prefix}-prometheus-data:/data`, "--entrypoint", "/bin/sh", image, "-c", "find /data -mindepth 1 -delete");
  await meanwhile?.();
  await start("prometheus");
  await until("Prometheus evaluates its rules", 90, async () => (await query('ALERTS{alertname="Watchdog"}')).length > 0);
}

/** Waits until every scrape target answers. */
export async function allUp(seconds = 120): Promise<void> {
  await until("all targets up", seconds, async () => {
    const active = (await getJson(at("prometheus", "/api/v1/targets"))).data.activeTargets as { health: string; labels: Record<string, string>; lastError: string }[];
    const bad = active.filter((t) => t.health !== "up");
    if (bad.length > 0) throw new Error(bad.map((t) => `${t.labels.job} ${t.labels.instance} ${t.health}`).join(", "));
    return active.length > 0;
  });
}
