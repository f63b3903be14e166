/** The page's own files, held in memory: few, small and fixed at the start. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

export interface Asset {
  readonly body: Buffer;
  readonly type: string;
  /** Quoted, as the header wants it. */
  readonly etag: string;
}

export interface Assets {
  readonly files: ReadonlyMap<string, Asset>;
  /** Changes with any file, so that an open page knows that it is out of date. */
  readonly build: string;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * @param folder `public` of the bundle
 * @throws Error when the bundle was not made
 */
export function loadAssets(folder: string): Assets {
  if (!existsSync(join(folder, "main.js"))) throw new Error(`${folder} has no main.js: run "node tools/bundle.ts command-center" and start the bundle`);
  const hash = createHash("sha256");
  const files = new Map<string, Asset>();
  for (const name of readdirSync(folder).sort()) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const body = readFileSync(join(folder, name));
    const digest = createHash("sha256").update(body).digest("base64url");
    hash.update(`${name} ${digest}\n`);
    files.set(name, { body, type, etag: `"${digest.slice(0, 22)}"` });
  }
  return { files, build: hash.digest("hex").slice(0, 12) };
}
