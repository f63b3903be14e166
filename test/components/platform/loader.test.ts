import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { configScript, revisionOf, secretsScript, stageDir, volumeDir } from "../../../components/platform/loader.ts";
import type { ConfigArgs, Files } from "../../../components/platform/platform.ts";

let folder: string;
const stage = () => join(folder, "stage");
const volume = () => join(folder, "volume");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "loader-"));
  mkdirSync(volume());
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a loader's script by a real shell, with its folders moved below a temporary one. */
function run(script: string, staged: Files): { code: number; output: string } {
  rmSync(stage(), { recursive: true, force: true });
  mkdirSync(stage());
  for (const [path, text] of Object.entries(staged)) {
    mkdirSync(dirname(join(stage(), path)), { recursive: true });
    writeFileSync(join(stage(), path), text);
  }
  const moved = script.replaceAll(stageDir, stage()).replaceAll(`cd ${volumeDir}`, `cd ${volume()}`).replaceAll(`NEW=${volumeDir}`, `NEW=${volume()}`);
  const { status, stdout, stderr } = spawnSync("sh", ["-c", moved], { encoding: "utf8" });
  return { code: status ?? -1, output: stdout + stderr };
}

const files = (text: string): Files => ({ "main.yml": text, "rules/a.yml": `rule of ${text}` });
const config = (text: string, overrides: Partial<ConfigArgs> = {}): ConfigArgs => ({ mount: "/etc/x", files: files(text), check: "true", ...overrides });
const load = (c: ConfigArgs) => run(configScript(c, ["a", "b"]), c.files);
const live = (path = "main.yml") => readFileSync(join(volume(), "current", path), "utf8");

describe("configuration loader", () => {
  it("puts the first configuration in place without asking anybody to reload", () => {
    expect(load(config("one", { reload: "false" })).code).toBe(0);
    expect(live()).toBe("one");
    expect(live("rules/a.yml")).toBe("rule of one");
  });

  it("checks the staged folder, not the live one", () => {
    load(config("one"));
    expect(load(config("two", { check: 'grep -q two "$NEW/main.yml"' })).code).toBe(0);
    expect(live()).toBe("two");
  });

  it("leaves the old configuration as a whole when the checker refuses, with the checker's words, each time", () => {
    load(config("one"));
    const before = readlinkSync(join(volume(), "current"));
    const bad = config("two", { check: "echo 'line 7: no such field' >&2; false" });
    for (const attempt of [1, 2]) {
      const { code, output } = load(bad);
      expect(code, `attempt ${attempt}`).toBe(3);
      expect(output).toContain("line 7: no such field");
      expect(live()).toBe("one");
    }
    expect(readlinkSync(join(volume(), "current"))).toBe(before);
    expect(readdirSync(volume())).toHaveLength(2);
  });

  it("asks every replica to reload, and only after the switch", () => {
    load(config("one"));
    const log = join(folder, "log");
    expect(load(config("two", { reload: `echo "$HOST $(cat current/main.yml)" >> ${log}` })).code).toBe(0);
    expect(readFileSync(log, "utf8")).toBe("a two\nb two\n");
  });

  it("puts the old configuration back when a replica refuses to load the new one", () => {
    load(config("one"));
    const { code, output } = load(config("two", { reload: '[ "$HOST" = a ] || { echo "b says no" >&2; false; }' }));
    expect(code).toBe(4);
    expect(output).toContain("b says no");
    expect(live()).toBe("one");
  });

  it("asks again on a repeated run, in case the last one ended before the reload", () => {
    load(config("one"));
    const log = join(folder, "log");
    load(config("one", { reload: `echo $HOST >> ${log}` }));
    expect(readFileSync(log, "utf8")).toBe("a\nb\n");
  });

  it("keeps one revision only, and no leftovers of an interrupted run", () => {
    load(config("one"));
    mkdirSync(join(volume(), ".new"));
    writeFileSync(join(volume(), ".new/half"), "");
    load(config("two"));
    expect(readdirSync(volume()).sort()).toEqual(["current", `rev-${revisionOf(files("two"))}`]);
  });
});

describe("revision", () => {
  it("depends on paths and contents, not on their order", () => {
    expect(revisionOf({ a: "1", b: "2" })).toBe(revisionOf({ b: "2", a: "1" }));
    expect(revisionOf({ a: "12", b: "" })).not.toBe(revisionOf({ a: "1", b: "2" }));
  });
});

describe("secrets loader", () => {
  it("writes files that only their owner may read, and empties its staged copies", () => {
    expect(run(secretsScript, { slack: "https://one" }).code).toBe(0);
    expect(readFileSync(join(volume(), "slack"), "utf8")).toBe("https://one");
    expect(statSync(join(volume(), "slack")).mode & 0o777).toBe(0o400);
    expect(readFileSync(join(stage(), "slack"), "utf8")).toBe("");
  });

  it("replaces a file by rename and removes what is gone", () => {
    run(secretsScript, { slack: "one", old: "x" });
    const inode = statSync(join(volume(), "slack")).ino;
    run(secretsScript, { slack: "two" });
    expect(readFileSync(join(volume(), "slack"), "utf8")).toBe("two");
    expect(statSync(join(volume(), "slack")).ino).not.toBe(inode);
    expect(existsSync(join(volume(), "old"))).toBe(false);
  });

  it("leaves a file alone that has not changed", () => {
    run(secretsScript, { slack: "one" });
    const before = statSync(join(volume(), "slack"));
    expect(run(secretsScript, { slack: "one", other: "x" }).code).toBe(0);
    expect(statSync(join(volume(), "slack"))).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
  });

  it("refuses an empty stage, says what fills it, and keeps the files", () => {
    run(secretsScript, { slack: "one" });
    const { code, output } = run(secretsScript, {});
    expect(code).toBe(5);
    expect(output).toContain("no secret files staged; run: npm run render:secrets");
    expect(readFileSync(join(volume(), "slack"), "utf8")).toBe("one");
  });

  it("keeps the files when it is started again after it has emptied its copies", () => {
    run(secretsScript, { slack: "one" });
    run(secretsScript, { slack: "" });
    expect(readFileSync(join(volume(), "slack"), "utf8")).toBe("one");
  });
});
