/** Runs a program with the CPU and memory limits of a container, by control groups of version 1 or 2, as root on Linux. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Limits {
  /** Processors, such as 0.1. */
  readonly cpu: number;
  readonly memoryMiB: number;
}

/** What the kernel counted for everything in the group. */
export interface Usage {
  /** Most bytes at any time: anonymous memory, kernel memory of sockets, and page cache. */
  readonly peakBytes: number;
  /** Bytes now without page cache, which is given back under pressure. */
  readonly anonymousBytes: number;
  readonly cpuSeconds: number;
  /** Periods of 0.1 s in which it was stopped for having used its share. */
  readonly throttledPeriods: number;
  readonly oomKills: number;
}

export interface LimitedProcess {
  readonly child: ChildProcess;
  usage(): Usage;
  /** Ends it and removes its groups. */
  stop(): Promise<void>;
}

const root = "/sys/fs/cgroup";
const version = existsSync(join(root, "cgroup.controllers")) ? 2 : existsSync(join(root, "memory/memory.limit_in_bytes")) && existsSync(join(root, "cpu/cpu.cfs_quota_us")) ? 1 : 0;

function findReason(): string | undefined {
  if (version === 0) return "there are no control groups with CPU and memory limits";
  const probe = join(root, version === 1 ? "memory" : "", `crm-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    try {
      // Of version 2 a group has only the controllers that the group above passes on.
      if (version === 2) {
        writeFileSync(join(probe, "memory.max"), "67108864");
        writeFileSync(join(probe, "cpu.max"), "50000 100000");
      }
    } finally {
      rmdirSync(probe);
    }
    return undefined;
  } catch (error) {
    return `control groups cannot be made here (${(error as NodeJS.ErrnoException).code})`;
  }
}

/** Why nothing can be limited here, or undefined. */
export const limitsMissing: string | undefined = findReason();
if (limitsMissing !== undefined) console.warn(`skipping tests with CPU and memory limits: ${limitsMissing}`);

const read = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");
const field = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);

/** Starts a program inside new groups. @throws Error with the reason of `limitsMissing` */
export function spawnLimited(command: string, args: readonly string[], limits: Limits, env: NodeJS.ProcessEnv): LimitedProcess {
  if (limitsMissing !== undefined) throw new Error(limitsMissing);
  const name = `crm-test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  const groups = version === 1 ? ["memory", "cpu", "cpuacct"].map((controller) => join(root, controller, name)) : [join(root, name)];
  for (const group of groups) mkdirSync(group, { recursive: true });
  const [first] = groups as [string, ...string[]];
  const bytes = limits.memoryMiB * 1024 * 1024;
  if (version === 1) {
    writeFileSync(join(first, "memory.limit_in_bytes"), `${bytes}`);
    // Swap would only hide that the limit is exceeded.
    if (existsSync(join(first, "memory.memsw.limit_in_bytes"))) writeFileSync(join(first, "memory.memsw.limit_in_bytes"), `${bytes}`);
    writeFileSync(join(groups[1]!, "cpu.cfs_period_us"), "100000");
    writeFileSync(join(groups[1]!, "cpu.cfs_quota_us"), `${Math.round(limits.cpu * 100_000)}`);
  } else {
    writeFileSync(join(first, "memory.max"), `${bytes}`);
    if (existsSync(join(first, "memory.swap.max"))) writeFileSync(join(first, "memory.swap.max"), "0");
    writeFileSync(join(first, "cpu.max"), `${Math.round(limits.cpu * 100_000)} 100000`);
  }
  // A shell joins the groups and then becomes the program, so that its very start is limited too.
  const joinGroups = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join(" && ");
  const child = spawn("/bin/sh", ["-c", `${joinGroups} && exec "$@"`, "sh", command, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  process.on("exit", kill);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    child,
    usage: () => (version === 1 ? usage1(groups) : usage2(first)),
    stop: async () => {
      kill();
      await exited;
      process.off("exit", kill);
      // The CPU's two controllers often are one folder under two names.
      for (const group of groups) if (existsSync(group)) rmdirSync(group);
    },
  };
}

function usage1([memory = "", cpu = "", cpuacct = ""]: readonly string[]): Usage {
  return {
    peakBytes: Number(read(join(memory, "memory.max_usage_in_bytes"))),
    anonymousBytes: field(read(join(memory, "memory.stat")), "total_rss"),
    cpuSeconds: Number(read(join(cpuacct, "cpuacct.usage"))) / 1e9,
    throttledPeriods: field(read(join(cpu, "cpu.stat")), "nr_throttled"),
    oomKills: field(read(join(memory, "memory.oom_control")), "oom_kill"),
  };
}

function usage2(group: string): Usage {
  const stat = read(join(group, "memory.stat"));
  return {
    peakBytes: Number(read(join(group, "memory.peak"))),
    anonymousBytes: field(stat, "anon"),
    cpuSeconds: field(read(join(group, "cpu.stat")), "usage_usec") / 1e6,
    throttledPeriods: field(read(join(group, "cpu.stat")), "nr_throttled"),
    oomKills: field(read(join(group, "memory.events")), "oom_kill"),
  };
}
