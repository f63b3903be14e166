import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loginOf } from "../../tools/registry-login.ts";
import { askRegistry, locate, type AskOptions } from "../../tools/registry.ts";
import { digestOf, FakeRegistry } from "../support/fake-registry.ts";

describe("a reference is asked for", () => {
  it.each([
    ["node:24-alpine", "docker.io", "registry-1.docker.io", "library/node", "24-alpine"],
    ["prom/prometheus:v3.15.0", "docker.io", "registry-1.docker.io", "prom/prometheus", "v3.15.0"],
    ["docker.io/node", "docker.io", "registry-1.docker.io", "library/node", "latest"],
    ["index.docker.io/apache/kafka:4.1.2", "docker.io", "registry-1.docker.io", "apache/kafka", "4.1.2"],
    ["registry.example.com/crm/node:24-alpine", "registry.example.com", "registry.example.com", "crm/node", "24-alpine"],
    ["registry.example.com:5000/node", "registry.example.com:5000", "registry.example.com:5000", "node", "latest"],
    ["localhost/crm/node:1", "localhost", "localhost", "crm/node", "1"],
    [`node:24-alpine@${digestOf("b")}`, "docker.io", "registry-1.docker.io", "library/node", digestOf("b")],
    [`ghcr.io/a/b@${digestOf("b")}`, "ghcr.io", "ghcr.io", "a/b", digestOf("b")],
  ])("%s", (reference, registry, host, name, version) => expect(locate(reference)).toEqual({ registry, host, name, version }));
});

describe("a registry", () => {
  let registry: FakeRegistry;
  beforeEach(async () => void (registry = await new FakeRegistry().start()));
  afterEach(() => registry.stop());
  const nobody = () => Promise.resolve(undefined);
  const ask = (image: string, options: AskOptions = {}) => askRegistry(`${registry.host}/${image}`, { login: nobody, ...options });
  const askFor = (answer: FakeRegistry["images"][string], options?: AskOptions) => {
    registry.images["team/tool:1"] = answer;
    return ask("team/tool:1", options);
  };

  it("is asked for a token, with which it gives the digest of the index, and counts no pull", async () => {
    expect(await askFor({ digest: digestOf("c") })).toEqual({ digest: digestOf("c"), everyPlatform: true });
    expect(registry.asked).toEqual(["HEAD /v2/team/tool/manifests/1", "GET /token", "HEAD /v2/team/tool/manifests/1 Bearer"]);
  });

  it("may give a token by its other name", async () => {
    registry.tokenAnswer = JSON.stringify({ access_token: "repository:team/tool:pull" });
    expect(await askFor({})).toMatchObject({ digest: digestOf("a") });
  });

  it("may leave the digest to be computed", async () => {
    const body = `{"manifests":[]}`;
    expect(await askFor({ digest: null, body })).toMatchObject({ digest: `sha256:${createHash("sha256").update(body).digest("hex")}` });
  });

  it("may have an image of one platform", async () => {
    expect(await askFor({ type: "application/vnd.oci.image.manifest.v1+json; charset=utf-8" })).toMatchObject({ everyPlatform: false });
  });

  it("may not have the image", async () => expect(await ask("team/other:1")).toBeUndefined());

  it.each([
    ["limits requests", { status: 429, headers: { "retry-after": "30" } }, /limits requests \(429\): try again in 30 s, or log in first: docker login 127/],
    ["limits requests without a time", { status: 429 }, /\(429\): try again later, or/],
    ["limits requests until a date", { status: 429, headers: { "retry-after": "Wed, 02 Dec 2026 08:00:00 GMT" } }, /try again after Wed, 02 Dec 2026/],
    ["refuses", { status: 403 }, /refuses \(403\): there is no such image, or it needs a login: docker login 127/],
    ["is broken", { status: 503 }, /answers with status 503$/],
    ["is a web page", { type: "text/html; charset=utf-8" }, /media type text\/html, which is no image's/],
    ["has only the oldest form", { type: "application/vnd.docker.distribution.manifest.v1+prettyjws" }, /media type application\/vnd\.docker\.distribution\.manifest\.v1\+prettyjws/],
    ["gives another hash", { digest: "sha512:00" }, /gives no digest of the form sha256:/],
  ])("that %s is one clear error", async (_what, answer, message) => {
    const error = await askFor(answer).catch((e: Error) => e);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message.startsWith(`${registry.host}/team/tool:1: `)).toBe(true);
    expect((error as Error).message).not.toContain("\n");
  });

  it("that does not answer is given up", async () => {
    await expect(askFor({ silent: true }, { seconds: 0.2 })).rejects.toThrow(/^127\.0\.0\.1:\d+\/team\/tool:1: 127\.0\.0\.1:\d+ does not answer within 0\.2 s$/);
  });

  it("that is not there is an error with its reason", async () => {
    const { host } = registry;
    await registry.stop();
    await expect(askRegistry(`${host}/team/tool:1`, { login: nobody })).rejects.toThrow(`${host}/team/tool:1: ${host} cannot be reached (ECONNREFUSED)`);
  });

  it.each([
    ["names no token server", `Bearer service="fake"`],
    ["would have the login sent in plain text", `Bearer realm="http://tokens.example.com/token",service="fake"`],
  ])("that %s is not followed", async (_what, challenge) => {
    registry.challenge = challenge;
    await expect(askFor({})).rejects.toThrow(/wants a token but names no https:\/\/ address/);
    expect(registry.asked).toHaveLength(1);
  });

  it("whose token server gives none is an error", async () => {
    registry.tokenAnswer = "<html>";
    await expect(askFor({})).rejects.toThrow(/gives no token$/);
  });

  it("gets the user's login where it needs one, and not before it asks", async () => {
    registry.login = "anna:pa:ss";
    await expect(askFor({})).rejects.toThrow(/refuses \(401\).*docker login/);
    registry.asked.length = 0;
    const login = (name: string) => Promise.resolve(name === registry.host ? { username: "anna", password: "pa:ss" } : undefined);
    expect(await askFor({}, { login })).toMatchObject({ digest: digestOf("a") });
    expect(registry.asked).toEqual(["HEAD /v2/team/tool/manifests/1", "GET /token Basic", "HEAD /v2/team/tool/manifests/1 Bearer"]);
    registry.challenge = `Basic realm="registry"`;
    expect(await askFor({}, { login })).toMatchObject({ digest: digestOf("a") });
    await expect(askFor({})).rejects.toThrow(/refuses \(401\)/);
  });
});

describe("the login at a registry", () => {
  let folder: string;
  const before = { config: process.env["DOCKER_CONFIG"], path: process.env["PATH"] };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "docker-config-"));
    process.env["DOCKER_CONFIG"] = folder;
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
    if (before.config === undefined) delete process.env["DOCKER_CONFIG"];
    else process.env["DOCKER_CONFIG"] = before.config;
    process.env["PATH"] = before.path;
  });
  const config = (value: unknown) => writeFileSync(join(folder, "config.json"), typeof value === "string" ? value : JSON.stringify(value));

  it("is what the configuration file holds", async () => {
    config({ auths: { "r.example.com": { auth: Buffer.from("anna:pa:ss").toString("base64") }, "https://index.docker.io/v1/": { auth: Buffer.from("hub:pw").toString("base64") } } });
    expect(await loginOf("r.example.com")).toEqual({ username: "anna", password: "pa:ss" });
    expect(await loginOf("docker.io")).toEqual({ username: "hub", password: "pw" });
    expect(await loginOf("other.example.com")).toBeUndefined();
  });

  it("is what its helper program says", async () => {
    writeFileSync(join(folder, "docker-credential-test"), `#!/bin/sh\nread -r key\n[ "$1 $key" = "get r.example.com" ] || { echo "credentials not found"; exit 1; }\necho '{"ServerURL":"r.example.com","Username":"anna","Secret":"pw"}'\n`);
    chmodSync(join(folder, "docker-credential-test"), 0o755);
    process.env["PATH"] = `${folder}:${before.path}`;
    config({ credHelpers: { "r.example.com": "test" } });
    expect(await loginOf("r.example.com")).toEqual({ username: "anna", password: "pw" });
    config({ credsStore: "test" });
    expect(await loginOf("r.example.com")).toEqual({ username: "anna", password: "pw" });
    expect(await loginOf("other.example.com")).toBeUndefined();
    config({ credsStore: "missing" });
    expect(await loginOf("r.example.com")).toBeUndefined();
  });

  it("is none without a file, or with one that cannot be read", async () => {
    expect(await loginOf("docker.io")).toBeUndefined();
    config("{");
    expect(await loginOf("docker.io")).toBeUndefined();
  });
});
