import * as pulumi from "@pulumi/pulumi";
import { prometheusFiles } from "./config/prometheus.ts";
import { imageOf } from "./images.ts";
import { factsOf, present, type StackContext } from "./part.ts";
import { httpReload } from "./platform/loader.ts";
import type { Workload } from "./platform/platform.ts";
import { parts } from "./topology.ts";
import { resendDelay } from "../rules/routing.ts";

/**
 * Prometheus's own limit: nine tenths of its volume, so that a compaction has room. In its megabytes of 1024 KiB, because
 * whole gigabytes of a small volume would be below the share at which PrometheusStorageFilling warns.
 */
export const sizeLimit = (storageGiB: number): string => `${Math.floor(storageGiB * 0.9 * 1024)}MB`;

/** Prometheus: scrapes every part, evaluates the rules, sends alerts. Its configuration reloads without a restart. */
export class Prometheus extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:Prometheus", name, {}, opts);
    const { settings: s, secrets, platform } = stack;
    const files = present({ "remote-write-password": s.remoteWrite.some((r) => r.username) ? secrets.remoteWritePassword : undefined });
    this.workload = platform.run(
      "prometheus",
      {
        ...factsOf(s, "prometheus"),
        image: imageOf(s, "prometheus"),
        user: 65534,
        args: [
          "--config.file=/etc/prometheus/current/prometheus.yml",
          "--storage.tsdb.path=/prometheus",
          `--storage.tsdb.retention.time=${s.retention}`,
          `--storage.tsdb.retention.size=${sizeLimit(s.storageGiB)}`,
          `--rules.alert.resend-delay=${resendDelay(s)}`,
          `--web.external-url=${s.urls.prometheus}`,
          "--web.route-prefix=/",
          // Who may ask for a reload may also end it.
          ...(platform.reloads ? ["--web.enable-lifecycle"] : []),
          "--log.format=json",
        ],
        config: {
          mount: "/etc/prometheus",
          files: prometheusFiles(s),
          check: 'promtool check config "$NEW/prometheus.yml"',
          reload: httpReload(parts.prometheus.port),
        },
        secrets: Object.keys(files).length > 0 ? { files } : undefined,
        data: { mount: "/prometheus", sizeGiB: s.storageGiB },
        health: { http: { port: parts.prometheus.port, path: "/-/ready" } },
        limits: { cpu: 1, memoryMiB: 1024, pids: 256 },
        egress: s.remoteWrite.length > 0 || s.ragTargets.some((target) => !(target.split(":")[0]! in parts)),
      },
      { parent: this },
    );
    this.registerOutputs({ url: this.workload.url });
  }
}
