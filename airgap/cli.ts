/**
 * Docker engine, Compose and images on a machine that can pull no image.
 *
 *   node airgap/cli.ts engine
 *   node airgap/cli.ts compose
 *   node airgap/cli.ts images [--only NAME]
 *   node airgap/cli.ts tool NAME
 */
import { ensureCompose } from "./compose.ts";
import { ensureEngine } from "./engine.ts";
import { programs } from "./go-modules.ts";
import { ensureImages, offlineImages, sayLeftOut, type OfflineImage } from "./images.ts";
import { ensureTool, type ToolName } from "./tools.ts";

const usage = "usage: node airgap/cli.ts engine | compose | images [--only NAME] | tool NAME";

async function main([command, ...rest]: readonly string[]): Promise<void> {
  switch (command) {
    case "engine": {
      const engine = await ensureEngine();
      return console.log(`Docker engine ${engine.version} (API ${engine.api})`);
    }
    case "compose": {
      const engine = await ensureEngine();
      const compose = await ensureCompose(engine);
      return console.log(`${compose.command.join(" ")} ${compose.version} (Docker engine ${engine.version})`);
    }
    case "tool": {
      const [name] = rest;
      if (name === undefined || !Object.hasOwn(programs, name)) throw new Error(`tool: one of ${Object.keys(programs).join(", ")}`);
      return console.log(await ensureTool(name as ToolName));
    }
    case "images": {
      await ensureEngine();
      const references = await ensureImages(wanted(rest));
      if (rest.length === 0) sayLeftOut();
      return console.log(references.join("\n"));
    }
    default:
      throw new Error(usage);
  }
}

function wanted(flags: readonly string[]): readonly OfflineImage[] {
  if (flags.length === 0) return offlineImages;
  const [flag, name] = flags;
  const image = offlineImages.find((known) => known === name);
  if (flag !== "--only" || flags.length !== 2 || image === undefined) throw new Error(`images: --only takes one of ${offlineImages.join(", ")}`);
  return [image];
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`airgap: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
