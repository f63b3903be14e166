import { execFile } from "node:child_process";
import { linkSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readDigests, thirdParty } from "../../components/images.ts";
import { check, merged, officialReferences, pin, referencesOf } from "../../tools/pin-images.ts";
import { root } from "../../tools/service-sources.ts";
import { digestOf, FakeRegistry } from "../support/fake-registry.ts";

let registry: FakeRegistry;
let folder: string;
let file: string;
const said: string[] = [];
beforeEach(async () => {
  registry = await new FakeRegistry().start();
  folder = mkdtempSync(join(tmpdir(), "pins-"));
  file = join(folder, "digests.json");
  said.length = 0;
  vi.spyOn(console, "log").mockImplementation((line: string) => void said.push(line));
});
afterEach(async () => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
  await registry.stop();
});
const at = (image: string) => `${registry.host}/${image}`;

describe("pinning", () => {
  it("writes the digest of every image, and says what has changed", async () => {
    registry.images["b/tool:2"] = { digest: digestOf("b") };
    registry.images["a/tool:1"] = { digest: digestOf("a"), type: "application/vnd.oci.image.manifest.v1+json" };
    await pin([at("b/tool:2"), at("a/tool:1")], file);
    expect(readFileSync(file, "utf8")).toBe(`{\n  "${at("a/tool:1")}": "${digestOf("a")}",\n  "${at("b/tool:2")}": "${digestOf("b")}"\n}\n`);
    expect(said).toEqual([`${at("b/tool:2")}@${digestOf("b")}  new`, `${at("a/tool:1")}@${digestOf("a")}  new; an image of one platform only`, expect.stringMatching(/digests\.json has 2 digests$/)]);
    registry.images["b/tool:2"] = { digest: digestOf("c") };
    said.length = 0;
    await pin([at("b/tool:2"), at("a/tool:1")], file);
    expect(said.slice(0, 2)).toEqual([`${at("b/tool:2")}@${digestOf("c")}  was ${digestOf("b")}`, expect.stringContaining("  as before")]);
    expect(readDigests(file)).toMatchObject({ [at("b/tool:2")]: digestOf("c") });
  });

  it("replaces the file by rename", async () => {
    writeFileSync(file, "{}");
    linkSync(file, join(folder, "old"));
    registry.images["a/tool:1"] = {};
    await pin([at("a/tool:1")], file);
    expect(readFileSync(join(folder, "old"), "utf8")).toBe("{}");
    expect(readdirSync(folder).sort()).toEqual(["digests.json", "old"]);
  });

  it("writes nothing when one image fails, and gives each failure a line", async () => {
    Object.assign(registry.images, { "a/good:1": {}, "a/limited:1": { status: 429 }, "a/page:1": { type: "text/html" } });
    const failing = pin(["a/good:1", "a/gone:1", "a/limited:1", "a/page:1"].map(at), file);
    const error = (await failing.catch((e: Error) => e)) as Error;
    expect(error.message.split("\n")).toEqual([
      `${at("a/gone:1")}: the registry has no such image`,
      expect.stringMatching(/a\/limited:1: .*limits requests/),
      expect.stringMatching(/a\/page:1: .*media type text\/html/),
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("does not overwrite a file that it cannot read", async () => {
    writeFileSync(file, "{");
    registry.images["a/tool:1"] = {};
    await expect(pin([at("a/tool:1")], file)).rejects.toThrow(/is not JSON/);
    expect(readFileSync(file, "utf8")).toBe("{");
  });

  it("leaves out earlier tags of the same images, but none of other names or of the table", () => {
    const [official] = officialReferences();
    const name = official!.split(":")[0];
    const before = { [official!]: digestOf("1"), [`${name}:v0`]: digestOf("2"), "r.example.com/other:1": digestOf("3") };
    const found = { digest: digestOf("4"), everyPlatform: true };
    expect(merged(before, new Map([[`${name}:v9`, found]]))).toEqual({
      digests: { [official!]: digestOf("1"), [`${name}:v9`]: digestOf("4"), "r.example.com/other:1": digestOf("3") },
      dropped: [`${name}:v0`],
    });
  });
});

describe("checking", () => {
  it("writes nothing and says which differ", async () => {
    Object.assign(registry.images, { "a/same:1": { digest: digestOf("a") }, "a/moved:1": { digest: digestOf("b") }, "a/new:1": { digest: digestOf("c") } });
    const text = JSON.stringify({ [at("a/same:1")]: digestOf("a"), [at("a/moved:1")]: digestOf("0") });
    writeFileSync(file, text);
    const error = (await check(["a/same:1", "a/moved:1", "a/new:1"].map(at), file).catch((e: Error) => e)) as Error;
    expect(error.message.split("\n")).toEqual([
      `${at("a/moved:1")}: is pinned to ${digestOf("0")}, the registry has ${digestOf("b")}`,
      `${at("a/new:1")}: is not pinned, the registry has ${digestOf("c")}`,
      "2 of 3 images differ; the same command without --check pins them",
    ]);
    expect(readFileSync(file, "utf8")).toBe(text);
    await check([at("a/same:1")], file);
    expect(said).toEqual(["all 1 images are pinned to what their registries have"]);
  });
});

describe("what is asked for", () => {
  it("is the whole table", () => {
    expect(officialReferences()).toHaveLength(Object.keys(thirdParty).length);
    expect(officialReferences()).toEqual(expect.arrayContaining([`node:${thirdParty.node.tag}`, `grafana/grafana:${thirdParty.grafana.tag}`]));
  });

  it("are a stack's own registry and versions, without what is pinned by its settings or left out", () => {
    const versions = { kafka: "4.2.0", prometheus: digestOf("a") };
    const references = referencesOf("dev", { imageRegistry: "r.example.com/crm", grafana: "none", versions });
    expect(references).toContain("r.example.com/crm/apache/kafka:4.2.0");
    expect(references.filter((reference) => /prometheus|grafana/.test(reference))).toEqual([]);
    expect(references).toHaveLength(5);
  });

  it("is nothing where no registry has the images", () => {
    expect(() => referencesOf("dev", { imageRegistry: "localhost/crm-offline" })).toThrow(/^\[imageRegistry\] "localhost\/crm-offline" stands for images on the engine itself/);
  });
});

describe("the command", () => {
  const command = (...args: string[]) =>
    promisify(execFile)(process.execPath, ["tools/pin-images.ts", ...args], { cwd: root }).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );

  it("checks a stack's images at its registry", async () => {
    for (const reference of referencesOf("dev", { imageRegistry: "r.example.com/crm" })) registry.images[reference.replace("r.example.com/", "")] = {};
    const { code, stderr } = await command("--check", "--stack", "dev", "--set", `imageRegistry=${registry.host}/crm`);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(8);
    expect(stderr).toContain(`${at(`crm/node:${thirdParty.node.tag}`)}: is not pinned, the registry has ${digestOf("a")}`);
    expect(stderr).toContain("7 of 7 images differ");
  });

  it.each([[["--chek"], "--chek"], [["--set", "grafana=none"], "--set is for a stack"], [["--stack", "typo"], "there is no Pulumi.typo.yaml"]])("refuses %j in one line", async (args, message) => {
    const { code, stderr } = await command(...args);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
