/** Locks of the Make targets' own backend that a killed update has left behind. */
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { say } from "../airgap/process.ts";

/** Whether a process by this number runs here, and is the CLI as far as this machine can tell. */
function isPulumi(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  try {
    // Numbers are used again, after a restart of the machine quite soon.
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("pulumi");
  } catch {
    return true;
  }
}

/** A lock of another machine, or one that cannot be read, is left to the CLI and its own words. */
function isStale(file: string): boolean {
  try {
    const lock = JSON.parse(readFileSync(file, "utf8")) as { pid?: number; hostname?: string };
    return lock.hostname === hostname() && typeof lock.pid === "number" && !isPulumi(lock.pid);
  } catch {
    return false;
  }
}

/**
 * Removes the locks of a stack whose processes are gone.
 * @param backend folder of a file backend that nobody else uses
 * @returns whether there were any: then an update was killed, and the state may be behind what the engine has
 */
export function removeStaleLocks(backend: string, stack: string): boolean {
  const folder = join(backend, ".pulumi/locks");
  if (!existsSync(folder)) return false;
  const stale = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".json") && basename(entry.parentPath) === stack)
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(isStale);
  for (const file of stale) {
    say(`removing the lock of an update of "${stack}" that was killed`);
    // Its attributes are in a file beside it.
    for (const path of [file, `${file}.attrs`]) rmSync(path, { force: true });
  }
  return stale.length > 0;
}
