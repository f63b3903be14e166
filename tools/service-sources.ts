/** Which services we build, and a short hash of what goes into each, so that an image's tag says what is inside. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** Every service that has an image of ours; each is the folder `services/<name>`. */
export const serviceNames = [
  "slack-standin",
  "qbo-standin",
  "crm-api",
  "crm-events",
  "crm-events-health",
  "command-center",
  "simulator",
] as const;

export type ServiceName = (typeof serviceNames)[number];

/** Sources that every service's image depends on, beside its own folder. */
const sharedSources = ["services/shared", "rules/metrics.ts", "package-lock.json", "services/Dockerfile", "tools/bundle.ts"];

/**
 * @param name a service, such as `crm-api`
 * @returns the first 12 hex digits of SHA-256 over paths and contents of all that goes into the service's image; equal on
 *   every machine that has the same sources
 * @throws Error when there is no such service
 */
export function sourceHash(name: string): string {
  const own = `services/${name}`;
  if (!existsSync(join(root, own, "server.ts"))) throw new Error(`no service "${name}": ${own}/server.ts is missing`);
  const hash = createHash("sha256");
  for (const path of [own, ...sharedSources].flatMap(filesUnder)) {
    const content = readFileSync(join(root, path));
    // The length keeps two files from being taken for one other file.
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 12);
}

/** A file, or every file below a folder, as sorted paths from the root with forward slashes. */
function filesUnder(path: string): string[] {
  let entries;
  try {
    entries = readdirSync(join(root, path), { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return [path];
    throw error;
  }
  return entries
    .filter((entry) => !entry.name.startsWith("."))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => filesUnder(`${path}/${entry.name}`));
}
