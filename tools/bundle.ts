/**
 * Bundles services into `dist/services/<name>/`: one `server.mjs` with every dependency inside, which is all that an image
 * needs beside Node, and `public/` for a service that has pages.
 *
 * From a shell: `node tools/bundle.ts [name ...]`.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";
import { root, serviceNames, sourceHash } from "./service-sources.ts";

export { serviceNames, sourceHash, type ServiceName } from "./service-sources.ts";

/** Gives CommonJS dependencies inside the ES module what they take for granted. */
const commonJsBanner = [
  `import { createRequire as bannerCreateRequire } from "node:module";`,
  `import { fileURLToPath as bannerFileURLToPath } from "node:url";`,
  `const require = bannerCreateRequire(import.meta.url);`,
  `const __filename = bannerFileURLToPath(import.meta.url);`,
  `const __dirname = bannerFileURLToPath(new URL(".", import.meta.url));`,
].join("\n");

/** A dependency's own file read at its start, such as WebAssembly: there is no such file beside a bundle. */
const ownFileRead = /readFileSync\(new URL\((["'])([^"']+)\1, import\.meta\.url\)\)/g;

/** Puts such files into the bundle. */
const inlineOwnFiles: Plugin = {
  name: "inline-own-files",
  setup(build) {
    build.onLoad({ filter: /node_modules[\\/]@platformatic[\\/].*\.js$/ }, ({ path }) => ({
      loader: "js",
      contents: readFileSync(path, "utf8").replace(ownFileRead, (_read, _quote, file: string) => {
        const content = readFileSync(join(dirname(path), file)).toString("base64");
        return `Buffer.from("${content}", "base64")`;
      }),
    }));
  },
};

/** Modules that dependencies ask for inside a `try` and do without. */
const optionalModules = ["pg-native", "pg-cloudflare"];

/** @returns the folder that holds a service's bundle, and is the build context of its image. */
export function bundleFolder(name: string): string {
  return join(root, "dist/services", name);
}

/**
 * Bundles the named services, one after the other; one whose sources did not change since its last bundle is left alone.
 * @param names default: all of them
 * @throws Error of the bundler, which names file and line, or that a service does not exist
 */
export async function bundleServices(names: readonly string[] = serviceNames): Promise<void> {
  for (const name of names) {
    const hash = sourceHash(name);
    if (bundledHash(name) === hash) continue;
    // Built aside and renamed, so that nobody ever sees half a bundle, not even two builds at once.
    mkdirSync(join(root, "dist/services"), { recursive: true });
    const fresh = mkdtempSync(`${bundleFolder(name)}.`);
    try {
      await bundleProgram(`services/${name}/server.ts`, join(fresh, "server.mjs"));
      await bundlePages(name, fresh);
      // Beside the bundle, so that the folder alone is a complete build context, on a remote engine too.
      cpSync(join(root, "services/Dockerfile"), join(fresh, "Dockerfile"));
      writeFileSync(join(fresh, ".hash"), hash);
      replaceFolder(fresh, name, hash);
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  }
}

function bundledHash(name: string): string | undefined {
  try {
    return readFileSync(join(bundleFolder(name), ".hash"), "utf8");
  } catch {
    return undefined;
  }
}

/** Puts the fresh bundle in place; another build that was first with the same sources is as good, and may be on its way into an image. */
function replaceFolder(fresh: string, name: string, hash: string): void {
  if (bundledHash(name) === hash) return;
  const target = bundleFolder(name);
  const old = `${fresh}.old`;
  try {
    if (existsSync(target)) renameSync(target, old);
    renameSync(fresh, target);
  } catch (error) {
    if (bundledHash(name) !== hash) throw error;
  } finally {
    rmSync(old, { recursive: true, force: true });
  }
}

/**
 * Bundles one program that Node runs, with every dependency inside.
 * @param entry path from the root, such as `services/crm-api/server.ts`
 * @param outfile the bundle's path
 * @throws Error of the bundler, which names file and line
 */
export async function bundleProgram(entry: string, outfile: string): Promise<void> {
  const { build } = await import("esbuild");
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: false,
    sourcemap: false,
    legalComments: "eof",
    banner: { js: commonJsBanner },
    external: optionalModules,
    plugins: [inlineOwnFiles],
    logLevel: "error",
  });
  const left = readFileSync(outfile, "utf8").match(ownFileRead);
  if (left) throw new Error(`${entry}: a dependency reads a file that the bundle lacks: ${left[0]}`);
}

/** `web/main.ts` becomes `public/main.js` and `public/main.css`; files of `services/<name>/public` are copied beside them. */
async function bundlePages(name: string, out: string): Promise<void> {
  const source = join(root, "services", name);
  if (existsSync(join(source, "public"))) cpSync(join(source, "public"), join(out, "public"), { recursive: true });
  if (!existsSync(join(source, "web/main.ts"))) return;
  const { build } = await import("esbuild");
  await build({
    absWorkingDir: root,
    entryPoints: [`services/${name}/web/main.ts`],
    outdir: join(out, "public"),
    bundle: true,
    platform: "browser",
    target: "es2022",
    format: "esm",
    minify: true,
    sourcemap: false,
    legalComments: "eof",
    logLevel: "error",
  });
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  await bundleServices(names.length > 0 ? names : serviceNames);
}
