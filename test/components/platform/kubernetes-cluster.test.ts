import * as pulumi from "@pulumi/pulumi";
import { afterEach, expect, it } from "vitest";
import { fullStack, registered } from "../../support/kubernetes-samples.ts";

const always = { enableServerSideApply: "true", enableConfigMapMutable: "true", enableSecretMutable: "true", upsertExistingObjects: "true" };
const secretSignature = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };

async function provider(config: Record<string, string>): Promise<Record<string, unknown>> {
  pulumi.runtime.setAllConfig(config);
  return (await registered(fullStack, {})).find((r) => r.type === "pulumi:providers:kubernetes")!.inputs;
}
afterEach(() => pulumi.runtime.setAllConfig({}));

it("goes to the cluster that the stack's configuration names", async () => {
  process.env.KUBECONFIG = "/home/someone/.kube/config";
  expect(await provider({ "kubernetes:context": "prod", "other:context": "no" })).toEqual({ ...always, context: "prod" });
});

it("keeps the kubeconfig of the configuration secret, whether it is encrypted there or not", async () => {
  expect(await provider({ "kubernetes:kubeconfig": "/etc/kube/prod" })).toEqual({ ...always, kubeconfig: { ...secretSignature, value: "/etc/kube/prod" } });
});

it("leaves the choice to the provider where the configuration names none", async () => {
  expect(await provider({})).toEqual(always);
  expect(await provider({ "kubernetes:context": "" })).toEqual(always);
});
