/** Every image of the stack and its version: the one table. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, serviceNames, sourceHash, type ServiceName } from "../tools/service-sources.ts";
import type { Settings } from "./settings/schema.ts";

/** Third-party images, as their projects publish them. */
export const thirdParty = {
  prometheus: { repository: "prom/prometheus", tag: "v3.15.0" },
  alertmanager: { repository: "prom/alertmanager", tag: "v0.34.2" },
  blackbox: { repository: "prom/blackbox-exporter", tag: "v0.28.0" },
  kafka: { repository: "apache/kafka", tag: "4.1.2" },
  "kafka-exporter": { repository: "danielqsj/kafka-exporter", tag: "v1.9.0" },
  grafana: { repository: "grafana/grafana", tag: "13.0.0" },
  node: { repository: "node", tag: "24-alpine" },
} as const;

export type ThirdParty = keyof typeof thirdParty;

/** Services whose images are built from this repository. */
export const ownImages = serviceNames;
export type OwnImage = ServiceName;

/** Whether a stack's images are only on the engine itself, as those built offline: no registry has them or knows their digests. */
export const onEngineOnly = (s: Pick<Settings, "imageRegistry">): boolean => s.imageRegistry?.startsWith("localhost/") === true;

/** Digest (`sha256:…`) of each pinned reference, such as `prom/prometheus:v3.15.0`, registry and tag included. */
export type Digests = Readonly<Record<string, string>>;

/** Written by `npm run images:pin`; where it is absent, images go by their tags alone. */
export const digestsFile = join(root, "components/image-digests.json");

/**
 * Reads the pinned digests.
 * @param path default: the repository's own file
 * @returns none when there is no such file
 * @throws Error that names the file and the command that makes it again, when it holds anything else
 */
export function readDigests(path = digestsFile): Digests {
  const refused = (what: string) => new Error(`${path} ${what}; remove it, and make it again with: npm run images:pin`);
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw refused(`cannot be read (${(error as Error).message})`);
  }
  let digests: unknown;
  try {
    digests = JSON.parse(text);
  } catch {
    throw refused("is not JSON");
  }
  if (typeof digests !== "object" || digests === null || Array.isArray(digests)) throw refused("is not an object of references and digests");
  for (const [reference, digest] of Object.entries(digests)) {
    if (!/^[^@\s]+:[\w.-]+$/.test(reference) || !/^sha256:[0-9a-f]{64}$/.test(String(digest))) throw refused(`has a wrong entry ${JSON.stringify(reference)}: NAME:TAG and sha256: with 64 digits are expected`);
  }
  return digests as Digests;
}

let pinned: Digests | undefined;
/** The file's content at its first use: one process sees one state of it. */
const pinnedDigests = (): Digests => (pinned ??= readDigests());

const withRegistry = (s: Pick<Settings, "imageRegistry">, reference: string) => (s.imageRegistry === undefined ? reference : `${s.imageRegistry.replace(/\/+$/, "")}/${reference}`);

/**
 * Reference of a third-party image as the settings give it, before any pin.
 * A version given in the settings may be a tag or a digest (`sha256:…`); `imageRegistry` is put before it.
 */
export function unpinnedImageOf(s: Pick<Settings, "imageRegistry" | "versions">, name: ThirdParty): string {
  const { repository, tag } = thirdParty[name];
  const version = s.versions[name] ?? tag;
  return withRegistry(s, version.startsWith("sha256:") ? `${repository}@${version}` : `${repository}:${version}`);
}

/**
 * Reference of a third-party image, `name:tag@sha256:…` where that very name and tag are pinned: another registry or
 * another tag has another digest.
 * @param digests default: those of the repository's file
 * @throws Error when that file is wrong
 */
export function imageOf(s: Settings, name: ThirdParty, digests: Digests = pinnedDigests()): string {
  const reference = unpinnedImageOf(s, name);
  const digest = onEngineOnly(s) ? undefined : digests[reference];
  return digest === undefined ? reference : `${reference}@${digest}`;
}

/**
 * Reference of an image of ours; its tag is the hash of the sources that go into it, so that a change of code is a change
 * of tag. So is a change of a base image that is chosen by the settings or pinned; what a bare tag stands for is not known.
 * @param digests default: those of the repository's file
 * @throws Error when that file is wrong
 */
export function ownImageOf(s: Settings, name: OwnImage, digests: Digests = pinnedDigests()): string {
  const base = s.versions.node ?? /@(.*)$/.exec(imageOf(s, "node", digests))?.[1];
  const hash = () => (base === undefined ? sourceHash(name) : createHash("sha256").update(`${sourceHash(name)}\0${base}`).digest("hex").slice(0, 12));
  return withRegistry(s, `crm-observability/${name}:${s.versions[name] ?? hash()}`);
}
