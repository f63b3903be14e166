/** A configuration folder as one ConfigMap. */
import type { Files } from "../platform.ts";

/** The API refuses more in one ConfigMap, counted over its values. */
const maxBytes = 1024 * 1024;

/** A file of a volume: the key that holds it, and where it appears. */
export interface Item {
  readonly key: string;
  readonly path: string;
}

/**
 * Keys of a ConfigMap know no folders, so `/` becomes `__` and whatever else a key cannot hold becomes `_`.
 * @throws Error when two paths end up as one key
 */
export function itemsOf(part: string, files: Files): Item[] {
  const paths = new Map<string, string>();
  return Object.keys(files)
    .sort()
    .map((path) => {
      const key = path.replaceAll("/", "__").replaceAll(/[^-._a-zA-Z0-9]/g, "_");
      const other = paths.get(key);
      if (other !== undefined) throw new Error(`${part}: the configuration files "${other}" and "${path}" give the same ConfigMap key "${key}"; rename one`);
      paths.set(key, path);
      return { key, path };
    });
}

/**
 * The data of the ConfigMap.
 * @throws Error when it is larger than the API takes, naming the largest files
 */
export function configMapData(part: string, files: Files): Record<string, string> {
  const sizes = Object.entries(files).map(([path, text]) => ({ path, bytes: Buffer.byteLength(text) }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total > maxBytes) {
    const largest = sizes.sort((a, b) => b.bytes - a.bytes).slice(0, 3);
    const names = largest.map(({ path, bytes }) => `${path} (${Math.ceil(bytes / 1024)} KiB)`).join(", ");
    throw new Error(`${part}: its configuration is ${Math.ceil(total / 1024)} KiB, and a ConfigMap holds 1024 KiB; the largest files are ${names}. Configure fewer orgs or tenants`);
  }
  return Object.fromEntries(itemsOf(part, files).map(({ key, path }) => [key, files[path]!]));
}
