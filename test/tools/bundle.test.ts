import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { bundleFolder, bundleServices, serviceNames, sourceHash } from "../../tools/bundle.ts";
import { root } from "../../tools/service-sources.ts";
import { freePort } from "../services/command-center/harness.ts";

/** Runs a bundle in a folder that is not the repository. */
function run(name: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [join(bundleFolder(name), "server.mjs")], { cwd: "/", env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const out of [child.stdout, child.stderr]) out.on("data", (chunk) => (output += chunk));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { child, ended, output: () => output };
}

describe("sourceHash", () => {
  it("is short, the same each time, and another for each service", () => {
    const hashes = serviceNames.map(sourceHash);
    expect(hashes).toEqual(serviceNames.map(sourceHash));
    expect(new Set(hashes).size).toBe(serviceNames.length);
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{12}$/);
    expect(() => sourceHash("nothing")).toThrow('no service "nothing"');
  });

  it("covers every folder that has a server", () => {
    for (const name of serviceNames) expect(existsSync(join(root, "services", name, "server.ts"))).toBe(true);
  });
});

describe("bundleServices", { timeout: 60_000 }, () => {
  it("makes one file that starts anywhere, answers, and ends gracefully", async () => {
    await bundleServices(["slack-standin"]);
    expect(readFileSync(join(bundleFolder("slack-standin"), ".hash"), "utf8")).toBe(sourceHash("slack-standin"));
    const port = await freePort();
    const { child, ended, output } = run("slack-standin", { HOST: "127.0.0.1", PORT: String(port) });
    const deadline = Date.now() + 30_000;
    while (!(await fetch(`http://127.0.0.1:${port}/healthz`).then((r) => r.ok, () => false))) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(output());
      await sleep(100);
    }
    expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain("process_resident_memory_bytes");
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("gives a browser its own bundle and files", async () => {
    await bundleServices(["command-center"]);
    for (const file of ["index.html", "main.js", "main.css", "icon-ok.svg"]) expect(existsSync(join(bundleFolder("command-center"), "public", file))).toBe(true);
  });

  it("ends with one line that names what is wrong with the environment", async () => {
    await bundleServices(["simulator"]);
    const { ended, output } = run("simulator", { ORGS: "[]" });
    expect(await ended).toBe(1);
    expect(output().trim().split("\n")).toHaveLength(1);
    expect(output()).toMatch(/CRM_API_URL: .*ORGS: /);
  });
});
