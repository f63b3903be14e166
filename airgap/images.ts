/** The stack's third-party images, made from package registries and named like those of a mirror registry. */
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { thirdParty, type ThirdParty } from "../components/images.ts";
import { bundleProgram } from "../tools/bundle.ts";
import { baseInputs, ensureBase, offlineRegistry, type BaseName } from "./base.ts";
import { buildImage, presentImages, removeReplaced } from "./docker.ts";
import { modules, type ModuleName, type ToolName } from "./go-modules.ts";
import { kafkaInputs, kafkaJars } from "./kafka-jars.ts";
import { run, say, step } from "./process.ts";
import { digest, exclusively, root, sources, statePath } from "./state.ts";
import { buildTool, moduleInputs, moduleSource } from "./tools.ts";

/** How one image is made. */
interface Recipe {
  readonly base: BaseName | "node";
  /** What differs from the official image; goes into a label. */
  readonly differs: string;
  /** Digest of what is put into the build context beside `airgap/images/<name>`. */
  readonly inputs: () => string;
  /** Puts it there. */
  readonly fill: (context: string) => Promise<void>;
}

export type OfflineImage = Exclude<ThirdParty, "grafana">;

/** @returns the reference of an image as it is named here: the official one behind the offline registry. */
export function offlineReference(name: ThirdParty): string {
  return `${offlineRegistry}/${thirdParty[name].repository}:${thirdParty[name].tag}`;
}

/** Node's own program, as the npm package `node` brings it. */
const nodePackage = join(root, "node_modules/node");

/** An image of programs of one Go module, with files of that module beside them. */
function goImage(module: ModuleName, tools: readonly ToolName[], files: readonly string[]): Recipe {
  return {
    base: "debian",
    differs: modules[module].differs,
    inputs: () => moduleInputs(module),
    fill: async (context) => {
      for (const tool of tools) copyFileSync(await buildTool(tool), join(context, tool));
      const source = await moduleSource(module);
      for (const file of files) copyFileSync(join(source, file), join(context, basename(file)));
    },
  };
}

const recipes: Record<OfflineImage, Recipe> = {
  node: {
    base: "debian",
    differs: "Debian in place of Alpine; Node from the npm package node, without npm and yarn",
    inputs: () => installedVersion("node"),
    fill: async (context) => copyFileSync(join(nodePackage, "bin/node"), join(context, "node")),
  },
  prometheus: goImage("prometheus", ["prometheus", "promtool"], ["documentation/examples/prometheus.yml", "LICENSE", "NOTICE"]),
  alertmanager: goImage("alertmanager", ["alertmanager", "amtool"], ["examples/ha/alertmanager.yml", "LICENSE", "NOTICE"]),
  blackbox: goImage("blackbox", ["blackbox_exporter"], ["blackbox.yml", "LICENSE", "NOTICE"]),
  kafka: {
    base: "debian-java",
    differs: "Debian and its default Java in place of Alpine and Temurin 21; start scripts and tools are ours; logs to standard output only",
    inputs: kafkaInputs,
    fill: async (context) => cpSync(await kafkaJars(), join(context, "libs"), { recursive: true }),
  },
  "kafka-exporter": {
    base: "node",
    differs: "a stand-in of this repository with the same metrics; only the flags that the stack uses, without SASL and TLS",
    inputs: () => digest(sources("airgap/kafka-exporter"), sources("tools/bundle.ts"), installedVersion("@platformatic/kafka")),
    fill: (context) => bundleProgram("airgap/kafka-exporter/server.ts", join(context, "server.mjs")),
  },
};

/** @returns the version of an installed npm package. */
function installedVersion(name: string): string {
  return (JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")) as { version: string }).version;
}

/** Images that can be made here; the node image is the first since another starts from it. */
export const offlineImages = Object.keys(recipes) as OfflineImage[];

function imageInputs(name: OfflineImage): string {
  const { base, inputs, differs } = recipes[name];
  return digest(base === "node" ? imageInputs("node") : baseInputs(base), differs, sources(`airgap/images/${name}`), inputs());
}

/**
 * Makes the images that the engine lacks, or whose sources have changed.
 * @param names default: all that can be made
 * @returns their references
 * @throws Error of the first step that fails
 */
export async function ensureImages(names: readonly OfflineImage[] = offlineImages): Promise<string[]> {
  const present = await presentImages(names.map(offlineReference));
  const stale = names.filter((name) => present.get(offlineReference(name)) !== imageInputs(name));
  // Compilers keep the cores busy while the others wait for downloads.
  const compiled = stale.filter((name) => name in modules);
  const others = stale.filter((name) => !(name in modules));
  await Promise.all([inTurn(others), inTurn(compiled)]);
  if (stale.length > 0) await removeReplaced();
  return names.map(offlineReference);
}

async function inTurn(names: readonly OfflineImage[]): Promise<void> {
  for (const name of names) await makeImage(name);
}

async function makeImage(name: OfflineImage): Promise<void> {
  const { base, differs, fill } = recipes[name];
  const baseImage = base === "node" ? (await ensureImages(["node"]))[0] : await ensureBase(base);
  if (baseImage === undefined) throw new Error(`${name}: no image to start from`);
  const reference = offlineReference(name);
  const inputs = imageInputs(name);
  await exclusively(`contexts/${name}`, async () => {
    // Another process may have been first.
    if ((await presentImages([reference])).get(reference) === inputs) return;
    const context = statePath("contexts", name);
    rmSync(context, { recursive: true, force: true });
    mkdirSync(context, { recursive: true });
    cpSync(join(root, "airgap/images", name), context, { recursive: true });
    await fill(context);
    // An image's files keep the modes that they have here, which may come from a strict umask.
    await run("chmod", ["-R", "u+w,go-w,a+rX", context]);
    await step(`${reference}: making`, () => buildImage({ context, reference, base: baseImage, inputs, description: `Built offline. Differs from ${thirdParty[name].repository}: ${differs}` }));
    rmSync(context, { recursive: true, force: true });
  });
}

/** Says what cannot be made here. */
export function sayLeftOut(): void {
  say(`${thirdParty.grafana.repository}:${thirdParty.grafana.tag}: left out, Grafana is in none of the package registries`);
}
