import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { rendered, type Rendered } from "../support/render.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
let dev: Rendered;
let again: Rendered;
let devOnKubernetes: Rendered;
let prod: Rendered;
let prodOnDocker: Rendered;

beforeAll(async () => {
  [dev, again, devOnKubernetes, prod, prodOnDocker] = await Promise.all([rendered("dev"), rendered("dev"), rendered("dev", "target=kubernetes"), rendered("prod"), rendered("prod", "target=docker")]);
}, 120_000);
afterAll(() => [dev, again, devOnKubernetes, prod, prodOnDocker].forEach((r) => rmSync(r.folder, { recursive: true, force: true })));

const ofType = (r: Rendered, type: string) => r.resources.filter((x) => x.type === type);
const containers = (r: Rendered) => ofType(r, "docker:index/container:Container");
const configOf = (r: Rendered) => Object.fromEntries(Object.entries(r.files).filter(([path]) => path.startsWith("config/")));

describe("both targets", () => {
  it("have the same bytes of rules, routes, modules and dashboards", () => {
    expect(Object.keys(configOf(dev)).length).toBeGreaterThan(15);
    expect(configOf(devOnKubernetes)).toEqual(configOf(dev));
    expect(configOf(prodOnDocker)).toEqual(configOf(prod));
  });

  it("run the same parts", () => {
    const parts = (r: Rendered) => r.resources.filter((x) => x.type.startsWith("crm:observability:")).map((x) => x.name).sort();
    expect(parts(devOnKubernetes)).toEqual(parts(dev));
    expect(parts(dev)).toEqual(["alertmanager", "blackbox", "command-center", "crm-api", "crm-events", "crm-events-health", "grafana", "kafka", "kafka-exporter", "prometheus", "qbo-standin", "simulator", "slack-standin"]);
    expect(parts(prod)).toEqual(["alertmanager", "blackbox", "command-center", "crm-api", "crm-events", "crm-events-health", "grafana", "kafka", "kafka-exporter", "prometheus"]);
  });
});

describe("PostgreSQL", () => {
  it("leaves the volume of the books that were in a file before, and mounts it nowhere", () => {
    const [volume, ...others] = ofType(prodOnDocker, "docker:index/volume:Volume").filter((x) => x.name.endsWith("-crm-api-data"));
    expect([volume?.name, others]).toEqual([dev.resources.find((x) => x.name.endsWith("-crm-api-data"))!.name.replace("dev", "prod"), []]);
    expect(JSON.stringify(containers(prodOnDocker).map((c) => c.inputs["volumes"]))).not.toContain("crm-api-data");
    expect(JSON.stringify(ofType(prod, "kubernetes:apps/v1:StatefulSet").find((x) => x.name === "crm-api"))).not.toContain("volumeClaimTemplates");
  });
});

describe("render", () => {
  it("gives the same bytes each time", () => {
    expect(again.files).toEqual(dev.files);
  });

  it("has the layout that reviewers and checkers expect", () => {
    const paths = Object.keys(dev.files);
    for (const path of ["resources.json", "compose.yaml", "config/prometheus/prometheus.yml", "config/alertmanager/alertmanager.yml", "config/blackbox/blackbox.yml", "config/grafana/dashboards/peakpro-crm-kpis.json"]) expect(paths).toContain(path);
    expect(paths.some((p) => /^config\/prometheus\/rules\/.+\.yml$/.test(p))).toBe(true);
    expect(paths.some((p) => /^config\/alertmanager\/templates\/.+\.tmpl$/.test(p))).toBe(true);
    expect(paths.some((p) => p.startsWith("config/grafana/provisioning/"))).toBe(true);
    expect(Object.keys(prod.files).some((p) => p.startsWith("manifests/"))).toBe(true);
  });

  it("warns of prod's missing secrets and renders all the same", () => {
    expect(prod.stderr).toContain("warning: [slackWebhook]");
    expect(prod.stderr).toContain("pulumi config set --secret slackWebhook");
  });

  it("masks every secret", () => {
    for (const r of [dev, prod]) {
      for (const text of Object.values(r.files)) expect(text).not.toMatch(/development-only|"content": "missing"/);
    }
    const loaders = containers(dev).filter((c) => c.name.endsWith("-secrets-loader"));
    expect(loaders.length).toBeGreaterThan(0);
    for (const l of loaders) for (const upload of l.inputs.uploads as { content: string }[]) expect(upload.content).toBe("[secret]");
  });

  it("names an unknown stack, a wrong override and its own usage", () => {
    const run = (...args: string[]) => spawnSync(process.execPath, ["render/cli.ts", ...args], { cwd: root, encoding: "utf8" });
    expect(run("--stack", "nope", "--out", "/tmp/x").stderr).toMatch(/no Pulumi\.nope\.yaml; stacks here: .*dev/);
    expect(run("--stack", "dev").stderr).toContain("usage: npm run render");
    const wrong = run("--stack", "dev", "--out", "/tmp/x", "--set", "kafkaPartitions=3");
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain("[thresholds.skew]");
  }, 60_000);
});

describe("containers", () => {
  it("are hardened, all of them", () => {
    for (const { name, inputs } of [...containers(dev), ...containers(prodOnDocker)]) {
      expect(inputs, name).toMatchObject({ capabilities: { drops: ["ALL"] }, securityOpts: ["no-new-privileges:true"], logDriver: "json-file", logOpts: { "max-size": "10m", "max-file": "3" } });
      expect(inputs.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/);
      expect(inputs.memory, name).toBeGreaterThan(0);
      expect(inputs.memorySwap, name).toBe(inputs.memory);
      expect(Number(inputs.cpus), name).toBeGreaterThan(0);
      expect(inputs.privileged, name).toBeUndefined();
      for (const network of inputs.networksAdvanced as { name: string }[]) expect(network.name).toMatch(/^crm-(dev|prod)-(backend|edge)$/);
    }
  });

  it("have read-only roots, health checks and restarts unless they are loaders, and only loaders have uploads", () => {
    for (const { name, inputs } of containers(dev)) {
      if (name.endsWith("-loader")) expect(inputs, name).toMatchObject({ restart: "no", mustRun: false, attach: true });
      else {
        expect(inputs, name).toMatchObject({ readOnly: true, restart: "unless-stopped", wait: true });
        expect(inputs.healthcheck, name).toBeTruthy();
        expect(inputs.uploads, name).toBeUndefined();
      }
    }
  });

  it("publish on the loopback address only, and nothing for internal parts", () => {
    const published = containers(dev).flatMap(({ name, inputs }) => ((inputs.ports ?? []) as { ip: string; external: number }[]).map((p) => [name, p.ip, p.external] as const));
    expect(published.map(([, ip]) => ip).every((ip) => ip === "127.0.0.1")).toBe(true);
    expect(published.map(([name, , port]) => `${name.slice(8)} ${port}`).sort()).toEqual([
      "alertmanager 9093", "command-center 3001", "crm-api 8080", "crm-events-1 9010", "grafana 3000", "prometheus 9090", "simulator 8000", "slack-standin 8090",
    ]);
  });

  it("carry no secret in their environment", () => {
    for (const { name, inputs } of containers(dev)) for (const env of (inputs.envs ?? []) as string[]) if (/secret|password|token|key|webhook_url/i.test(env.split("=")[0]!)) expect(env, name).toMatch(/_FILE=|WEBHOOK_URL=http:\/\/crm-api|=\$__file\{/);
  });

  it("get crm-api's health times and the probe's limits as documented", () => {
    const one = (name: string) => containers(dev).find((c) => c.name === `crm-dev-${name}`)!.inputs;
    expect(one("crm-api").healthcheck).toMatchObject({ interval: "20s", timeout: "5s", retries: 10, startPeriod: "30s" });
    expect(one("crm-events-health")).toMatchObject({ cpus: "0.1", memory: 64, ports: [] });
  });

  it("name replicas NAME-1 to NAME-n behind NAME", () => {
    const names = containers(prodOnDocker).map((c) => c.name.replace("crm-prod-", "")).filter((n) => !n.endsWith("-loader"));
    for (const expected of ["alertmanager-1", "alertmanager-2", "alertmanager-3", "crm-api-1", "crm-api-2", "crm-events-1", "crm-events-2"]) expect(names).toContain(expected);
    const aliases = containers(prodOnDocker).find((c) => c.name === "crm-prod-alertmanager-2")!.inputs.networksAdvanced as { aliases?: string[] }[];
    expect(aliases[0]!.aliases).toEqual(["alertmanager", "alertmanager-2"]);
  });

  it("put internal parts on a network without a way out", () => {
    const networks = (name: string) => (containers(dev).find((c) => c.name === `crm-dev-${name}`)!.inputs.networksAdvanced as { name: string }[]).map((n) => n.name);
    for (const part of ["kafka", "kafka-exporter", "blackbox", "crm-events-health", "qbo-standin"]) expect(networks(part), part).toEqual(["crm-dev-backend"]);
    expect(ofType(dev, "docker:index/network:Network").find((n) => n.name === "crm-dev-backend")!.inputs.internal).toBe(true);
  });
});

describe("compose.yaml", () => {
  it("has a service per container, with the limit of processes that the provider lacks", () => {
    const file = parse(dev.files["compose.yaml"]!) as { services: Record<string, { container_name: string; pids_limit: number; restart: string }> };
    expect(Object.values(file.services).map((s) => s.container_name).sort()).toEqual(containers(dev).map((c) => c.name).sort());
    for (const service of Object.values(file.services)) expect(service.pids_limit).toBeGreaterThan(0);
  });

  it("labels volumes and networks as the adapter does, and stops programs as slowly", () => {
    const file = parse(dev.files["compose.yaml"]!) as Record<"services" | "volumes" | "networks", Record<string, { name: string; labels: object; stop_grace_period?: string }>>;
    expect(Object.keys(file.volumes).length).toBeGreaterThan(10);
    for (const { name, labels } of [...Object.values(file.volumes), ...Object.values(file.networks)]) expect(labels, name).toMatchObject({ "crm.stack": "crm-dev" });
    expect(file.services.prometheus).toMatchObject({ stop_grace_period: "30s" });
    expect(containers(dev).find((c) => c.name === "crm-dev-prometheus")!.inputs).toMatchObject({ destroyGraceSeconds: 30, stopTimeout: 30 });
  });

  it("starts a program after its loaders", () => {
    const file = parse(dev.files["compose.yaml"]!) as { services: Record<string, { depends_on?: Record<string, { condition: string }> }> };
    expect(file.services.alertmanager!.depends_on).toEqual({
      "alertmanager-config-loader": { condition: "service_completed_successfully" },
      "alertmanager-secrets-loader": { condition: "service_completed_successfully" },
    });
  });

  it("stages the very files that the resources upload", () => {
    for (const loader of containers(dev).filter((c) => c.name.endsWith("-config-loader"))) {
      const part = loader.name.slice("crm-dev-".length, -"-config-loader".length);
      const uploads = Object.fromEntries((loader.inputs.uploads as { file: string; content: string }[]).map((u) => [u.file.replace("/stage/", `config/${part}/`), u.content]));
      expect(uploads).toEqual(Object.fromEntries(Object.entries(dev.files).filter(([path]) => path.startsWith(`config/${part}/`))));
    }
  });
});

describe("the layers", () => {
  it("name a target in the adapters and settings only", () => {
    const hits = execFileSync("grep", ["-rlE", String.raw`from "@pulumi/(docker|kubernetes)|(settings|\bs)\.target\b`, "index.ts", "components", "rules", "dashboards"], { cwd: root, encoding: "utf8" }).trim().split("\n");
    expect(hits.filter((f) => !f.startsWith("components/platform/") && !f.startsWith("components/settings/"))).toEqual([]);
  });
});
