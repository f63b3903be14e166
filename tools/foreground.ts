/** Running a program that talks to the user itself. */
import { spawnSync } from "node:child_process";
import { root } from "./service-sources.ts";

/** Runs a program in the project's folder, on this terminal. @throws Error with its name when it fails; it has said why itself */
export function foreground(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status } = spawnSync(program, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${program} ${args.slice(0, 3).join(" ")} … failed with code ${status}`);
}
