import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { fileSource, opaqueText } from "../../../components/settings/stack-files.ts";

const folder = mkdtempSync(join(tmpdir(), "stack-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("takes keys with the project's name, and those with none, as the CLI does", () => {
  writeFileSync(join(folder, "Pulumi.yaml"), "name: crm\nruntime: nodejs\nconfig:\n  target: { type: string, default: docker }\n  timing: { type: string, default: standard }\n");
  writeFileSync(join(folder, "Pulumi.x.yaml"), "config:\n  target: kubernetes\n  tmiing: fast\n  slackWebhook: { secure: v1:abc }\n  crm:simulator: true\n  aws:region: eu\n");
  const { values } = fileSource(folder, "x");
  expect(Object.fromEntries([...values].map(([key, { text }]) => [key, text]))).toEqual({ target: "kubernetes", timing: "standard", tmiing: "fast", slackWebhook: opaqueText, simulator: "true" });
  expect(values.get("slackWebhook")).toMatchObject({ secret: true, opaque: true });
});

it("names the file that is no YAML", () => {
  writeFileSync(join(folder, "Pulumi.yaml"), "name: crm\n");
  writeFileSync(join(folder, "Pulumi.bad.yaml"), "config:\n  a: [1\n");
  expect(() => fileSource(folder, "bad")).toThrow(/^Pulumi\.bad\.yaml is no YAML: .* at line \d/s);
});
