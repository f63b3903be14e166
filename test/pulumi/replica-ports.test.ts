/** What the adapter does before it creates a container that publishes a port, with the engine's calls noted instead of made. */
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, it, vi } from "vitest";
import type { WorkloadArgs } from "../../components/platform/platform.ts";
import { tinyWorkload } from "../support/kubernetes-samples.ts";

const calls: string[] = [];
vi.mock("../../components/platform/docker-engine.ts", () => ({
  removeContainer: async (...args: string[]) => void calls.push(`remove ${args.join(" ")}`),
  stopContainer: async (...args: string[]) => void calls.push(`stop ${args.join(" ")}`),
  removeNetwork: async () => undefined,
}));

/** What happens before each container is created, by its name. */
const before: Record<string, () => Promise<string[]>> = {};
type Work = () => Promise<void>;

beforeAll(async () => {
  await pulumi.runtime.setMocks({ newResource: (args) => ({ id: args.name, state: args.inputs }), call: () => ({}) }, "project", "sample", false);
  // Mocks know no hooks: they are taken out on the way.
  const take: pulumi.ResourceTransformation = ({ name, props, opts }) => {
    const [work] = (opts as pulumi.CustomResourceOptions).hooks?.beforeCreate ?? [];
    before[name] = async () => {
      calls.length = 0;
      await (work as Work)();
      return [...calls];
    };
    return { props, opts: { ...opts, hooks: undefined } };
  };
  const { DockerPlatform } = await import("../../components/platform/docker.ts");
  const platform = new DockerPlatform("crm-x", { prefix: "crm-x", secretsDir: "/run/secrets/crm", builds: new Map() }, { transformations: [take] });
  const run = (name: string, args: Partial<WorkloadArgs>) => platform.run(name, { ...tinyWorkload, ...args }, { parent: platform });
  run("one", { publish: 8080 });
  run("three", { publish: 8081, replicas: 3 });
  run("extra", { publishExtra: { 9094: 9094 } });
  run("inside", { replicas: 2 });
  await pulumi.runtime.disconnect();
});

it("a single replica takes the port from the first of several, which goes at the end of the update", async () => {
  expect(await before["crm-x-one"]!()).toEqual(["remove crm-x-one crm-x", "stop crm-x-one-1 crm-x"]);
  expect(await before["crm-x-extra"]!()).toEqual(["remove crm-x-extra crm-x", "stop crm-x-extra-1 crm-x"]);
});

it("the first of several takes it from the single one", async () => {
  expect(await before["crm-x-three-1"]!()).toEqual(["remove crm-x-three-1 crm-x", "stop crm-x-three crm-x"]);
});

it("one that publishes nothing takes it from nobody", async () => {
  for (const name of ["crm-x-three-2", "crm-x-three-3", "crm-x-inside-1", "crm-x-inside-2"]) expect(await before[name]!()).toEqual([`remove ${name} crm-x`]);
});
