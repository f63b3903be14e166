import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageOf, ownImageOf, readDigests, thirdParty } from "../../components/images.ts";
import { sourceHash } from "../../tools/service-sources.ts";
import { sampleSettings } from "../support/settings.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const kafka = `apache/kafka:${thirdParty.kafka.tag}`;
const node = `node:${thirdParty.node.tag}`;

describe("a pinned image", () => {
  const pins = { [kafka]: digest("a"), [`localhost/crm-offline/${kafka}`]: digest("b"), [`registry.example.com/crm/${kafka}`]: digest("c") };

  it("is named by tag and digest", () => {
    expect(imageOf(sampleSettings(), "kafka", pins)).toBe(`${kafka}@${digest("a")}`);
    expect(imageOf(sampleSettings(), "kafka", {})).toBe(kafka);
  });

  it("is pinned in that version alone", () => {
    expect(imageOf(sampleSettings({ versions: { kafka: "4.2.0" } }), "kafka", pins)).toBe("apache/kafka:4.2.0");
    expect(imageOf(sampleSettings({ versions: { kafka: thirdParty.kafka.tag } }), "kafka", pins)).toBe(`${kafka}@${digest("a")}`);
    expect(imageOf(sampleSettings({ versions: { kafka: digest("d") } }), "kafka", pins)).toBe(`apache/kafka@${digest("d")}`);
  });

  it("is pinned in that registry alone, and never on the engine itself", () => {
    expect(imageOf(sampleSettings({ imageRegistry: "mirror.example.com" }), "kafka", pins)).toBe(`mirror.example.com/${kafka}`);
    expect(imageOf(sampleSettings({ imageRegistry: "registry.example.com/crm/" }), "kafka", pins)).toBe(`registry.example.com/crm/${kafka}@${digest("c")}`);
    expect(imageOf(sampleSettings({ imageRegistry: "localhost/crm-offline" }), "kafka", pins)).toBe(`localhost/crm-offline/${kafka}`);
  });
});

describe("the tag of an image of ours", () => {
  const tagOf = (pins: Record<string, string>, versions = {}) => ownImageOf(sampleSettings({ versions }), "crm-api", pins).split(":")[1];

  it("is the hash of its sources", () => expect(tagOf({})).toBe(sourceHash("crm-api")));

  it("changes with a base image that is pinned or chosen", () => {
    const tags = [tagOf({}), tagOf({ [node]: digest("a") }), tagOf({ [node]: digest("b") }), tagOf({}, { node: "26-alpine" }), tagOf({}, { node: digest("c") })];
    expect(new Set(tags).size).toBe(tags.length);
    for (const tag of tags) expect(tag).toMatch(/^[0-9a-f]{12}$/);
    expect(tagOf({ [kafka]: digest("a") })).toBe(tagOf({}));
  });

  it("is the one that the settings give", () => expect(tagOf({ [node]: digest("a") }, { "crm-api": "1.0" })).toBe("1.0"));
});

describe("the file of digests", () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "digests-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const read = (text: string) => {
    writeFileSync(join(folder, "digests.json"), text);
    return readDigests(join(folder, "digests.json"));
  };

  it("need not be there", () => expect(readDigests(join(folder, "none.json"))).toEqual({}));

  it("holds references and digests", () => expect(read(JSON.stringify({ [kafka]: digest("a") }))).toEqual({ [kafka]: digest("a") }));

  it.each([
    ["is not JSON", "{"],
    ["is not an object", "[]"],
    ["is not an object", "null"],
    ["has a wrong entry", `{"node": "${digest("a")}"}`],
    ["has a wrong entry", `{"node:24@sha256": "${digest("a")}"}`],
    ["has a wrong entry", `{"node:24": "sha256:12"}`],
    ["has a wrong entry", `{"node:24": ["${digest("a")}"], "x:1": 1}`],
  ])("that %s is named with its fix: %s", (what, text) => {
    expect(() => read(text)).toThrow(new RegExp(`digests\\.json ${what}.*; remove it, and make it again with: npm run images:pin$`));
  });

  it("that cannot be read is no absent one", () => expect(() => readDigests(folder)).toThrow(/cannot be read \(EISDIR/));
});
