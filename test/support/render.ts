/** Renders stacks in processes of their own, as the command does, because a process renders one stack. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Recorded } from "../../render/record.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A rendered stack. */
export interface Rendered {
  readonly folder: string;
  readonly stderr: string;
  readonly resources: Recorded[];
  /** Path below `folder` to text, of everything. */
  readonly files: Record<string, string>;
}

/** All files below a folder. */
export const filesUnder = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]),
  );

/**
 * Renders a shipped stack.
 * @param sets such as `target=kubernetes`
 */
export async function rendered(stack: string, ...sets: string[]): Promise<Rendered> {
  const folder = mkdtempSync(join(tmpdir(), `render-${stack}-`));
  const args = ["render/cli.ts", "--stack", stack, "--out", folder, ...sets.flatMap((pair) => ["--set", pair])];
  const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const files = filesUnder(folder);
  return { folder, stderr, files, resources: JSON.parse(files["resources.json"]!) as Recorded[] };
}
