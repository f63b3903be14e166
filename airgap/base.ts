/** The Debian images that all others start from. */
import { existsSync, rmSync } from "node:fs";
import { codename, install } from "./debian.ts";
import { importImage, presentImages } from "./docker.ts";
import { run, step } from "./process.ts";
import { digest, exclusively, statePath } from "./state.ts";

/** Before the repository and tag of every image made here; as the stack's `imageRegistry` it stands for a registry. */
export const offlineRegistry = "localhost/crm-offline";

/** What an image holds beside Debian's essential packages. */
const contents = {
  // busybox: wget, for health checks. libstdc++6: Node.
  debian: ["ca-certificates", "busybox", "libstdc++6", "tzdata"],
  "debian-java": ["ca-certificates", "busybox", "default-jre-headless", "tzdata"],
} as const;

export type BaseName = keyof typeof contents;

export const baseReference = (name: BaseName): string => `${offlineRegistry}/${name}:${codename()}`;

const excluded = ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"];

function mmdebstrapArguments(name: BaseName): string[] {
  return [
    // Seen only when it fails.
    "--verbose",
    "--variant=essential",
    `--include=${contents[name].join(",")}`,
    ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    // Java's packages fail without the folder of the manual pages that they would link.
    '--essential-hook=mkdir -p "$1/usr/share/man/man1"',
    '--customize-hook=ln -s /bin/busybox "$1/usr/bin/wget"',
    '--customize-hook=chmod 1777 "$1/tmp"',
  ];
}

/** @returns digest of all that decides what a base image holds. */
export function baseInputs(name: BaseName): string {
  return digest(codename(), ...mmdebstrapArguments(name));
}

const pending = new Map<BaseName, Promise<string>>();

/**
 * Makes a base image unless the engine has it.
 * @returns its reference
 * @throws Error when it cannot be made here
 */
export function ensureBase(name: BaseName): Promise<string> {
  const known = pending.get(name) ?? makeBase(name);
  pending.set(name, known);
  return known;
}

async function makeBase(name: BaseName): Promise<string> {
  const reference = baseReference(name);
  const inputs = baseInputs(name);
  return await exclusively(name, async () => {
    if ((await presentImages([reference])).get(reference) === inputs) return reference;
    await install(["mmdebstrap"], "a Debian image");
    const archive = statePath(`${name}.tar`);
    // The machine's own mirrors where it names some; otherwise mmdebstrap's default, Debian's.
    const mirrors = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"].filter((path) => existsSync(path)).slice(0, 1);
    await step(`${reference}: making`, async () => {
      await run("nice", ["-n", "5", "mmdebstrap", ...mmdebstrapArguments(name), codename(), archive, ...mirrors]);
      await importImage(archive, reference, inputs);
    });
    rmSync(archive, { force: true });
    return reference;
  });
}
