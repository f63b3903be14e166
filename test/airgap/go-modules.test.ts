import { describe, expect, test } from "vitest";
import { modules, prometheusModuleVersion, programs } from "../../airgap/go-modules.ts";
import { moduleInputs } from "../../airgap/tools.ts";
import { thirdParty } from "../../components/images.ts";

describe("Go modules", () => {
  test.each([
    ["3.15.0", "v0.315.0"],
    ["3.5.1", "v0.305.1"],
    ["4.0.0", "v0.400.0"],
  ])("Prometheus %s is module version %s", (release, version) => {
    expect(prometheusModuleVersion(release)).toBe(version);
  });

  test("are of the versions in the table of images", () => {
    expect(modules.alertmanager.version).toBe(thirdParty.alertmanager.tag);
    expect(modules.blackbox.version).toBe(thirdParty.blackbox.tag);
    expect(`v${modules.prometheus.release}`).toBe(thirdParty.prometheus.tag);
  });

  test("have inputs of their own, so that one's change rebuilds no other", () => {
    const names = new Set(Object.values(programs).map(({ module }) => module));
    expect(new Set([...names].map(moduleInputs)).size).toBe(names.size);
  });
});
