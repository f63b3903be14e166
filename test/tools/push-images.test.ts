import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageOf, ownImageOf, thirdParty } from "../../components/images.ts";
import { ownNamesOf, thirdPartyOf } from "../../tools/images.ts";
import { pushImages } from "../../tools/push-images.ts";
import { root } from "../../tools/service-sources.ts";
import { settingsOf } from "../../tools/stacks.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rendered } from "../support/render.ts";

let registry: FakeRegistry;
let docker: FakeDocker | undefined;
beforeEach(async () => void (registry = await new FakeRegistry().start()));
afterEach(async () => {
  docker?.remove();
  docker = undefined;
  await registry.stop();
});

/** An engine that has all images of ours, unless the cases of a shell before it say otherwise. */
function engine(cases = ""): FakeDocker {
  return (docker = fakeDocker(`case "$*" in
    ${cases}
    version*) echo "28.0.0 1.48 1.24";;
    "image inspect"*/crm-observability/*) return 0;;
    "image inspect"*) return 1;;
    pull*|tag*|push*|build*) return 0;;
    *) echo "unexpected: $*" >&2; return 2;;
  esac`));
}
const stack = (overrides = {}) => settingsOf("prod", { imageRegistry: `${registry.host}/crm`, ...overrides });
/** Puts images into the registry. */
const has = (...references: string[]) => {
  for (const reference of references) registry.images[reference.slice(registry.host.length + 1)] = {};
};
const ownOf = (s = stack()) => ownNamesOf(s).map((name) => ownImageOf(s, name));
const calls = (kind: string) => docker!.calls().filter((call) => call.startsWith(`${kind} `));

describe("pushing the images of a stack", () => {
  it("pushes the images of ours that its program names, no more and no less", async () => {
    engine();
    const { pushed, there } = await pushImages(stack());
    const { files } = await rendered("prod", `imageRegistry=${registry.host}/crm`);
    const named = Object.values(files).flatMap((text) => text.match(new RegExp(`${registry.host}/crm/crm-observability/[\\w.:-]+`, "g")) ?? []);
    expect([...pushed].sort()).toEqual([...new Set(named)].sort());
    expect(pushed).toHaveLength(4);
    expect(there).toEqual([]);
    expect(calls("push")).toEqual(pushed.map((reference) => `push --quiet ${reference}`));
    expect(calls("build")).toEqual([]);
  });

  it("leaves alone what the registry has", async () => {
    engine();
    const own = ownOf();
    has(...own.slice(1));
    expect(await pushImages(stack())).toEqual({ pushed: [own[0]], there: own.slice(1) });
    has(own[0]!);
    expect(await pushImages(stack())).toEqual({ pushed: [], there: own });
    expect(calls("push")).toHaveLength(1);
  });

  it("builds what the engine lacks on the stack's own base", async () => {
    const [first, ...others] = ownOf();
    has(...others);
    engine(`"image inspect"*${first}) return 1;;`);
    expect((await pushImages(stack())).pushed).toEqual([first]);
    const base = `${registry.host}/crm/node:${thirdParty.node.tag}`;
    expect(docker!.calls().filter((call) => /^(pull|build|push) /.test(call))).toEqual([
      `pull --quiet ${base}`,
      expect.stringMatching(`^build --quiet --build-arg BASE=${base} --tag ${first} .*dist/services/`),
      `push --quiet ${first}`,
    ]);
  });

  it("says how to get a base that the registry lacks", async () => {
    engine(`"image inspect"*) return 1;; pull*) echo "manifest unknown" >&2; return 1;;`);
    await expect(pushImages(stack())).rejects.toThrow(/^\[imageRegistry\] .*\/crm\/node:\S+ cannot be pulled \(manifest unknown\), and our images start from it; put what is missing there with: npm run images:push -- --stack prod --mirror$/);
    expect(calls("build")).toEqual([]);
    docker!.remove();
    engine(`"image inspect"*) return 1;; pull*) echo "no basic auth credentials" >&2; return 1;;`);
    await expect(pushImages(stack())).rejects.toThrow(new RegExp(`and our images start from it; log in with: docker login ${registry.host}$`));
  });

  it("stops at a registry that does not answer well", async () => {
    engine();
    registry.images[ownOf()[0]!.slice(registry.host.length + 1)] = { status: 503 };
    await expect(pushImages(stack())).rejects.toThrow(/crm-api:\w+: .*answers with status 503$/);
    expect(calls("push")).toEqual([]);
  });

  it("pushes a hash's tag to a registry that does not say what it has, but never another tag", async () => {
    engine();
    registry.login = "someone:else";
    expect((await pushImages(stack())).pushed).toHaveLength(4);
    await expect(pushImages(stack({ versions: { "crm-api": "1.0" } }))).rejects.toThrow(/crm-api:1\.0: .*refuses \(401\)/);
  });

  it("says why an image cannot be pushed, and how to log in where that is the reason", async () => {
    engine(`push*crm-events:*) echo "denied: requested access to the resource is denied" >&2; return 1;;`);
    await expect(pushImages(stack())).rejects.toThrow(new RegExp(`^\\[imageRegistry\\] .*/crm-events:\\w+ cannot be pushed \\(denied: .*\\); log in with: docker login ${registry.host}$`));
    docker!.remove();
    engine(`push*) echo "no space left on device" >&2; return 1;;`);
    await expect(pushImages(stack())).rejects.toThrow(/\(no space left on device\)$/);
  });
});

describe("with the third-party images", () => {
  it("copies the official ones that the registry lacks", async () => {
    engine();
    has(...ownOf(), ...thirdPartyOf(stack()).filter((reference) => !/kafka:|node:/.test(reference)));
    const { pushed } = await pushImages(stack(), true);
    const copies = [`apache/kafka:${thirdParty.kafka.tag}`, `node:${thirdParty.node.tag}`].map((image) => `${registry.host}/crm/${image}`);
    // With their digests where the repository has pinned them.
    const official = (["kafka", "node"] as const).map((name) => imageOf({ ...stack(), imageRegistry: undefined }, name));
    expect(pushed).toEqual(copies);
    expect(calls("pull")).toEqual(official.map((image) => `pull --quiet ${image}`));
    expect(calls("tag")).toEqual(official.map((image, i) => `tag ${image} ${copies[i]}`));
  });

  it("cannot make a digest", async () => {
    engine();
    const versions = { prometheus: `sha256:${"a".repeat(64)}` };
    await expect(pushImages(stack({ versions }), true)).rejects.toThrow(/prom\/prometheus@sha256:a+ is not in the registry, and a copy pushed by an engine has another digest/);
    expect(calls("push")).toEqual([]);
  });

  it("overwrites nothing that it cannot ask for, and stops at what cannot be pulled", async () => {
    engine(`pull*) echo "no such host" >&2; return 1;;`);
    await expect(pushImages(stack(), true)).rejects.toThrow(/^prom\/prometheus:\S+ cannot be pulled \(no such host\)$/);
    registry.login = "someone:else";
    await expect(pushImages(stack(), true)).rejects.toThrow(/prom\/prometheus:\S+: .*refuses \(401\)/);
    expect(calls("push")).toEqual([]);
  });
});

describe("is refused", () => {
  it("for a stack without a registry, before the engine is asked", async () => {
    engine();
    await expect(pushImages(settingsOf("dev"))).rejects.toThrow('[imageRegistry] is not set: stack "dev" has no registry to push to; set it with: pulumi config set imageRegistry registry.example.com/crm --stack dev');
    await expect(pushImages(settingsOf("dev", { imageRegistry: "localhost/crm-offline" }))).rejects.toThrow('[imageRegistry] "localhost/crm-offline" stands for images on the engine itself: stack "dev"');
    expect(docker!.calls()).toEqual([]);
  });

  it("without an engine", async () => {
    engine(`version*) echo "Cannot connect to the Docker daemon" >&2; return 1;;`);
    await expect(pushImages(stack())).rejects.toThrow(/^no Docker engine answers, which builds and pushes the images: start one, or set DOCKER_HOST$/);
    expect(registry.asked).toEqual([]);
  });

  it.each([[[], "usage: npm run images:push -- --stack NAME"], [["--stack", "prod", "--miror"], "--miror"], [["--stack", "dev"], "[imageRegistry] is not set"]])("with %j on the command line", (args, message) => {
    const { status, stderr } = spawnSync(process.execPath, ["tools/push-images.ts", ...args], { cwd: root, encoding: "utf8", env: { ...process.env, PATH: engine().path } });
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(docker!.calls()).toEqual([]);
  });
});
