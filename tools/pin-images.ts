/**
 * `npm run images:pin [-- --check] [-- --stack NAME [--set KEY=VALUE …]]`: asks the registries for the digest of every
 * third-party image and writes them to components/image-digests.json, which components/images.ts reads. With `--stack`
 * it asks for the images of that stack, at its registry and in its versions, in place of the official ones.
 * `--check` writes nothing and fails when a digest differs from what the registry has now.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { digestsFile, onEngineOnly, readDigests, thirdParty, unpinnedImageOf, type Digests, type ThirdParty } from "../components/images.ts";
import { optionValues, parseOverrides } from "../render/arguments.ts";
import { thirdPartyNamesOf } from "./images.ts";
import { askRegistry, type Found } from "./registry.ts";
import { root } from "./service-sources.ts";
import { settingsOf, type Overrides } from "./stacks.ts";

/** References of the official images, as the table has them. */
export const officialReferences = (): string[] => (Object.keys(thirdParty) as ThirdParty[]).map((name) => unpinnedImageOf({ versions: {} }, name));

/**
 * What there is to pin in a stack. An image whose version is given as a digest is pinned already.
 * @throws Error when its images are in no registry
 */
export function referencesOf(stack: string, overrides: Overrides = {}): string[] {
  const s = settingsOf(stack, overrides);
  if (onEngineOnly(s)) throw new Error(`[imageRegistry] "${s.imageRegistry}" stands for images on the engine itself, whose digests no registry knows: there is nothing to pin`);
  return thirdPartyNamesOf(s).map((name) => unpinnedImageOf(s, name)).filter((reference) => !reference.includes("@"));
}

/**
 * Asks for all of them at once.
 * @returns what each has, in their order
 * @throws Error with one line for each that has no answer
 */
export async function askAll(references: readonly string[], ask: (reference: string) => Promise<Found | undefined> = askRegistry): Promise<Map<string, Found>> {
  const answers = await Promise.allSettled(references.map(ask));
  const found = new Map<string, Found>();
  const problems: string[] = [];
  for (const [i, answer] of answers.entries()) {
    const reference = references[i]!;
    if (answer.status === "rejected") problems.push((answer.reason as Error).message);
    else if (answer.value === undefined) problems.push(`${reference}: the registry has no such image`);
    else found.set(reference, answer.value);
  }
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return found;
}

/** `NAME` of `NAME:TAG`. */
const nameOf = (reference: string): string => reference.slice(0, reference.lastIndexOf(":"));

/**
 * The pins after a run: those asked for now, and of the earlier ones those of other names and those of the table. What is
 * left out are earlier tags of the same images.
 */
export function merged(before: Digests, asked: ReadonlyMap<string, Found>): { digests: Digests; dropped: string[] } {
  const names = new Set([...asked.keys()].map(nameOf));
  const official = new Set(officialReferences());
  const dropped = Object.keys(before).filter((reference) => names.has(nameOf(reference)) && !asked.has(reference) && !official.has(reference));
  const kept = Object.entries(before).filter(([reference]) => !dropped.includes(reference));
  const digests = Object.fromEntries([...kept, ...[...asked].map(([reference, { digest }]) => [reference, digest] as const)].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { digests, dropped };
}

/** Writes the pins so that nobody ever reads half of them. */
export function writeDigests(path: string, digests: Digests): void {
  const fresh = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(fresh, `${JSON.stringify(digests, undefined, 2)}\n`);
    renameSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** A line for each image that is not pinned to what its registry has now. */
export function differences(pinned: Digests, asked: ReadonlyMap<string, Found>): string[] {
  return [...asked]
    .filter(([reference, { digest }]) => pinned[reference] !== digest)
    .map(([reference, { digest }]) => `${reference}: ${pinned[reference] === undefined ? "is not pinned" : `is pinned to ${pinned[reference]}`}, the registry has ${digest}`);
}

/** Asks, writes, and says what has changed. @throws Error before anything is written */
export async function pin(references: readonly string[], path = digestsFile): Promise<void> {
  const before = readDigests(path);
  const asked = await askAll(references);
  const { digests, dropped } = merged(before, asked);
  writeDigests(path, digests);
  for (const [reference, { digest, everyPlatform }] of asked) {
    const was = before[reference];
    const note = was === undefined ? "new" : was === digest ? "as before" : `was ${was}`;
    console.log(`${reference}@${digest}  ${note}${everyPlatform ? "" : "; an image of one platform only"}`);
  }
  for (const reference of dropped) console.log(`${reference}  no longer pinned: neither asked for nor in the table`);
  console.log(`${relative(root, path)} has ${Object.keys(digests).length} digests`);
}

/** @throws Error with a line for each image that differs */
export async function check(references: readonly string[], path = digestsFile): Promise<void> {
  const pinned = readDigests(path);
  const lines = differences(pinned, await askAll(references));
  if (lines.length > 0) throw new Error([...lines, `${lines.length} of ${references.length} images differ; the same command without --check pins them`].join("\n"));
  console.log(`all ${references.length} images are pinned to what their registries have`);
}

const usage = "usage: npm run images:pin -- [--check] [--stack NAME [--set KEY=VALUE ...]]";

function pinArguments(argv: readonly string[]): { checking: boolean; references: string[] } {
  const values = optionValues(argv, { check: { type: "boolean" }, stack: { type: "string" }, set: { type: "string", multiple: true } }, usage);
  if (values.stack === undefined && values.set !== undefined) throw new Error(`--set is for a stack\n${usage}`);
  const references = values.stack === undefined ? officialReferences() : referencesOf(values.stack, parseOverrides(values.set ?? []));
  return { checking: values.check ?? false, references };
}

if (import.meta.main) {
  try {
    const { checking, references } = pinArguments(process.argv.slice(2));
    await (checking ? check(references) : pin(references));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
