/** Looks for canaries in everything that a running stack shows, and in every file of its containers but their secret files. */
import { spawn } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { secretsDir } from "../../components/topology.ts";
import { until } from "../support/stack.ts";
import { keysIn, traces } from "./canaries.ts";

interface Container {
  readonly Name: string;
  readonly State: { readonly Running: boolean };
  readonly HostConfig: { readonly Tmpfs?: Readonly<Record<string, string>> | null };
  readonly Mounts: readonly { readonly Destination: string }[];
}

/** Output and errors of a call of Docker's client, whatever its exit code. */
async function docker(args: readonly string[], input = ""): Promise<string> {
  const child = spawn("docker", args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}).end(input);
  return (await Promise.all([buffer(child.stdout), buffer(child.stderr)])).map((b) => b.toString("latin1")).join("");
}

const list = async (...args: string[]) => (await docker(args)).split("\n").filter(Boolean);

/** Names of a stack's containers, loaders included. */
export const containersOf = (prefix: string): Promise<string[]> => list("ps", "--all", "--format", "{{.Names}}", "--filter", `label=crm.stack=${prefix}`);

/** Files below folders of a running container that have a canary. */
const filesWithTraces = async (container: string, folders: readonly string[]) =>
  (await docker(["exec", "-i", container, "grep", "-rlFf", "/dev/stdin", ...folders], traces.join("\n"))).split("\n").filter((line) => folders.some((folder) => line.startsWith(folder)));

/** Files outside the image: mounted folders and memory, without the secret files. What was uploaded to a loader is in its stage. */
async function filesOf({ Name, State, Mounts, HostConfig }: Container): Promise<string[]> {
  const container = Name.slice(1);
  // Compose mounts the rendered secret files there instead, from a folder that only its owner can read.
  if (container.endsWith("-loader") && Mounts.some((m) => m.Destination.startsWith("/stage"))) return [];
  if (container.endsWith("-loader")) return keysIn(await docker(["cp", `${container}:/stage`, "-"])).map((key) => `${key} in the stage of ${container}`);
  if (!State.Running) return [];
  const folders = [...Mounts.map((m) => m.Destination), ...Object.keys(HostConfig.Tmpfs ?? {})].filter((folder) => folder !== secretsDir);
  return folders.length === 0 ? [] : (await filesWithTraces(container, folders)).map((file) => `${file} of ${container}`);
}

/**
 * @param prefix such as `crm-dev`
 * @param pages addresses whose answers are searched too
 * @returns places where a canary stands, each with its key
 */
export async function leaksOf(prefix: string, pages: readonly string[]): Promise<string[]> {
  const names = await containersOf(prefix);
  const inspected = JSON.parse(await docker(["inspect", ...names])) as Container[];
  const texts: Record<string, string> = {};
  for (const each of inspected) texts[`inspect ${each.Name}`] = JSON.stringify(each);
  for (const name of names) texts[`log of ${name}`] = await docker(["logs", name]);
  for (const kind of ["volume", "network"]) texts[`${kind}s`] = await docker([kind, "inspect", ...(await list(kind, "ls", "--format", "{{.Name}}")).filter((name) => name.startsWith(`${prefix}-`))]);
  for (const { Name } of inspected.filter((c) => c.State.Running)) texts[`processes of ${Name}`] = await docker(["top", Name.slice(1), "-eo", "pid,args"]);
  for (const page of pages) texts[page] = await (await fetch(page)).text();
  const shown = Object.entries(texts).flatMap(([place, text]) => keysIn(text).map((key) => `${key} in ${place}`));
  return [...shown, ...(await Promise.all(inspected.map(filesOf))).flat()];
}

/** Whether a search of files finds what is there: the secret files of one program. */
export const secretFilesFound = async (container: string): Promise<string[]> => (await filesWithTraces(container, [secretsDir])).map((file) => file.slice(secretsDir.length + 1)).sort();

/**
 * Has Alertmanager use all that it has, at addresses where nobody answers, and waits until each has failed and is logged.
 * @param alertmanager its address
 */
export async function notifyInVain(alertmanager: string): Promise<void> {
  const endsAt = new Date(Date.now() + 300_000).toISOString();
  const alert = (alertname: string, severity: string) => ({ labels: { alertname, team: "crm", service: "drill", severity }, annotations: { summary: "a canary" }, endsAt });
  const body = JSON.stringify([alert("Canary", "critical"), alert("Watchdog", "none")]);
  await fetch(`${alertmanager}/api/v2/alerts`, { method: "POST", headers: { "content-type": "application/json" }, body });
  await until("a failure of each receiver", 120, async () => {
    const metrics = await (await fetch(`${alertmanager}/metrics`)).text();
    const failed = (integration: string) => new RegExp(`^alertmanager_notification_requests_failed_total\\{integration="${integration}"[^}]*\\} [1-9]`, "m").test(metrics);
    return ["slack", "pagerduty", "email", "webhook"].every(failed);
  });
}
