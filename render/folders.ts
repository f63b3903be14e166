/** Folders of a rendering. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it. Node's own recursion never ends where the folder above is there and takes none, as in
 * /proc.
 * @throws Error of the folder that cannot be made
 */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    throw new Error(`--out: ${(error as Error).message}; name a folder that can be written`, { cause: error });
  }
}
