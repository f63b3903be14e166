import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import type { WorkloadArgs } from "../../../components/platform/platform.ts";
import { tinyWorkload } from "../../support/kubernetes-samples.ts";

interface Seen {
  readonly labels: Record<string, string>;
  readonly trigger: unknown;
}
const containers: Record<string, Seen> = {};
const plain = <T>(value: pulumi.Input<T>): Promise<T> => new Promise((resolve) => void pulumi.output(value).apply((v) => resolve(v as T)));

/** What the adapter asks for, options included, which Pulumi's mocks are not told. */
async function record(workloads: Readonly<Record<string, WorkloadArgs>>): Promise<void> {
  const mocks: pulumi.runtime.Mocks = {
    newResource: (args) => ({ id: `id of ${args.name}`, state: { ...args.inputs, exitCode: 0, containerLogs: "" } }),
    call: () => ({}),
  };
  // As a preview: mocks know no hooks.
  await pulumi.runtime.setMocks(mocks, "project", "sample", true);
  const asked: [name: string, labels: unknown, trigger: unknown][] = [];
  const watch: pulumi.ResourceTransformation = ({ type, name, props, opts }) => {
    if (type === "docker:index/container:Container") asked.push([name, props.labels, opts.replacementTrigger]);
    return undefined;
  };
  // Only now: a resource class that is loaded before the mocks would look for an engine.
  const { DockerPlatform } = await import("../../../components/platform/docker.ts");
  const platform = new DockerPlatform("crm-sample", { prefix: "crm-sample", secretsDir: "/run/secrets/crm", builds: new Map() }, { transformations: [watch] });
  for (const [name, args] of Object.entries(workloads)) platform.run(name, args, { parent: platform });
  await pulumi.runtime.disconnect();
  for (const [name, labels, trigger] of asked) {
    const pairs = await plain(labels as pulumi.Input<{ label: string; value: string }[]>);
    containers[name] = { labels: Object.fromEntries(pairs.map((p) => [p.label, p.value])), trigger: trigger && (await plain(trigger)) };
  }
}

const secrets = { files: { token: pulumi.secret("canary") } };
beforeAll(() => record({ atStart: { ...tinyWorkload, secrets: { ...secrets, restartOnChange: true } }, atUse: { ...tinyWorkload, secrets }, none: tinyWorkload }));

describe("a changed secret", () => {
  it("restarts a program that reads it when it starts, by the id of the loader that brought it", () => {
    expect(containers["crm-sample-atStart"]).toMatchObject({ trigger: "id of crm-sample-atStart-secrets-loader", labels: { "crm.restart-on-secrets": "true" } });
  });

  it("restarts no other, nor a loader", () => {
    for (const name of ["crm-sample-atUse", "crm-sample-none", "crm-sample-atStart-secrets-loader", "crm-sample-atUse-secrets-loader"]) {
      expect(containers[name], name).toMatchObject({ trigger: undefined, labels: { "crm.stack": "crm-sample" } });
      expect(Object.keys(containers[name]!.labels), name).not.toContain("crm.restart-on-secrets");
    }
  });
});
