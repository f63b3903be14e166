/** The network policies let through what the programs' own files say that they call. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { allowed, targetsOf } from "../support/kubernetes-references.ts";
import type { Manifest } from "../support/kubernetes-checks.ts";
import { rendered, type Rendered } from "../support/render.ts";

const httpsTargets = [{ url: "https://crm-events:9010/healthz" }, { url: "https://crm-events-2:9010/healthz" }, { url: "https://command-center:9999/" }, { url: "https://shop.example.com/" }];
let stacks: Rendered[];
beforeAll(async () => {
  stacks = await Promise.all(["dev", "prod"].map((stack) => rendered(stack, "target=kubernetes", `httpsTargets=${JSON.stringify(httpsTargets)}`)));
}, 120_000);
afterAll(() => stacks.forEach((r) => rmSync(r.folder, { recursive: true, force: true })));

interface Job {
  readonly job_name: string;
  readonly static_configs: readonly { readonly targets: readonly string[] }[];
}
interface Prometheus {
  readonly alerting: { readonly alertmanagers: readonly Pick<Job, "static_configs">[] };
  readonly scrape_configs: readonly (Job & { readonly relabel_configs?: readonly { readonly target_label: string; readonly replacement?: string }[] })[];
}

const manifests = (r: Rendered) => Object.entries(r.files).filter(([path]) => path.startsWith("manifests/")).map(([, text]) => parse(text) as Manifest);
const targets = (jobs: readonly Pick<Job, "static_configs">[]) => jobs.flatMap((job) => job.static_configs.flatMap((c) => c.targets));
const hostPort = (target: string) => target.replace(/^\w+:\/\//, "").replace(/\/.*$/, "");

/** Who calls which `host:port`, by the files of Prometheus and Grafana. */
function calls(r: Rendered): [from: string, address: string][] {
  const { alerting, scrape_configs: jobs } = parse(r.files["config/prometheus/prometheus.yml"]!) as Prometheus;
  const { datasources } = parse(r.files["config/grafana/provisioning/datasources/stack.yml"]!) as { datasources: { url: string }[] };
  const probing = jobs.filter((job) => job.relabel_configs?.some((c) => c.target_label === "__param_target"));
  const scraped = [...targets(jobs.filter((job) => !probing.includes(job))), ...probing.flatMap((job) => job.relabel_configs!.flatMap((c) => (c.target_label === "__address__" ? [c.replacement!] : [])))];
  return [
    ...[...scraped, ...targets(alerting.alertmanagers)].map((address): [string, string] => ["prometheus", address]),
    ...targets(probing).map((target): [string, string] => ["blackbox", hostPort(target)]),
    ...datasources.map(({ url }): [string, string] => ["grafana", hostPort(url)]),
  ];
}

describe("the network policies", () => {
  it("let Prometheus, the blackbox exporter and Grafana reach every part that their files name", () => {
    for (const r of stacks) {
      const objects = manifests(r);
      const needed = calls(r).flatMap(([from, address]) => targetsOf(objects, address).map((pod) => [from, ...pod.split(/-\d+:/)] as [string, string, string]));
      for (const [from, to, port] of needed) expect(allowed(objects, from, to, Number(port)), `${from} -> ${to}:${port}`).toBe(true);
      const seen = new Set(needed.map(([from, to]) => `${from} -> ${to}`));
      for (const flow of ["prometheus -> prometheus", "prometheus -> alertmanager", "blackbox -> crm-events", "blackbox -> crm-api", "grafana -> prometheus", "grafana -> alertmanager"]) expect(seen).toContain(flow);
    }
  });

  it("let the blackbox exporter reach nothing that no file names", () => {
    for (const r of stacks) for (const part of ["command-center", "kafka", "crm-events-health"]) expect(allowed(manifests(r), "blackbox", part, 3001), part).toBe(false);
  });
});
