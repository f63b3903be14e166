import { mkdtempSync, rmSync, writeFileSync, copyFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, expect, it } from "vitest";
import { SettingsError } from "../../../components/settings/problem.ts";
import { readStack } from "../../../components/settings/read.ts";
import { engineSource } from "../../../components/settings/source.ts";
import { fileSource } from "../../../components/settings/stack-files.ts";
import { changed, root } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "namespaces-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the key of another namespace leads to in a stack that is otherwise good. */
function told(key: string): { refused: string[]; warnings: readonly string[] } {
  try {
    return { refused: [], warnings: readStack({ ...changed("dev", {}), others: [key] }).warnings };
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return { refused: (error as SettingsError).problems.map((p) => `[${p.key}] ${p.message}; ${p.fix}`), warnings: [] };
  }
}

it.each(["pulumi:tags", "pulumi:disable-default-providers", "docker:host", "docker:registryAuth", "kubernetes:context", "kubernetes:kubeconfig"])("takes %s, which is read", (key) => {
  expect(told(key)).toEqual({ refused: [], warnings: [] });
});

it.each([
  ["crm-observabilty:retention", "crm-observability:retention"],
  ["CRM-Observability:retenton", "crm-observability:retention"],
  ["crm-observabilty:something", "crm-observability:something"],
  ["crm:slackWebhook", "crm-observability:slackWebhook"],
  ["kuberntes:context", "kubernetes:context"],
  ["dokcer:host", "docker:host"],
])("refuses %s for %s", (key, meant) => {
  expect(told(key).refused).toEqual([`[${key}] belongs to no part of this program (did you mean ${meant}?); remove it with: pulumi config rm ${key} --stack dev`]);
});

it("refuses of Kubernetes what the stack's own provider is not given", () => {
  expect(told("kubernetes:namespace").refused).toEqual(["[kubernetes:namespace] is not read: of kubernetes only context and kubeconfig are; remove it with: pulumi config rm kubernetes:namespace --stack dev"]);
});

it.each(["aws:region", "grafana:url"])("only tells that nothing reads %s, which an environment of several projects may hold", (key) => {
  expect(told(key)).toEqual({ refused: [], warnings: [`[${key}] belongs to no part of this program; remove it with: pulumi config rm ${key} --stack dev`] });
});

it("is found in a stack file as the engine gives it", () => {
  copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
  writeFileSync(join(folder, "Pulumi.x.yaml"), "config:\n  environment: development\n  crm-observabilty:retention: 40d\n  docker:host: { secure: v1:abc }\n");
  const files = fileSource(folder, "x");
  expect(files.others).toEqual(["crm-observabilty:retention", "docker:host"]);
  expect(() => readStack(files)).toThrow(/\[crm-observabilty:retention\]/);

  void pulumi.runtime.setMocks({ newResource: ({ name }) => ({ id: name, state: {} }), call: () => ({}) }, "crm-observability", "x");
  pulumi.runtime.setAllConfig({ "crm-observability:environment": "development", "crm-observabilty:retention": "40d", "docker:host": "tcp://e:2375" });
  expect(engineSource()).toMatchObject({ project: "crm-observability", stack: "x", others: ["crm-observabilty:retention", "docker:host"] });
  expect([...engineSource().values.keys()]).toEqual(["environment"]);
});
