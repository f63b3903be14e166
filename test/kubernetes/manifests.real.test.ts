/** Every shipped stack, rendered for Kubernetes: accepted by the API's schemas and Pod Security, and of one piece. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readStack } from "../../components/settings/read.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { addressesOf, connectionsOf, parts, partsOf, replicaNames, replicasOf } from "../../components/topology.ts";
import { fileSource } from "../../components/settings/stack-files.ts";
import { orSkip, podSecurityJudge, schemaJudge, type Judge, type Manifest } from "../support/kubernetes-checks.ts";
import { allowed, danglingReferences, ofKind, targetsOf } from "../support/kubernetes-references.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const stacks = readdirSync(root).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
const overrides = { target: "kubernetes", imageRegistry: "registry.example.com", imagePullSecret: "registry-login", ingress: { host: "crm.example.com", tlsSecret: "crm-tls" } };

const folder = mkdtempSync(join(tmpdir(), "manifests-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process renders one stack, so that each rendering is the program from its start. */
function render(stack: string): Manifest[] {
  const out = join(folder, stack);
  const set = Object.entries(overrides).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
  execFileSync(process.execPath, ["render/cli.ts", "--stack", stack, "--out", out, ...set], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  const manifests = join(out, "manifests");
  return readdirSync(manifests).map((file) => parse(readFileSync(join(manifests, file), "utf8")) as Manifest);
}

/** The oldest version that has every field that is used, and the newest with published schemas. */
const versions = ["1.31", "1.37"];
let schemas: Map<string, Judge>;
let podSecurity: Judge;

// Installed and compiled at the first run.
beforeAll(() => {
  schemas = new Map(versions.map((version) => [version, schemaJudge(version)]));
  podSecurity = podSecurityJudge();
}, 600_000);

it("finds the shipped stacks", () => expect(stacks).toEqual(expect.arrayContaining(["dev", "prod"])));

describe.each(stacks)("stack %s", (stack) => {
  let s: Settings;
  let objects: Manifest[];

  beforeAll(() => {
    ({ settings: s } = readStack(fileSource(root, stack, overrides)));
    objects = render(stack);
  });

  it("has one StatefulSet for each part and no Secret in clear", () => {
    expect(ofKind<{ metadata: { name: string } }>(objects, "StatefulSet").map((o) => o.metadata.name).sort()).toEqual([...partsOf(s)].sort());
    expect(ofKind(objects, "Secret")).toEqual([]);
  });

  it.for(versions)("passes the API's schemas of Kubernetes %s", (version, test) => {
    const verdict = orSkip(schemas.get(version)!, test)(objects);
    expect(verdict.problems).toEqual([]);
    expect(verdict.checked).toHaveLength(objects.length);
  });

  it("passes Pod Security restricted", (test) => {
    const verdict = orSkip(podSecurity, test)(objects);
    expect(verdict.problems).toEqual([]);
    expect(verdict.checked).toHaveLength(partsOf(s).length);
  });

  it("refers to nothing that is not there", () => expect(danglingReferences(objects, false)).toEqual([]));

  it("answers at every address that a configuration file names, one pod each", () => {
    for (const part of partsOf(s)) {
      const replicas = replicasOf(s, part);
      const pods = replicas === 1 ? [`${part}-0`] : replicaNames(part, replicas);
      expect(addressesOf(s, part).flatMap((address) => targetsOf(objects, address))).toEqual(pods.map((pod) => `${pod}:${parts[part].port}`));
      expect(targetsOf(objects, `${part}:${parts[part].port}`)).toHaveLength(replicas);
    }
  });

  it("lets exactly the declared connections through", () => {
    const declared = connectionsOf(s).map(([from, to]) => `${from} -> ${to}`);
    const open = partsOf(s).flatMap((from) => partsOf(s).flatMap((to) => (allowed(objects, from, to, parts[to].port) ? [`${from} -> ${to}`] : [])));
    expect(open.sort()).toEqual([...new Set(declared)].sort());
  });
});
