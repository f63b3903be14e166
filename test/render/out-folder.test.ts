/** Which folders `render --out` replaces things in, and who can read what it writes. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "out-folder-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const render = (out: string) => spawnSync("sh", ["-c", `umask 077; exec "$0" render/cli.ts --stack dev --out "$1"`, process.execPath, out], { cwd: root, encoding: "utf8" });

describe("render --out", () => {
  it("refuses a folder of somebody else's and leaves it as it is", () => {
    const out = join(folder, "project");
    mkdirSync(join(out, "config"), { recursive: true });
    writeFileSync(join(out, ".env"), "KEEP=1\n");
    const { status, stderr } = render(out);
    expect(status).toBe(1);
    expect(stderr).toBe(`--out ${out}: is not empty and no earlier rendering (there is no resources.json in it); name a new or an empty folder\n`);
    expect(readFileSync(join(out, ".env"), "utf8")).toBe("KEEP=1\n");
    expect(readdirSync(out).sort()).toEqual([".env", "config"]);
    writeFileSync(join(folder, "file"), "");
    expect(render(join(folder, "file")).stderr).toContain("is a file, not a folder");
  }, 60_000);

  it("refuses a folder that cannot be made", () => {
    expect(render("/proc/new/folder")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^--out: .*'\/proc\/new'; name a folder that can be written\n$/) });
  }, 60_000);

  it("takes a new folder, one with secrets only, and its own again; containers can read it whatever the umask", () => {
    const out = join(folder, "fresh");
    mkdirSync(join(out, "secrets"), { recursive: true });
    writeFileSync(join(out, "secrets/kept"), "");
    expect(render(out)).toMatchObject({ status: 0, stderr: "" });
    writeFileSync(join(out, "config/stale"), "");
    expect(render(out)).toMatchObject({ status: 0, stderr: "" });
    expect([existsSync(join(out, "config/stale")), existsSync(join(out, "secrets/kept"))]).toEqual([false, true]);
    const modes = ["config", ...readdirSync(join(out, "config"), { recursive: true }).map((path) => `config/${String(path)}`)].map((path) => statSync(join(out, path)));
    expect(new Set(modes.map((s) => `${s.isDirectory() ? "folder" : "file"} ${(s.mode & 0o777).toString(8)}`))).toEqual(new Set(["folder 755", "file 644"]));
  }, 120_000);
});
