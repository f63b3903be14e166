/** Loaded by Node before the program (`nodeargs` in Pulumi.yaml), also where it is rendered. JavaScript, because an older Node reads it too. */
import module from "node:module";
import { join } from "node:path";
import process from "node:process";

// Newer ones read TypeScript by themselves, and faster; from the second time on they load packages compiled.
if (Number.parseInt(process.versions.node, 10) < 24) await import("tsx");
else module.enableCompileCache(join(import.meta.dirname, "../.state/compile-cache"));
