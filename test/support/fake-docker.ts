/** A `docker` before the real one that answers as a test says and notes what it is asked. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeDocker {
  /** A PATH on which it comes first. */
  readonly path: string;
  /** Every call so far, arguments by spaces. */
  calls(): string[];
  /** Takes it away again. */
  remove(): void;
}

/**
 * Puts it on this process's PATH.
 * @param body of a shell function that is called with the arguments, such as `case "$*" in "image inspect"*) return 1;; esac`
 */
export function fakeDocker(body: string): FakeDocker {
  const folder = mkdtempSync(join(tmpdir(), "docker-"));
  const log = join(folder, "calls");
  writeFileSync(join(folder, "docker"), `#!/bin/sh\necho "$*" >> ${log}\nanswer() {\n${body}\n}\nanswer "$@"\n`);
  chmodSync(join(folder, "docker"), 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${folder}:${before}`;
  return {
    path: process.env.PATH,
    calls: () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []),
    remove: () => {
      process.env.PATH = before;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
