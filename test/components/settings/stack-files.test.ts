import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { SettingsError } from "../../../components/settings/problem.ts";
import { readStack } from "../../../components/settings/read.ts";
import type { ConfigSource } from "../../../components/settings/source.ts";
import { fileSource, opaqueText } from "../../../components/settings/stack-files.ts";
import { root } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "stack-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function problemsOfFile(source: ConfigSource): string[] {
  try {
    readStack(source);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.problems.map((p) => `[${p.key}] ${p.message}; ${p.fix}`);
  }
  return [];
}

it("takes keys with the project's name, and those with none, as the CLI does", () => {
  writeFileSync(join(folder, "Pulumi.yaml"), "name: crm\nruntime: nodejs\nconfig:\n  target: { type: string, default: docker }\n  timing: { type: string, default: standard }\n");
  writeFileSync(join(folder, "Pulumi.x.yaml"), "config:\n  target: kubernetes\n  tmiing: fast\n  slackWebhook: { secure: v1:abc }\n  crm:simulator: true\n  aws:region: eu\n");
  const { values, others } = fileSource(folder, "x");
  expect(others).toEqual(["aws:region"]);
  expect(Object.fromEntries([...values].map(([key, { text }]) => [key, text]))).toEqual({ target: "kubernetes", timing: "standard", tmiing: "fast", slackWebhook: opaqueText, simulator: "true" });
  expect(values.get("slackWebhook")).toMatchObject({ secret: true, opaque: true });
});

it("takes a key with nothing behind it for an empty text, as the CLI does", () => {
  copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
  writeFileSync(join(folder, "Pulumi.empty.yaml"), "config:\n  environment: development\n  vipPattern:\n  qboClientId: ~\n");
  const source = fileSource(folder, "empty");
  expect([source.values.get("vipPattern"), source.values.get("qboClientId")]).toMatchObject([{ text: "" }, { text: "" }]);
  expect(problemsOfFile(source)).toEqual(["[vipPattern] must not be empty; set it with: pulumi config set vipPattern 'vip-.*|premium-.*' --stack empty"]);
});

it("refuses a list or an object for a text, as the CLI does, and no number", () => {
  copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
  const read = (config: string) => {
    writeFileSync(join(folder, "Pulumi.list.yaml"), `config:\n  environment: development\n  ${config}\n`);
    return problemsOfFile(fileSource(folder, "list"));
  };
  for (const value of ["[a]", "{ a: b }", "[]", "{}"])
    expect(read(`qboClientId: ${value}`), value).toEqual(["[qboClientId] must be a single value, not a list or an object; set it with: pulumi config set qboClientId CLIENT_ID --stack list"]);
  expect(read("vipPattern: [a]")).toHaveLength(1);
  expect(read("simulator: [true]")).toHaveLength(1);
  expect(read("imageRegistry: 5")).toEqual([]);
});

it("names the file that is no YAML", () => {
  writeFileSync(join(folder, "Pulumi.yaml"), "name: crm\n");
  writeFileSync(join(folder, "Pulumi.bad.yaml"), "config:\n  a: [1\n");
  expect(() => fileSource(folder, "bad")).toThrow(/^Pulumi\.bad\.yaml is no YAML: .* at line \d/s);
});
