/** Where built things are kept, and stamps that tell whether one is up to date. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** Folder of everything built here; git ignores it, and it may be removed at any time. */
export const stateFolder = join(root, ".state/airgap");

/** Path below the state folder. */
export const statePath = (...parts: string[]): string => join(stateFolder, ...parts);

/** @returns SHA-256 over the given texts, as 16 hex digits. */
export function digest(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}\0${part}`);
  return hash.digest("hex").slice(0, 16);
}

/** @returns names and contents of a file, or of every file below a folder, given by its path from the root. */
export function sources(path: string): string {
  const full = join(root, path);
  if (!statSync(full).isDirectory()) return `${path}\0${readFileSync(full, "utf8")}`;
  return readdirSync(full).sort().map((name) => sources(`${path}/${name}`)).join("\0");
}

/**
 * Makes a file or folder below the state folder unless it was made from the same inputs before.
 * @param name path below the state folder
 * @param inputs digest of all that decides what comes out
 * @param make builds it at the given path, from nothing
 */
export async function once(name: string, inputs: string, make: (path: string) => Promise<void>): Promise<string> {
  const path = statePath(name);
  const stamp = `${path}.stamp`;
  const fresh = () => existsSync(path) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs;
  if (fresh()) return path;
  return await exclusively(name, async () => {
    if (fresh()) return path;
    rmSync(stamp, { force: true });
    rmSync(path, { recursive: true, force: true });
    mkdirSync(join(path, ".."), { recursive: true });
    await make(path);
    writeFileSync(stamp, inputs);
    return path;
  });
}

/** Lets one process at a time do a piece of work; a lock whose process is gone does not count. */
export async function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  const lock = statePath(`${name}.lock`);
  mkdirSync(join(lock, ".."), { recursive: true });
  while (!take(lock)) await new Promise((resolve) => setTimeout(resolve, 500));
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, identity(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  if (!holderLives(lock)) rmSync(lock, { force: true });
  return false;
}

function holderLives(lock: string): boolean {
  try {
    const holder = readFileSync(lock, "utf8");
    // Empty: just made, its owner is about to write into it, unless the disk was full then or the power went.
    if (holder === "") return Date.now() - statSync(lock).mtimeMs < 10_000;
    return holder === identity(Number(holder.split(" ")[0]));
  } catch {
    return false;
  }
}

/** A process, so that a later one with the same number is not taken for it; throws when it is gone. */
function identity(pid: number): string {
  if (!existsSync("/proc/self/stat")) {
    process.kill(pid, 0);
    return `${pid}`;
  }
  // Start time is the 20th field after the name, which may itself hold blanks and brackets.
  return `${pid} ${readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19]}`;
}
