/** A Docker engine that answers: the one that is there, or one installed and started here. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { canInstall, install } from "./debian.ts";
import { capture, onPath, run, say, step } from "./process.ts";
import { root } from "./state.ts";

/** Answer of a Docker engine about itself. */
export interface Engine {
  /** Such as `20.10.24`. */
  readonly version: string;
  /** Newest and oldest API that it speaks, such as `1.41`. */
  readonly api: string;
  readonly minApi: string;
}

/** What is tried when the engine's own defaults do not work on a machine, such as inside another container. */
interface Fallback {
  /** Found in the log of the failed start. */
  readonly symptom: RegExp;
  readonly flags: readonly string[];
  readonly consequence: string;
}

export const fallbacks: readonly Fallback[] = [
  { symptom: /iptables|nftables|nf_tables|NAT chain|ip6tables/i, flags: ["--iptables=false", "--ip6tables=false"], consequence: "containers reach each other and published ports work, but they reach nothing outside" },
  { symptom: /overlay|storage.driver|graph ?driver|snapshotter/i, flags: ["--storage-driver=vfs"], consequence: "images take more room and start more slowly" },
];

/** Seconds that a starting engine has to answer; it starts the containers of its last time first. */
const startSeconds = 300;

/** Where programs of the engine keep their process numbers, and what these processes are called. */
const pidFiles = [
  ["/var/run/docker.pid", "dockerd"],
  ["/var/run/docker/containerd/containerd.pid", "containerd"],
] as const;

/**
 * Why an engine that runs cannot be used from here.
 * @param stderr what `docker version` printed
 * @returns undefined when it says nothing of the kind, as where no engine runs
 */
export function unusable(stderr: string): string | undefined {
  const mismatch = /client version \S+ is too (?:new|old).*/.exec(stderr)?.[0];
  if (mismatch !== undefined) return `the Docker client and the engine do not work together (${mismatch}): install a client of the engine's age`;
  const socket = /dial unix (\S+): connect: permission denied/.exec(stderr)?.[1] ?? /permission denied while trying to connect .* unix:\/\/(\/\S+?)[\s:]/i.exec(`${stderr} `)?.[1];
  if (socket === undefined) return undefined;
  return `a Docker engine is there but this user may not use its socket ${socket}: add yourself to the group docker (sudo usermod -aG docker "$USER", then log in again), or use sudo`;
}

/**
 * @returns what the engine says of itself, or undefined when none answers within ten seconds
 * @throws Error when one is there that this Docker client or this user cannot talk to
 */
export async function askEngine(): Promise<Engine | undefined> {
  const { code, stdout, stderr } = await capture("docker", ["version", "--format", "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}"], { seconds: 10 });
  const problem = unusable(stderr);
  if (problem !== undefined) throw new Error(problem);
  const [version, api, minApi] = stdout.trim().split(" ");
  if (code !== 0 || version === undefined || api === undefined || minApi === undefined) return undefined;
  return { version: version.replace(/[+~-].*$/, ""), api, minApi };
}

/**
 * Makes sure that a Docker engine answers.
 * @returns the engine
 * @throws Error that says what to do, when none answers and none can be started here
 */
export async function ensureEngine(): Promise<Engine> {
  const there = await askEngine();
  if (there !== undefined) return there;
  for (const name of ["DOCKER_HOST", "DOCKER_CONTEXT"]) {
    if (process.env[name]) throw new Error(`no Docker engine answers at ${name}=${process.env[name]}: start it, or unset ${name} to use an engine on this machine`);
  }
  if (onPath("dockerd") === undefined || onPath("docker") === undefined) {
    if (!canInstall()) throw new Error("no Docker engine answers, and one is installed here only for root on Debian: start one, or set DOCKER_HOST");
    await install(["docker.io"], "a Docker engine");
  }
  if (process.getuid?.() !== 0) throw new Error("no Docker engine answers, and only root can start one: start it (systemctl start docker), or set DOCKER_HOST");
  await step("starting a Docker engine", start);
  const started = await askEngine();
  if (started === undefined) throw new Error("the Docker engine started but the docker client cannot talk to it: see docker version");
  return started;
}

async function start(): Promise<void> {
  if (existsSync("/run/systemd/system")) {
    await run("systemctl", ["start", "docker"]);
    return;
  }
  const log = join(root, ".state/dockerd.log");
  mkdirSync(join(root, ".state"), { recursive: true });
  let flags: string[] = [];
  for (let left = [...fallbacks]; ; ) {
    const output = await startDetached(flags, log);
    if (output === undefined) return;
    const next = left.find((fallback) => fallback.symptom.test(output));
    if (next === undefined) throw new Error(`no Docker engine starts here; the end of ${log}:\n${output.trim().split("\n").slice(-15).join("\n")}`);
    say(`the engine does not start with its defaults; trying ${next.flags.join(" ")}: ${next.consequence}`);
    left = left.filter((fallback) => fallback !== next);
    flags = [...flags, ...next.flags];
  }
}

/** Removes what an engine that was killed has left: a new one takes any process or thread of that number for the old one. */
function removeStalePidFiles(): void {
  for (const [file, name] of pidFiles) {
    if (!existsSync(file)) continue;
    const command = `/proc/${readFileSync(file, "utf8").trim()}/comm`;
    if (!existsSync(command) || readFileSync(command, "utf8").trim() !== name) rmSync(file, { force: true });
  }
}

/**
 * Starts dockerd so that it outlives this process.
 * @returns undefined when it answers; otherwise what it has logged before it ended
 * @throws Error when it neither answers nor ends
 */
async function startDetached(flags: readonly string[], log: string): Promise<string | undefined> {
  removeStalePidFiles();
  const before = existsSync(log) ? statSync(log).size : 0;
  const file = openSync(log, "a", 0o600);
  const daemon = spawn(onPath("dockerd") ?? "dockerd", flags, { detached: true, stdio: ["ignore", file, file] });
  let ended = false;
  daemon.on("exit", () => (ended = true)).on("error", () => (ended = true));
  daemon.unref();
  for (const end = Date.now() + startSeconds * 1000; Date.now() < end && !ended; ) {
    if ((await askEngine()) !== undefined) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  if (!ended) {
    daemon.kill("SIGTERM");
    throw new Error(`the Docker engine does not answer within ${startSeconds} s: see ${log}`);
  }
  return errorsOf(readFileSync(log).subarray(before).toString("utf8"));
}

/** The lines that say why, or all of them when none does: informational lines name drivers and tables too. */
function errorsOf(text: string): string {
  const lines = text.split("\n").filter((line) => /level=(error|fatal)|failed to start daemon|^panic/.test(line));
  return lines.length > 0 ? lines.join("\n") : text;
}
