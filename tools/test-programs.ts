/** Gets what the suites with real programs need: an engine, images, promtool and the like, and on Debian as root PostgreSQL and Chromium. */
import { canInstall, install } from "../airgap/debian.ts";
import { ensureEngine } from "../airgap/engine.ts";
import { ensureImages } from "../airgap/images.ts";
import { capture, onPath, run, say } from "../airgap/process.ts";
import { ensureTool } from "../airgap/tools.ts";

/** Debian packages by the program that shows that they are there. */
const packages: readonly [program: string, name: string][] = [
  ["pg_lsclusters", "postgresql"],
  ["chromium", "chromium"],
  ["openssl", "openssl"],
];

await ensureEngine();
await stopStacks();
const missing = packages.filter(([program]) => onPath(program) === undefined).map(([, name]) => name);
if (missing.length > 0) {
  if (canInstall()) await install(missing, "tests");
  else say(`${missing.join(", ")} cannot be installed here: tests that need them are skipped`);
}
await ensureImages();
// The images may be there from before without the programs that went into them.
for (const tool of ["promtool", "amtool", "prometheus", "alertmanager"] as const) await ensureTool(tool);

/** Where a machine runs all this by itself: stacks that somebody left running start again with the engine, and take the suites' processors. */
async function stopStacks(): Promise<void> {
  if (!process.env.CI) return;
  const { stdout } = await capture("docker", ["ps", "--quiet", "--filter", "label=crm.stack"]);
  const left = stdout.split("\n").filter((id) => id !== "");
  if (left.length === 0) return;
  say(`stopping ${left.length} containers of stacks that were left running`);
  await run("docker", ["stop", "--time", "10", ...left]);
}
