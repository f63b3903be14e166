import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { prometheusFiles } from "../../../components/config/prometheus.ts";
import { addressesOf, parts, partsOf } from "../../../components/topology.ts";
import type { Settings } from "../../../components/settings/schema.ts";
import { sampleSettings } from "../../support/settings.ts";

interface Job {
  job_name: string;
  metrics_path?: string;
  params?: { module: string[] };
  static_configs: { targets: string[]; labels?: Record<string, string> }[];
  relabel_configs?: { source_labels?: string[]; target_label: string; replacement?: string }[];
}
interface Config {
  global: Record<string, unknown>;
  rule_files: string[];
  alerting: { alertmanagers: Job["static_configs"][number][] & { static_configs: { targets: string[] }[] }[] };
  scrape_configs: Job[];
  remote_write?: object[];
}

const config = (overrides: Partial<Settings> = {}): Config => parse(prometheusFiles(sampleSettings(overrides))["prometheus.yml"]!) as Config;
const job = (c: Config, name: string) => c.scrape_configs.find((j) => j.job_name === name);
const targets = (c: Config, name: string) => job(c, name)?.static_configs.flatMap((t) => t.targets);

describe("prometheus.yml", () => {
  it("scrapes every replica of every part that runs", () => {
    const s = sampleSettings({ replicas: { crmApi: 2, crmEvents: 3, alertmanager: 3 } });
    const c = config({ replicas: s.replicas });
    for (const part of partsOf(s)) {
      const { job: name } = parts[part] as { job?: string };
      if (name && part !== "simulator") expect(targets(c, name), part).toEqual(addressesOf(s, part));
    }
    expect(targets(c, "crm_api")).toEqual(["crm-api-1:8080", "crm-api-2:8080"]);
  });

  it("scrapes what exports the RAG metrics once", () => {
    const all = config().scrape_configs.flatMap((j) => (j.metrics_path ? [] : j.static_configs.flatMap((t) => t.targets)));
    expect(all.filter((t) => t === "simulator:8000")).toHaveLength(1);
    expect(new Set(all).size).toBe(all.length);
    expect(targets(config({ ragTargets: ["rag-api:8000"], simulator: false }), "rag-api")).toEqual(["rag-api:8000"]);
    expect(job(config({ ragTargets: [] }), "rag-api")).toBeUndefined();
  });

  it("probes from outside, each with its service", () => {
    const c = config();
    expect(targets(c, "blackbox_http")).toEqual([
      "http://crm-api:8080/metrics",
      "http://crm-api:8080/qbo/status",
      "http://prometheus:9090/-/ready",
      "http://alertmanager:9093/api/v2/status",
      "http://grafana:3000/api/health",
    ]);
    expect(targets(c, "blackbox_tcp")).toEqual(["crm-api:8080", "prometheus:9090", "alertmanager:9093", "grafana:3000"]);
    for (const name of ["blackbox_http", "blackbox_tcp"]) {
      const { metrics_path, relabel_configs, static_configs } = job(c, name)!;
      expect(metrics_path).toBe("/probe");
      expect(relabel_configs!.at(-1)).toEqual({ target_label: "__address__", replacement: "blackbox:9115" });
      for (const { targets: [target], labels } of static_configs) expect(target).toContain(labels!.service!);
    }
    expect(job(c, "blackbox_https")).toBeUndefined();
  });

  it("leaves Grafana's probes out where there is none, and takes an external one's address", () => {
    const none = config({ grafana: { mode: "none" } });
    expect([...targets(none, "blackbox_http")!, ...targets(none, "blackbox_tcp")!].join()).not.toContain("grafana");
    expect(job(none, "grafana")).toBeUndefined();
    const external = config({ grafana: { mode: "external", url: "https://grafana.example.com/" } });
    expect(targets(external, "blackbox_http")).toContain("https://grafana.example.com/api/health");
    expect(targets(external, "blackbox_tcp")).toContain("grafana.example.com:443");
  });

  it("verifies certificates unless a target says otherwise", () => {
    const c = config({ httpsTargets: [{ url: "https://shop.example.com/x", insecure: false }, { url: "https://old.example.com/", insecure: true }] });
    const https = job(c, "blackbox_https")!;
    expect(https.params!.module).toEqual(["https_2xx"]);
    expect(https.static_configs).toEqual([
      { targets: ["https://shop.example.com/x"], labels: { service: "shop.example.com" } },
      { targets: ["https://old.example.com/"], labels: { service: "old.example.com", __param_module: "https_2xx_insecure" } },
    ]);
  });

  it("gives a part's public address to the part's own service, so that one outage is told once", () => {
    const c = config({ httpsTargets: [{ url: "https://crm.example.com/healthz", insecure: false, part: "crm-api" }] });
    expect(job(c, "blackbox_https")!.static_configs).toEqual([{ targets: ["https://crm.example.com/healthz"], labels: { service: "crm-api" } }]);
  });

  it("sends alerts to every Alertmanager", () => {
    const { alerting } = config({ replicas: { crmApi: 1, crmEvents: 2, alertmanager: 3 } });
    expect(alerting.alertmanagers[0]!.static_configs[0]!.targets).toEqual(["alertmanager-1:9093", "alertmanager-2:9093", "alertmanager-3:9093"]);
  });

  it("follows the timing profile", () => {
    expect(config().global).toMatchObject({ scrape_interval: "15s", scrape_timeout: "10s", evaluation_interval: "30s" });
    expect(config({ timing: "fast" }).global).toMatchObject({ scrape_interval: "2s", scrape_timeout: "2s", evaluation_interval: "2s" });
  });

  it("writes elsewhere only when asked, with the password in a file", () => {
    expect(config().remote_write).toBeUndefined();
    const { remote_write } = config({ remoteWrite: [{ url: "https://mimir.example.com/push", username: "crm" }, { url: "http://thanos:19291/api/v1/receive" }] });
    expect(remote_write).toEqual([
      { url: "https://mimir.example.com/push", basic_auth: { username: "crm", password_file: "/run/secrets/crm/remote-write-password" } },
      { url: "http://thanos:19291/api/v1/receive" },
    ]);
  });

  it("loads every rule file beside it", () => {
    const files = prometheusFiles(sampleSettings());
    expect(config().rule_files).toEqual(["rules/*.yml"]);
    expect(Object.keys(files).filter((f) => f.startsWith("rules/")).length).toBeGreaterThan(5);
    for (const [path, text] of Object.entries(files)) if (path.startsWith("rules/")) expect((parse(text) as { groups: unknown[] }).groups.length).toBeGreaterThan(0);
  });
});
