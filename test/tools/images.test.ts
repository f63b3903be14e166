import { afterEach, describe, expect, it } from "vitest";
import { imageOf, ownImageOf } from "../../components/images.ts";
import { offlineOverrides, prepareImages } from "../../tools/images.ts";
import { settingsOf } from "../../tools/stacks.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";

let docker: FakeDocker;
afterEach(() => docker.remove());

/** An engine with our own images and what else is given, by patterns of the shell. */
function engine(has: { official: boolean; offline: boolean; pulls: boolean; grafanaData?: boolean }): void {
  const yes = (value: boolean | undefined) => (value ? "return 0" : "return 1");
  docker = fakeDocker(`case "$*" in
    "image inspect"*/crm-observability/*) return 0;;
    "image inspect"*" crm-observability/"*) return 0;;
    "image inspect"*localhost/crm-offline/*) ${yes(has.offline)};;
    "image inspect"*) ${yes(has.official)};;
    pull*) ${has.pulls ? "return 0" : "echo 'dial tcp: no such host' >&2; return 1"};;
    "volume inspect crm-dev-grafana-data") ${yes(has.grafanaData)};;
    *) echo "unexpected: $*" >&2; return 2;;
  esac`);
}
/** Without the simulator, and so without what it exports. */
const given = { simulator: false, ragTargets: [] };
const pulls = () => docker.calls().filter((call) => call.startsWith("pull "));

describe("the images of a stack", () => {
  it("are the official ones where they can be pulled, also when others were built for the tests", async () => {
    engine({ official: false, offline: true, pulls: true });
    expect(await prepareImages("dev", given)).toEqual(given);
    expect(pulls().some((call) => call.includes("grafana/grafana:"))).toBe(true);
  });

  it("are those that are there, without a word to a registry", async () => {
    engine({ official: true, offline: true, pulls: false });
    expect(await prepareImages("dev", {})).toEqual({});
    expect(pulls()).toEqual([]);
  });

  it("are the built ones after one pull that fails", async () => {
    engine({ official: false, offline: true, pulls: false });
    expect(await prepareImages("dev", given)).toEqual({ ...given, ...offlineOverrides });
    expect(pulls()).toHaveLength(1);
  });

  it("are the built ones beside a Grafana of somebody else, which needs none", async () => {
    engine({ official: false, offline: true, pulls: false, grafanaData: true });
    const external = { grafana: "external", grafanaUrl: "https://grafana.example.com", urls: { prometheus: "https://prometheus.example.com" } };
    expect(await prepareImages("dev", external)).toEqual({ ...external, imageRegistry: offlineOverrides.imageRegistry });
  });

  it("are never such that a Grafana with data is left out, unless that is asked for", async () => {
    engine({ official: false, offline: true, pulls: false, grafanaData: true });
    await expect(prepareImages("dev", {})).rejects.toThrow(/no such host.*crm-dev-grafana-data: try again later, or give Grafana up with: npm run up -- dev --set grafana=none/);
    expect(await prepareImages("dev", { grafana: "none" })).toEqual(offlineOverrides);
  });

  it("are an error where a registry of the user's own does not have them", async () => {
    engine({ official: false, offline: true, pulls: false });
    await expect(prepareImages("dev", { imageRegistry: "registry.example.com" })).rejects.toThrow(/^\[imageRegistry\] registry\.example\.com\/.* cannot be pulled .*npm run images:push -- --stack dev --mirror$/);
  });

  it("are taken from a registry of the user's own, those of this repository too, and none is built", async () => {
    docker = fakeDocker(`case "$*" in "image inspect"*) return 1;; pull*) return 0;; *) return 2;; esac`);
    const overrides = { ...given, imageRegistry: "registry.example.com/crm" };
    expect(await prepareImages("dev", overrides)).toEqual(overrides);
    const s = settingsOf("dev", overrides);
    expect(pulls()).toEqual(expect.arrayContaining([`pull --quiet ${ownImageOf(s, "crm-api")}`, `pull --quiet ${imageOf(s, "kafka")}`]));
    expect(pulls().filter((call) => /node:|simulator:/.test(call))).toEqual([]);
  });

  it("are built with make images where no registry can have them", async () => {
    engine({ official: true, offline: false, pulls: false });
    await expect(prepareImages("dev", offlineOverrides)).rejects.toThrow(/^\[imageRegistry\] localhost\/crm-offline\/.*; build the images with: make images$/);
  });
});
