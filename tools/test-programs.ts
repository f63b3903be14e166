/** Gets what the suites with real programs need: an engine, images, promtool and the like, and on Debian as root PostgreSQL and Chromium. */
import { canInstall, install } from "../airgap/debian.ts";
import { ensureEngine } from "../airgap/engine.ts";
import { ensureImages } from "../airgap/images.ts";
import { onPath, say } from "../airgap/process.ts";
import { ensureTool } from "../airgap/tools.ts";

/** Debian packages by the program that shows that they are there. */
const packages: readonly [program: string, name: string][] = [
  ["pg_lsclusters", "postgresql"],
  ["chromium", "chromium"],
  ["openssl", "openssl"],
];

await ensureEngine();
const missing = packages.filter(([program]) => onPath(program) === undefined).map(([, name]) => name);
if (missing.length > 0) {
  if (canInstall()) await install(missing, "tests");
  else say(`${missing.join(", ")} cannot be installed here: tests that need them are skipped`);
}
await ensureImages();
// The images may be there from before without the programs that went into them.
for (const tool of ["promtool", "amtool", "prometheus", "alertmanager"] as const) await ensureTool(tool);
