import { beforeAll, describe, expect, it } from "vitest";
import { orSkip, podSecurityJudge, schemaJudge, type Judge, type Manifest } from "../../support/kubernetes-checks.ts";
import { fullStack, fullWorkload, manifestsOf, registered, tinyWorkload } from "../../support/kubernetes-samples.ts";

// The oldest version that has every field used, and the newest with published schemas.
const versions = ["1.31", "1.37"];
let objects: Manifest[];
let schemas: Map<string, Judge>;
let podSecurity: Judge;

/** A copy of the full workload's StatefulSet, spoiled. */
function spoiled(change: (spec: { containers: Record<string, unknown>[]; [key: string]: unknown }) => void): Manifest {
  const copy = structuredClone(objects.find((o) => o.kind === "StatefulSet" && (o.metadata as { name: string }).name === "hub")!) as { spec: { template: { spec: never } } };
  change(copy.spec.template.spec);
  return copy as unknown as Manifest;
}

beforeAll(async () => {
  const resources = manifestsOf(await registered(fullStack, { hub: fullWorkload, tiny: tinyWorkload }));
  schemas = new Map(versions.map((version) => [version, schemaJudge(version)]));
  podSecurity = podSecurityJudge();
  // The mocks hand over a secret's data in Pulumi's envelope.
  objects = resources.map((o) => (o.kind === "Secret" ? { ...o, data: (o.data as { value: unknown }).value } : o));
}, 600_000);

describe.each(versions)("the API's schemas of Kubernetes %s", (version) => {
  it("accept every object, and refuse unknown fields and wrong types", (test) => {
    const judge = orSkip(schemas.get(version)!, test);
    const good = judge(objects);
    expect(good.problems).toEqual([]);
    expect(good.checked).toHaveLength(objects.length);
    expect(judge([spoiled((pod) => (pod.containers[0]!.imagePullpolicy = "Always"))]).problems.join()).toContain("imagePullpolicy");
    expect(judge([spoiled((pod) => (pod.terminationGracePeriodSeconds = "30"))]).problems.join()).toContain("terminationGracePeriodSeconds");
  });
});

describe("the API server's Pod Security checks", () => {
  it("admit both workloads as restricted, and none that gives one thing up", (test) => {
    const judge = orSkip(podSecurity, test);
    expect(judge(objects).problems).toEqual([]);
    expect([...judge(objects).checked].sort()).toEqual(["hub", "tiny"]);
    expect(judge([spoiled((pod) => delete (pod.securityContext as Record<string, unknown>).seccompProfile)]).problems.join()).toContain("seccompProfile");
    expect(judge([spoiled((pod) => delete pod.containers[0]!.securityContext)]).problems.join()).toContain("unrestricted capabilities");
    expect(judge([spoiled((pod) => (pod.volumes = [{ name: "h", hostPath: { path: "/" } }]))]).problems.join()).toContain("restricted volume types");
    expect(() => judge([spoiled((pod) => (pod.hostnetwork2 = true))])).toThrow("hostnetwork2");
  });
});
