/** Judges of API objects that need no cluster: the API's own schemas, and the API server's own Pod Security checks. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** An API object. */
export type Manifest = Record<string, unknown>;

/** What a judge looked at, and what it refused. */
export interface Verdict {
  readonly checked: readonly string[];
  /** `object: reason`, one each. */
  readonly problems: readonly string[];
}

/** A judge, or the reason why there is none on this machine. */
export type Judge = ((objects: readonly Manifest[]) => Verdict) | string;

/** The judge; where there is none, the running test is skipped with the reason, which is printed. */
export function orSkip(judge: Judge, test: { skip(note?: string): never }): Exclude<Judge, string> {
  if (typeof judge !== "string") return judge;
  console.warn(`skipped: ${judge}`);
  return test.skip(judge);
}

const here = fileURLToPath(new URL(".", import.meta.url));
/** Kept between runs, outside of version control. */
const tools = fileURLToPath(new URL("../../.state/test-tools/", import.meta.url));

/**
 * The schemas of a Kubernetes version, from the Python package kubernetes-validate in an environment of its own.
 * @param version such as `1.37`
 */
export function schemaJudge(version: string): Judge {
  const python = pythonWithSchemas();
  if (!python.ok) return python.reason;
  return (objects) => {
    const found = ask<{ version: string; checked: string[]; problems: { object: string; message: string }[] }>(python.path, [join(here, "kubernetes-schema", "validate.py")], { version, objects });
    if (found.version !== version) throw new Error(`the schemas are of Kubernetes ${found.version}, not ${version}`);
    return { checked: found.checked, problems: found.problems.map((p) => `${p.object}: ${p.message}`) };
  };
}

/** Pod Security "restricted", by the checks that the API server runs, compiled with the Go on the PATH. */
export function podSecurityJudge(): Judge {
  const source = join(here, "pod-security");
  const binary = join(tools, "pod-security");
  if (run("go", ["version"], source).status !== 0) return "there is no go on the PATH";
  mkdirSync(tools, { recursive: true });
  // Go itself decides whether anything must be compiled again.
  const built = run("go", ["build", "-o", binary, "."], source);
  if (built.status !== 0) return `the Pod Security checks cannot be built: ${lastLine(built.stderr)}`;
  return (objects) => {
    const found = ask<{ evaluated: string[]; violations: { object: string; reason: string; detail: string }[] }>(binary, [], objects);
    return { checked: found.evaluated, problems: found.violations.map((v) => `${v.object}: ${v.reason} (${v.detail})`) };
  };
}

type Python = { ok: true; path: string } | { ok: false; reason: string };

function pythonWithSchemas(): Python {
  const folder = join(tools, "kubernetes-validate");
  const path = join(folder, "bin", "python");
  if (existsSync(path) && run(path, ["-c", "import kubernetes_validate"]).status === 0) return { ok: true, path };
  mkdirSync(tools, { recursive: true });
  const made = run("python3", ["-m", "venv", "--clear", folder]);
  if (made.status !== 0) return { ok: false, reason: `there is no python3 with venv: ${lastLine(made.stderr || made.stdout)}` };
  const requirements = join(here, "kubernetes-schema", "requirements.txt");
  const installed = run(path, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  if (installed.status !== 0) return { ok: false, reason: `the schemas cannot be installed: ${lastLine(installed.stderr)}` };
  return { ok: true, path };
}

function ask<T>(command: string, args: readonly string[], request: unknown): T {
  const answer = run(command, args, undefined, JSON.stringify(request));
  if (answer.status !== 0) throw new Error(`${command} failed: ${answer.stderr}`);
  return JSON.parse(answer.stdout) as T;
}

function run(command: string, args: readonly string[], cwd?: string, input?: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024, timeout: 550_000 });
  return { status, stdout: stdout ?? "", stderr: stderr ?? "" };
}

const lastLine = (text: string) => text.trim().split("\n").at(-1) ?? "";
