/** A Pulumi project in a temporary folder that runs this repository's program, on state of its own. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stringify } from "yaml";
import { root } from "./stack.ts";

/** Why the CLI cannot be used here, or undefined. The npm wrapper does not count: it downloads. */
export function noCli(): string | undefined {
  const { status } = spawnSync("pulumi", ["version"], { env: outside() });
  return status === 0 ? undefined : "the Pulumi CLI is not on the PATH";
}

/** This environment without the packages' own programs. */
function outside(): NodeJS.ProcessEnv {
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.endsWith("node_modules/.bin"));
  return { ...process.env, PATH: path.join(delimiter) };
}

/** Output and exit code of one call of the CLI. */
export interface CliResult {
  readonly code: number;
  readonly output: string;
}

/** One stack of the program. */
export class CliStack {
  readonly folder = mkdtempSync(join(tmpdir(), "pulumi-"));
  readonly name: string;

  /** @param config plain values of the stack, without the project's prefix */
  constructor(name: string, config: Readonly<Record<string, unknown>>) {
    this.name = name;
    for (const entry of readdirSync(root)) {
      if (!entry.startsWith(".") && !/^Pulumi/.test(entry)) symlinkSync(join(root, entry), join(this.folder, entry));
    }
    cpSync(join(root, "Pulumi.yaml"), join(this.folder, "Pulumi.yaml"));
    mkdirSync(join(this.folder, "backend"));
    const values = Object.fromEntries(Object.entries(config).map(([key, value]) => [`crm-observability:${key}`, value]));
    writeFileSync(join(this.folder, `Pulumi.${name}.yaml`), stringify({ config: values }));
  }

  private env(): NodeJS.ProcessEnv {
    return { ...outside(), PULUMI_BACKEND_URL: `file://${join(this.folder, "backend")}`, PULUMI_CONFIG_PASSPHRASE: "test", PULUMI_SKIP_UPDATE_CHECK: "true" };
  }

  /** Calls the CLI on this stack. */
  async run(...args: string[]): Promise<CliResult> {
    const child = spawn("pulumi", [...args, "--stack", this.name, "--non-interactive", "--color", "never"], { cwd: this.folder, env: this.env(), stdio: ["ignore", "pipe", "pipe"] });
    return finish(child);
  }

  /** Calls the CLI on this stack and kills it, with the program and the providers, after some seconds. */
  async runAndKill(seconds: number, ...args: string[]): Promise<CliResult> {
    const child = spawn("pulumi", [...args, "--stack", this.name, "--non-interactive", "--color", "never"], { cwd: this.folder, env: this.env(), stdio: ["ignore", "pipe", "pipe"], detached: true });
    const timer = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), seconds * 1000);
    const result = await finish(child);
    clearTimeout(timer);
    return result;
  }

  async init(): Promise<CliResult> {
    const child = spawn("pulumi", ["stack", "init", this.name, "--non-interactive"], { cwd: this.folder, env: this.env(), stdio: ["ignore", "pipe", "pipe"] });
    return finish(child);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function finish(child: ReturnType<typeof spawn>): Promise<CliResult> {
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? -1, output };
}

/** Counts of the `Resources:` summary, such as `{ unchanged: 80, replaced: 1 }`. */
export function summary(output: string): Record<string, number> {
  const block = output.slice(output.lastIndexOf("Resources:"));
  return Object.fromEntries([...block.matchAll(/(\d+) (created|updated|deleted|replaced|unchanged|errored|changes|to \w+)/g)].map((m) => [m[2]!, Number(m[1])]));
}
