/** Loaded by Node before the program (`nodeargs` in Pulumi.yaml). JavaScript, because an older Node reads it too. */
import process from "node:process";

// Newer ones read TypeScript by themselves, and faster.
if (Number.parseInt(process.versions.node, 10) < 24) await import("tsx");
