import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeStaleLocks } from "../../tools/locks.ts";

let backend: string;
const folder = (stack: string) => join(backend, ".pulumi/locks/organization/crm-observability", stack);
beforeEach(() => void (backend = mkdtempSync(join(tmpdir(), "backend-"))));
afterEach(() => rmSync(backend, { recursive: true, force: true }));

/** As the CLI's file backend writes it. */
function lock(stack: string, content: object | string): string {
  mkdirSync(folder(stack), { recursive: true });
  const file = join(folder(stack), "69a5db82-3fd6-461c-85b9-aeff7d9fb67f.json");
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify({ username: "root", timestamp: "2026-01-01T00:00:00Z", ...content }));
  writeFileSync(`${file}.attrs`, "{}");
  return file;
}
async function ended(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
}

it("removes the lock of a process that is gone, with its attributes", async () => {
  const file = lock("dev", { pid: await ended(), hostname: hostname() });
  expect(removeStaleLocks(backend, "dev")).toBe(true);
  expect([file, `${file}.attrs`].map(existsSync)).toEqual([false, false]);
  expect(removeStaleLocks(backend, "dev")).toBe(false);
});

it("removes one whose number another program has now", () => {
  lock("dev", { pid: 1, hostname: hostname() });
  // Only where a process's command line can be read.
  expect(removeStaleLocks(backend, "dev")).toBe(existsSync("/proc/1/cmdline"));
});

it("leaves alone what a running CLI, another machine or another stack holds, and what it cannot read", async () => {
  const running = spawn("sh", ["-c", "sleep 60; : pulumi up"]);
  await once(running, "spawn");
  const dead = await ended();
  const files = [lock("dev", { pid: running.pid, hostname: hostname() }), lock("far", { pid: dead, hostname: "another-machine" }), lock("torn", '{"pid": 1'), lock("dev2", { pid: dead, hostname: hostname() })];
  for (const stack of ["dev", "far", "torn"]) expect(removeStaleLocks(backend, stack), stack).toBe(false);
  running.kill("SIGKILL");
  expect(files.every((file) => existsSync(file))).toBe(true);
});

it("finds none where there is no backend", () => expect(removeStaleLocks(join(backend, "none"), "dev")).toBe(false));
