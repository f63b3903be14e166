/** Processes on cores of their own, what they have used, and what a report says of the machine. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

/** Whether processes can be pinned to cores here. */
export const canPin = ((): boolean => {
  try {
    execFileSync("taskset", ["-pc", `${process.pid}`], { stdio: "ignore" });
    return cpus().length > 1;
  } catch {
    return false;
  }
})();

/** Moves this process to a core. */
export function pinSelf(core: number): void {
  if (canPin) execFileSync("taskset", ["-apc", `${core}`, `${process.pid}`], { stdio: "ignore" });
}

/** Starts a program on a core. */
export function spawnOn(core: number, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const [program, ...rest] = canPin ? ["taskset", "-c", `${core}`, command, ...args] : [command, ...args];
  const child = spawn(program!, rest, { env, stdio: ["ignore", "pipe", "inherit"] });
  const kill = () => void child.kill("SIGKILL");
  process.on("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  return child;
}

/** First line that a child writes, as JSON. @throws Error when it ends before */
export function firstLine<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      const end = text.indexOf("\n");
      if (end !== -1) resolve(JSON.parse(text.slice(0, end)) as T);
    });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}

/** CPU seconds that a process has used, user and system. */
export function cpuSeconds(pid: number): number {
  // Behind the name in brackets, which may hold spaces: fields 14 and 15 in ticks of 10 ms.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Bytes of memory of a process that are its own, without the pages of program files. */
export function ownMemory(pid: number): number {
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** One line for a report. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return `${model}, ${cpus().length} cores seen, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}${canPin ? "" : "; processes were not pinned to cores"}`;
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** `median (least to most)`. */
export function spread(values: readonly number[], show: (value: number) => string): string {
  return values.length === 1 ? show(values[0]!) : `${show(median(values))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`;
}

/** What a report says of the figures that `spread` shows, as the beginning of a sentence. */
export const ofRounds = (rounds: number): string => (rounds === 1 ? "One round" : `Median and range of ${rounds} rounds`);

/** Value below which a share of sorted values lies. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
