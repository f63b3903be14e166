/** What this folder asks of the Docker engine: which images are there, and making one. */
import { capture, run } from "./process.ts";

/** Label that carries the digest of all that an image was made from. */
const inputsLabel = "crm.offline.inputs";

/**
 * Which of these images are there.
 * @returns reference → digest of what it was made from; an image that was not made here has the digest ""
 */
export async function presentImages(references: readonly string[]): Promise<Map<string, string>> {
  const format = `{{join .RepoTags " "}}|{{index .Config.Labels "${inputsLabel}"}}`;
  // Fails as soon as one is missing, but still describes the others.
  const { stdout } = await capture("docker", ["image", "inspect", "--format", format, ...references]);
  const found = new Map<string, string>();
  for (const line of stdout.split("\n").filter((text) => text !== "")) {
    const [tags = "", inputs = ""] = line.split("|");
    for (const tag of tags.split(" ")) found.set(tag, inputs);
  }
  return found;
}

/** Makes an image of one layer from a root file system. */
export async function importImage(archive: string, reference: string, inputs: string): Promise<void> {
  const path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  await run("docker", ["import", "--change", path, "--change", `LABEL ${inputsLabel}=${inputs}`, archive, reference]);
}

export interface Build {
  /** Folder with the Dockerfile and all that it copies. */
  readonly context: string;
  readonly reference: string;
  /** Reference of the image that it starts from. */
  readonly base: string;
  readonly inputs: string;
  /** What the image says of itself. */
  readonly description: string;
}

/** Builds an image without network; works with the engine's classic builder, which needs no plugin. */
export async function buildImage({ context, reference, base, inputs, description }: Build): Promise<void> {
  const labels = { [inputsLabel]: inputs, "org.opencontainers.image.description": description };
  const flags = Object.entries(labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
  await run("docker", ["build", "--network", "none", "--force-rm", "--build-arg", `BASE=${base}`, ...flags, "--tag", reference, context], { env: { DOCKER_BUILDKIT: "0" } });
}

/** Removes images made here that a newer one has replaced and no container uses. */
export async function removeReplaced(): Promise<void> {
  await capture("docker", ["image", "prune", "--force", "--filter", `label=${inputsLabel}`]);
}
