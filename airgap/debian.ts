/** The machine's own Debian: which release it is, and packages that it lacks. */
import { readFileSync } from "node:fs";
import { capture, run, step } from "./process.ts";

/** Fields of `/etc/os-release`, without quotes. */
function osRelease(): Record<string, string> {
  try {
    const lines = readFileSync("/etc/os-release", "utf8").split("\n");
    const pairs = lines.map((line) => /^(\w+)="?([^"]*)"?$/.exec(line)).filter((match) => match !== null);
    return Object.fromEntries(pairs.map((match) => [match[1], match[2]]));
  } catch {
    return {};
  }
}

/** Whether packages can be installed here: root on Debian. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && osRelease()["ID"] === "debian";
}

/** @returns the release's code name, such as `bookworm`. */
export function codename(): string {
  return osRelease()["VERSION_CODENAME"] ?? "bookworm";
}

let listsAreFresh = false;

/**
 * Installs the Debian packages of these that are missing.
 * @param packages Debian package names
 * @param purpose why, for the error of a machine where nothing can be installed
 * @throws Error when something is missing and this is not root on Debian, or when apt-get fails
 */
export async function install(packages: readonly string[], purpose: string): Promise<void> {
  const missing: string[] = [];
  for (const name of packages) {
    const { stdout } = await capture("dpkg-query", ["--show", "--showformat=${db:Status-Status}", name]);
    if (stdout !== "installed") missing.push(name);
  }
  if (missing.length === 0) return;
  if (!canInstall()) throw new Error(`${purpose} needs ${missing.join(", ")}, which can be installed by root on Debian only: install it, or run this as root`);
  await step(`installing ${missing.join(", ")}`, () => aptGet(missing));
}

async function aptGet(packages: readonly string[]): Promise<void> {
  // Another apt-get may be running: wait for it rather than fail.
  const lock = ["-o", "DPkg::Lock::Timeout=600"];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  if (!listsAreFresh) await run("apt-get", [...lock, "update"], { env });
  listsAreFresh = true;
  await run("apt-get", [...lock, "install", "--yes", "--no-install-recommends", ...packages], { env });
}
