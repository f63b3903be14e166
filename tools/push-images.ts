/**
 * `npm run images:push -- --stack NAME [--mirror] [--set KEY=VALUE …]`: builds the images of services/ that the stack runs
 * and pushes them to its registry, by the names and tags that its program uses; what is there already is left alone.
 * `--mirror` first copies there the third-party images that the registry lacks, for the platform of this engine.
 */
import { askEngine } from "../airgap/engine.ts";
import { capture, run, say, step } from "../airgap/process.ts";
import { imageOf, ownImageOf, type OwnImage, type ThirdParty } from "../components/images.ts";
import { fixesOf } from "../components/settings/fixes.ts";
import type { Settings } from "../components/settings/schema.ts";
import { optionValues, parseOverrides } from "../render/arguments.ts";
import { buildOwn, hasImage, hasRegistry, notInRegistry, ownNamesOf, pullMissing, thirdPartyNamesOf, wantsLogin } from "./images.ts";
import { askRegistry, locate, LoginNeeded } from "./registry.ts";
import { settingsOf } from "./stacks.ts";

/** What became of a stack's images, as references. */
export interface Outcome {
  readonly pushed: string[];
  /** Were there already. */
  readonly there: string[];
}

/** Seconds that one push may take. */
const pushSeconds = 1800;

/**
 * Brings a stack's images to its registry.
 * @param mirror whether third-party images are copied too; default: only ours are pushed
 * @throws Error when the stack has no registry, no engine answers, or a step fails; the registry keeps what it got before
 */
export async function pushImages(s: Settings, mirror = false): Promise<Outcome> {
  if (!hasRegistry(s)) {
    const why = s.imageRegistry === undefined ? "is not set" : `"${s.imageRegistry}" stands for images on the engine itself`;
    throw new Error(`[imageRegistry] ${why}: stack "${s.stack}" has no registry to push to; ${fixesOf({ stack: s.stack, project: "crm-observability" }).set("imageRegistry")}`);
  }
  if ((await askEngine()) === undefined) throw new Error("no Docker engine answers, which builds and pushes the images: start one, or set DOCKER_HOST");
  const outcome: Outcome = { pushed: [], there: [] };
  if (mirror) for (const name of thirdPartyNamesOf(s)) await mirrorImage(s, name, outcome);
  await pushOwn(s, outcome);
  return outcome;
}

/** Copies one official image. A digest cannot be pushed: the copy, which has one platform, gets a digest of its own. */
async function mirrorImage(s: Settings, name: ThirdParty, outcome: Outcome): Promise<void> {
  const reference = imageOf(s, name);
  if (await isThere(reference)) return void outcome.there.push(reference);
  if (reference.includes("@")) throw new Error(`[imageRegistry] ${reference} is not in the registry, and a copy pushed by an engine has another digest: copy it with a tool that keeps digests, or give its tag in versions and pin it afterwards`);
  const official = imageOf({ ...s, imageRegistry: undefined }, name);
  const why = await pullMissing([official]);
  if (why !== undefined) throw new Error(why);
  await run("docker", ["tag", official, reference]);
  await push(reference, outcome);
}

/** Ours: their tags are hashes of what is in them, so that one that is there is the same. */
async function pushOwn(s: Settings, outcome: Outcome): Promise<void> {
  const missing: OwnImage[] = [];
  for (const name of ownNamesOf(s)) {
    const reference = ownImageOf(s, name);
    // A tag of the user's own may stand for something else, which must not be overwritten.
    if (await isThere(reference, s.versions[name] === undefined)) outcome.there.push(reference);
    else missing.push(name);
  }
  const built = await Promise.all(missing.map((name) => hasImage(ownImageOf(s, name))));
  const why = built.every(Boolean) ? undefined : await pullMissing([imageOf(s, "node")]);
  if (why !== undefined) throw notInRegistry(s, `${why}, and our images start from it`);
  await buildOwn(s, missing);
  for (const name of missing) await push(ownImageOf(s, name), outcome);
}

/**
 * Whether the registry has it.
 * @param replaceable whether pushing it once more does no harm, so that a registry that says it only to the docker client is no error
 */
async function isThere(reference: string, replaceable = false): Promise<boolean> {
  try {
    return (await askRegistry(reference)) !== undefined;
  } catch (error) {
    if (!replaceable || !(error instanceof LoginNeeded)) throw error;
    say(`${(error as Error).message}; pushing it without knowing whether it is there`);
    return false;
  }
}

async function push(reference: string, outcome: Outcome): Promise<void> {
  const { code, stderr } = await step(`pushing ${reference}`, () => capture("docker", ["push", "--quiet", reference], { seconds: pushSeconds }));
  if (code !== 0) {
    const words = stderr.trim().split("\n").at(-1)?.slice(0, 160) || `no end after ${pushSeconds} s`;
    const login = wantsLogin(words) ? `; log in with: docker login ${locate(reference).registry}` : "";
    throw new Error(`[imageRegistry] ${reference} cannot be pushed (${words})${login}`);
  }
  outcome.pushed.push(reference);
}

const usage = "usage: npm run images:push -- --stack NAME [--mirror] [--set KEY=VALUE ...]";

function pushArguments(argv: readonly string[]): { s: Settings; mirror: boolean } {
  const values = optionValues(argv, { stack: { type: "string" }, mirror: { type: "boolean" }, set: { type: "string", multiple: true } }, usage);
  if (!values.stack) throw new Error(usage);
  return { s: settingsOf(values.stack, parseOverrides(values.set ?? [])), mirror: values.mirror ?? false };
}

if (import.meta.main) {
  try {
    const { s, mirror } = pushArguments(process.argv.slice(2));
    const { pushed, there } = await pushImages(s, mirror);
    for (const reference of pushed) console.log(`${reference}  pushed`);
    for (const reference of there) console.log(`${reference}  was there`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
