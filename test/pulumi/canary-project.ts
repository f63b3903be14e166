/** A project whose stack file holds every canary encrypted, with a stand-in of the CLI that decrypts them. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stringify } from "yaml";
import { root } from "../components/settings/support.ts";
import { canaries, type CanaryCase } from "./canaries.ts";

export interface CanaryProject {
  readonly folder: string;
  /** Where its stack is rendered to. */
  readonly out: string;
  /** `npm run render` and `npm run render:secrets`, as `make up` calls them without the CLI. */
  render(): { readonly code: number; readonly output: string };
  remove(): void;
}

const project = "crm-observability";

/**
 * @param stack its name
 * @param theCase which canaries, and the settings that use them
 * @param plain further settings
 */
export function canaryProject(stack: string, theCase: CanaryCase, plain: Readonly<Record<string, unknown>>): CanaryProject {
  const folder = mkdtempSync(join(tmpdir(), "canaries-"));
  const cli = mkdtempSync(join(tmpdir(), "cli-"));
  const out = join(folder, "out");
  const keyed = <T>(entries: [string, T][]) => Object.fromEntries(entries.map(([key, value]) => [`${project}:${key}`, value]));
  const encrypted = keyed(theCase.keys.map((key) => [key, { secure: "v1:encrypted" }]));
  copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
  writeFileSync(join(folder, `Pulumi.${stack}.yaml`), stringify({ config: { ...keyed(Object.entries({ ...theCase.plain, ...plain })), ...encrypted } }));
  writeFileSync(join(cli, "answer.json"), JSON.stringify(keyed(theCase.keys.map((key) => [key, { value: canaries[key], secret: true }]))));
  writeFileSync(join(cli, "pulumi"), `#!/bin/sh\ncat "${join(cli, "answer.json")}"\n`, { mode: 0o755 });
  const imports = `import { renderStack } from "${root}render/render.ts"; import { writeSecrets } from "${root}render/secrets.ts";`;
  const env = { ...process.env, PATH: [cli, process.env.PATH].join(delimiter) };
  const run = (call: string) => spawnSync(process.execPath, ["--input-type=module", "-e", `${imports} console.log(await ${call});`], { cwd: root, encoding: "utf8", env });
  return {
    folder,
    out,
    render: () => {
      const calls = [`renderStack("${stack}", "${out}", { root: "${folder}" })`, `writeSecrets("${stack}", "${out}", {}, "${folder}")`].map(run);
      return { code: Math.max(...calls.map((c) => c.status ?? 1)), output: calls.map((c) => c.stdout + c.stderr).join("") };
    },
    remove: () => [folder, cli].forEach((each) => rmSync(each, { recursive: true, force: true })),
  };
}
