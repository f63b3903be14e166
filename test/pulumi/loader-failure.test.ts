/** What a loader's bad end does to an update, where no CLI is: the adapter under the SDK's mocks, one process each. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { root } from "../components/settings/support.ts";

/**
 * Runs one program whose configuration loader ends as told. The mocks know no hooks, so that resources are registered
 * as for a preview; how the loader's end is taken is decided afterwards.
 */
const script = `
import * as pulumi from "@pulumi/pulumi";
import { tinyWorkload } from "${root}test/support/kubernetes-samples.ts";
const { exitCode, preview, logs } = JSON.parse(process.argv[1]);
const created = [];
const newResource = ({ name, inputs }) => {
  created.push(name);
  return { id: name, state: { ...inputs, ...(name.endsWith("-config-loader") && { exitCode, containerLogs: logs }) } };
};
process.on("exit", () => console.log(JSON.stringify(created)));
await pulumi.runtime.setMocks({ newResource, call: () => ({}) }, "project", "sample", true);
const { DockerPlatform } = await import("${root}components/platform/docker.ts");
const platform = new DockerPlatform("crm-x", { prefix: "crm-x", secretsDir: "/run/secrets/crm", builds: new Map() });
platform.run("part", { ...tinyWorkload, config: { mount: "/etc/part", files: { "main.yml": "a" }, check: "true" } }, { parent: platform });
pulumi.runtime._setIsDryRun(preview);
await pulumi.runtime.disconnect();
`;

function run(exitCode: number | undefined, preview: boolean, logs = "line 7: no such field") {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script, JSON.stringify({ exitCode, preview, logs })], { cwd: root, encoding: "utf8" });
  const [created = "[]"] = stdout.trim().split("\n").slice(-1);
  return { code: status, output: stdout + stderr, created: JSON.parse(created) as string[] };
}

const loader = "crm-x-part-config-loader";
const program = "crm-x-part";

describe("a loader that ended with", () => {
  it("0 lets its program follow", () => {
    const { code, output, created } = run(0, false);
    expect(code, output).toBe(0);
    expect(created).toEqual(expect.arrayContaining([loader, program]));
  });

  it.each([3, 4, 137])("%i fails the update with the checker's own words and the way out, and its program is not touched", (exitCode) => {
    const { code, output, created } = run(exitCode, false);
    expect(code).not.toBe(0);
    expect(output).toContain(`${loader} ended with code ${exitCode}:\nline 7: no such field\n`);
    expect(output).toContain(`pulumi up --replace '**::${loader}'`);
    expect(created).toContain(loader);
    expect(created).not.toContain(program);
  });

  it.each([
    ["a creation that failed half way", undefined],
    ["a refresh after it", 0],
  ])("nothing, because it has never run, fails the update after %s", (_, exitCode) => {
    const { code, output, created } = run(exitCode, false, "");
    expect(code).not.toBe(0);
    expect(output).toContain(`${loader} has not run:`);
    expect(created).not.toContain(program);
  });

  it("3 is a warning of a preview, which shows the program too", () => {
    const { code, output, created } = run(3, true);
    expect(code, output).toBe(0);
    expect(output).toMatch(/warning: .*\nline 7: no such field/);
    expect(created).toContain(program);
  });

  it("nothing yet, as a preview of a new one, is no warning", () => {
    const { code, output, created } = run(undefined, true);
    expect(code, output).toBe(0);
    expect(output).not.toContain("ended with code");
    expect(created).toContain(program);
  });
});
