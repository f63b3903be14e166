/** Which images a stack can have on this machine: the official ones, or those built from package registries; and our own. */
import { offlineRegistry } from "../airgap/base.ts";
import { capture, run, say, step } from "../airgap/process.ts";
import { imageOf, onEngineOnly, ownImageOf, ownImages, thirdParty, type OwnImage, type ThirdParty } from "../components/images.ts";
import type { Settings } from "../components/settings/schema.ts";
import { partsOf } from "../components/topology.ts";
import { bundleFolder, bundleServices } from "./bundle.ts";
import { foreground } from "./foreground.ts";
import { locate } from "./registry.ts";
import { settingsOf, type Overrides } from "./stacks.ts";

/** Parts that cannot be had where nothing can be pulled, and the setting that leaves them out. */
export const offlineOverrides = { imageRegistry: offlineRegistry, grafana: "none" } as const;

/** Which third-party images a stack needs, the base of our own included. */
export function thirdPartyNamesOf(s: Settings): ThirdParty[] {
  return (Object.keys(thirdParty) as ThirdParty[]).filter((name) => (name !== "grafana" || s.grafana.mode === "built-in") && (name !== "kafka" || s.kafka.builtIn));
}

/** Their references. */
export const thirdPartyOf = (s: Settings): string[] => thirdPartyNamesOf(s).map((name) => imageOf(s, name));

/** Which images of ours a stack runs. */
export const ownNamesOf = (s: Settings): OwnImage[] => ownImages.filter((name) => partsOf(s).includes(name));

/** Whether a stack takes its images, ours included, from a registry of the user's own. */
export const hasRegistry = (s: Settings): boolean => s.imageRegistry !== undefined && !onEngineOnly(s);

/** Whether the engine has an image. */
export const hasImage = async (reference: string): Promise<boolean> => (await capture("docker", ["image", "inspect", "--format", "{{.Id}}", reference])).code === 0;

/**
 * Pulls what is missing.
 * @param seconds limit of each pull
 * @returns why it could not, or undefined when all images are there
 */
export async function pullMissing(references: readonly string[], seconds = 600): Promise<string | undefined> {
  for (const reference of references) {
    if (await hasImage(reference)) continue;
    say(`pulling ${reference}`);
    const { code, stderr } = await capture("docker", ["pull", "--quiet", reference], { seconds });
    if (code !== 0) return `${reference} cannot be pulled (${stderr.trim().split("\n").at(-1)?.slice(0, 160)})`;
  }
  return undefined;
}

/**
 * Builds the images of our services that the engine does not have.
 * @param names default: all of them
 */
export async function buildOwn(s: Settings, names: readonly OwnImage[] = ownImages): Promise<void> {
  for (const name of names) {
    const reference = ownImageOf(s, name);
    if (await hasImage(reference)) continue;
    await step(`building ${reference}`, async () => {
      await bundleServices([name]);
      await run("docker", ["build", "--quiet", "--build-arg", `BASE=${imageOf(s, "node")}`, "--tag", reference, bundleFolder(name)], { env: { DOCKER_BUILDKIT: "0" } });
    });
  }
}

/**
 * Makes sure that all images of a stack are there. Images built here, for tests or at an earlier time without network,
 * are no reason to leave the official ones: only that these cannot be had is. Where all are there nothing is asked of a
 * registry; where none can be reached, the engine says so at once or within half a minute.
 * @returns the overrides to go on with: those given, or with what this machine lacks
 * @throws Error when images of a registry of the user's own are missing, or Grafana's data would be lost
 */
export async function prepareImages(stack: string, given: Overrides): Promise<Overrides> {
  const s = settingsOf(stack, given);
  if (hasRegistry(s)) {
    await takeFromRegistry(s);
    return given;
  }
  const why = await pullMissing(thirdPartyOf(s));
  if (why !== undefined) {
    if (s.imageRegistry !== undefined) throw new Error(`[imageRegistry] ${why}; build the images with: make images`);
    return prepareOffline(s, given, why);
  }
  await buildOwn(s);
  return given;
}

/** What a stack runs, ours too, as the program takes it; the base of ours is no part of that. */
async function takeFromRegistry(s: Settings): Promise<void> {
  const others = thirdPartyNamesOf(s).filter((name) => name !== "node").map((name) => imageOf(s, name));
  const why = await pullMissing([...others, ...ownNamesOf(s).map((name) => ownImageOf(s, name))]);
  if (why !== undefined) throw notInRegistry(s, why);
}

/** Whether this is what the docker client says where a registry wants a login. */
export const wantsLogin = (words: string): boolean => /denied|unauthori[sz]ed|authentication|credentials/i.test(words);

/** The error of a stack whose registry does not give an image, with what mends it. */
export function notInRegistry(s: Settings, why: string): Error {
  const fix = wantsLogin(why) ? `log in with: docker login ${locate(`${s.imageRegistry}/image`).registry}` : `put what is missing there with: npm run images:push -- --stack ${s.stack} --mirror`;
  return new Error(`[imageRegistry] ${why}; ${fix}`);
}

/** @param why the official images cannot be had */
async function prepareOffline(online: Settings, given: Overrides, why: string): Promise<Overrides> {
  // A Grafana of somebody else needs no image, and keeps its keys.
  const overrides = online.grafana.mode === "external" ? { ...given, imageRegistry: offlineRegistry } : { ...given, ...offlineOverrides };
  const s = settingsOf(online.stack, overrides);
  const withoutGrafana = online.grafana.mode === "built-in";
  if (withoutGrafana) await keepGrafanaData(online.stack, why);
  const built = await Promise.all(thirdPartyOf(s).map(hasImage));
  if (!built.every(Boolean)) {
    say(`${why}: building images from package registries instead`);
    foreground(process.execPath, ["airgap/cli.ts", "images"]);
  }
  say(`${why}: using images built on this machine${withoutGrafana ? "; Grafana is in no package registry and is left out with its probes" : ""}`);
  await buildOwn(s);
  return overrides;
}

/** A Grafana that has run here is not taken away with its data because a registry does not answer today. */
async function keepGrafanaData(stack: string, why: string): Promise<void> {
  const volume = `crm-${stack}-grafana-data`;
  if ((await capture("docker", ["volume", "inspect", volume])).code !== 0) return;
  throw new Error(`${why}; images that can be built here have no Grafana, and its data is in the volume ${volume}: try again later, or give Grafana up with: npm run up -- ${stack} --set grafana=none`);
}
