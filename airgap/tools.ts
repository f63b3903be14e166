/** Prometheus' programs and checkers, from the PATH or built from their Go modules. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { modules, programs, type GoModule, type ModuleName, type ToolName } from "./go-modules.ts";
import { capture, onPath, run, step } from "./process.ts";
import { digest, once, stateFolder } from "./state.ts";

export type { ToolName } from "./go-modules.ts";

/** @returns digest of all that decides what is built from a module. */
export function moduleInputs(name: ModuleName): string {
  const { path, version, tags, added }: GoModule = modules[name];
  const files = Object.entries(added).flatMap(([file, content]) => [file, Buffer.from(content).toString("base64")]);
  return digest(path, version, tags.join(","), ...files);
}

/**
 * Finds a program, or builds it when it is missing.
 * @param name such as `promtool` or `amtool`
 * @returns the path of a program on the PATH of at least the stack's version and the same major version, else of one
 *   below the state folder
 * @throws Error when there is no Go, or the build fails
 */
export async function ensureTool(name: ToolName): Promise<string> {
  const there = onPath(name);
  if (there !== undefined && (await isGoodEnough(there, modules[programs[name].module].release))) return there;
  return await buildTool(name);
}

async function isGoodEnough(program: string, wanted: string): Promise<boolean> {
  const { stdout, stderr } = await capture(program, ["--version"], { seconds: 10 });
  const version = /version v?(\d+\.\d+\.\d+)/.exec(`${stdout}${stderr}`)?.[1];
  if (version === undefined || version.split(".")[0] !== wanted.split(".")[0]) return false;
  return version.localeCompare(wanted, "en", { numeric: true }) >= 0;
}

/**
 * Builds one program, as one static file.
 * @returns its path below the state folder
 * @throws Error when there is no Go, or the build fails
 */
export async function buildTool(name: ToolName): Promise<string> {
  const { module, package: source } = programs[name];
  return await once(`bin/${name}`, digest(moduleInputs(module), source), async (path) => {
    if (onPath("go") === undefined) throw new Error(`${name} is built from its Go module: install Go 1.26 or newer, or put ${name} ${modules[module].release} on the PATH`);
    const folder = await moduleSource(module);
    await step(`${name} ${modules[module].release}: building`, () => goBuild(folder, modules[module], source, path));
  });
}

async function goBuild(folder: string, { tags, release }: GoModule, source: string, out: string): Promise<void> {
  const linker = `-s -w -X github.com/prometheus/common/version.Version=${release}`;
  // Static, for images without the machine's own libraries; nice, since a build takes minutes of every core.
  const env = { CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-buildvcs=false" };
  await run("nice", ["-n", "5", "go", "build", "-trimpath", "-tags", tags.join(","), "-ldflags", linker, "-o", out, source], { cwd: folder, env });
}

/**
 * A module's source as a main module of its own: `go install` refuses modules whose go.mod replaces or excludes others.
 * @returns the folder
 */
export async function moduleSource(name: ModuleName): Promise<string> {
  const { path, version, added }: GoModule = modules[name];
  return await once(`src/${name}`, moduleInputs(name), async (folder) => {
    const answer = await run("go", ["mod", "download", "-json", `${path}@${version}`], { cwd: stateFolder });
    const { Dir } = JSON.parse(answer) as { Dir: string };
    await run("cp", ["-R", Dir, folder]);
    await run("chmod", ["-R", "u+w", folder]);
    for (const [file, content] of Object.entries(added)) {
      mkdirSync(join(folder, dirname(file)), { recursive: true });
      writeFileSync(join(folder, file), content);
    }
  });
}
