/** A Compose that works with the engine: the plugin of the Docker client, or the older program of its own. */
import { canInstall, install } from "./debian.ts";
import type { Engine } from "./engine.ts";
import { capture, onPath } from "./process.ts";

/** How to call Compose. */
export interface Compose {
  /** Program and first arguments: `["docker", "compose"]` or `["docker-compose"]`. */
  readonly command: readonly [string, ...string[]];
  /** Such as `1.29.2`. */
  readonly version: string;
}

/** Newest engine API that Compose 1 asks for, whatever the compose file. */
const newestApiOfCompose1 = "1.38";
/** From this engine on an image's description lacks a field without which Compose 1 cannot replace a container. */
const firstEngineWithoutContainerConfig = 26;

const fix = "install Compose 2 (the Docker client's compose plugin)";

const isOlder = (a: string, b: string): boolean => a.localeCompare(b, "en", { numeric: true }) < 0;

/**
 * Why an engine and a Compose are known not to work together.
 * @param version of Compose, such as `1.29.2`
 * @returns undefined when nothing is known against the pair
 */
export function refusal(engine: Engine, version: string): string | undefined {
  if (!version.startsWith("1.")) return undefined;
  const pair = `Compose ${version} does not work with Docker engine ${engine.version}`;
  if (isOlder(newestApiOfCompose1, engine.minApi)) return `${pair}: the engine's oldest API is ${engine.minApi}, this Compose speaks up to ${newestApiOfCompose1}; ${fix}`;
  if (Number.parseInt(engine.version) >= firstEngineWithoutContainerConfig) return `${pair}: it fails on 'ContainerConfig' as soon as it replaces a container; ${fix}`;
  return undefined;
}

/** Every Compose that is installed, the plugin first. */
async function installed(): Promise<Compose[]> {
  const found: Compose[] = [];
  const plugin = await capture("docker", ["compose", "version", "--short"]);
  if (plugin.code === 0) found.push({ command: ["docker", "compose"], version: plugin.stdout.trim().replace(/^v/, "") });
  if (onPath("docker-compose") !== undefined) {
    const own = await capture("docker-compose", ["version", "--short"]);
    if (own.code === 0) found.push({ command: ["docker-compose"], version: own.stdout.trim().replace(/^v/, "") });
  }
  return found;
}

/** Asks the engine for the containers of a project that does not exist: shows that the two speak a common API. */
async function probe({ command: [program, ...first] }: Compose): Promise<string | undefined> {
  const input = `version: "3.8"\nservices:\n  none:\n    image: none\n`;
  const { code, stderr } = await capture(program, [...first, "--project-name", "compose-probe", "--file", "-", "ps"], { input, seconds: 30 });
  return code === 0 ? undefined : stderr.trim().split("\n").at(-1);
}

/**
 * Makes sure that there is a Compose that works with the engine; installs Debian's when there is none.
 * @throws Error that names engine and Compose when they cannot work together, or says what to install
 */
export async function ensureCompose(engine: Engine): Promise<Compose> {
  let candidates = await installed();
  if (candidates.length === 0) {
    if (!canInstall()) throw new Error(`there is no Compose: ${fix}`);
    await install(["docker-compose"], "Compose");
    candidates = await installed();
  }
  const reasons: string[] = [];
  for (const candidate of candidates) {
    const known = refusal(engine, candidate.version);
    const seen = known ?? (await probe(candidate));
    if (seen === undefined) return candidate;
    reasons.push(known ?? `Compose ${candidate.version} does not work with Docker engine ${engine.version}: ${seen}`);
  }
  throw new Error(reasons.join("\n") || `Compose was installed but does not run: ${fix}`);
}
