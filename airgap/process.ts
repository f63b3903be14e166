/** Running other programs, with progress lines on standard error so that standard output stays for results. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** What a program left behind. */
export interface Outcome {
  /** Exit code; -1 when it could not be started, was killed, or ran out of time. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Text for standard input; none by default. */
  readonly input?: string;
  /** Seconds until the program is killed; default: no limit. */
  readonly seconds?: number;
}

/** Lines of a failed program's output that an error repeats. */
const shownLines = 25;

/** Prints one progress line. */
export function say(line: string): void {
  process.stderr.write(`airgap: ${line}\n`);
}

/** Runs a program and returns what it printed, whatever its exit code. Never throws. */
export function capture(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    const limit = options.seconds === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), options.seconds * 1000);
    const end = (code: number) => {
      clearTimeout(limit);
      resolve({ code, stdout, stderr });
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", (error) => {
      stderr += error.message;
      end(-1);
    });
    child.on("close", (code) => end(code ?? -1));
    // A program that ends without reading its input is not an error of its own.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
  });
}

/**
 * Runs a program that must succeed.
 * @returns its standard output
 * @throws Error with the command and the last lines that it printed
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await capture(command, args, options);
  if (code === 0) return stdout;
  const last = `${stdout}\n${stderr}`.trim().split("\n").slice(-shownLines).join("\n");
  throw new Error(`${[command, ...args].join(" ").slice(0, 300)}: exit code ${code}\n${last}`);
}

/**
 * Does something long, with a line at its start, one each half minute, and one with the seconds it took.
 * @param title what is being done, such as `prometheus: building`
 */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const seconds = () => Math.round((Date.now() - start) / 1000);
  say(`${title} ...`);
  const beat = setInterval(() => say(`${title} ... ${seconds()} s`), 30_000);
  try {
    const result = await work();
    say(`${title}: done in ${seconds()} s`);
    return result;
  } finally {
    clearInterval(beat);
  }
}

/** @returns the path of a program on the PATH, or undefined. */
export function onPath(program: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  // Service programs live where an ordinary user's PATH does not look.
  return [...folders, "/usr/sbin", "/sbin"].map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
