import * as pulumi from "@pulumi/pulumi";
import { probes } from "../rules/probes.ts";
import { blackboxFiles } from "./config/blackbox.ts";
import { imageOf } from "./images.ts";
import { factsOf, type StackContext } from "./part.ts";
import { httpReload } from "./platform/loader.ts";
import type { Workload } from "./platform/platform.ts";
import type { Settings } from "./settings/schema.ts";
import { partAt } from "./settings/own-parts.ts";
import { parts } from "./topology.ts";

/** The blackbox exporter: probes the parts from outside by HTTP, HTTPS and TCP. */
export class Blackbox extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:Blackbox", name, {}, opts);
    const { settings: s, platform } = stack;
    this.workload = platform.run(
      "blackbox",
      {
        ...factsOf(s, "blackbox"),
        image: imageOf(s, "blackbox"),
        user: 65534,
        args: ["--config.file=/etc/blackbox/current/blackbox.yml"],
        config: {
          mount: "/etc/blackbox",
          files: blackboxFiles(s),
          check: 'blackbox_exporter --config.check --config.file="$NEW/blackbox.yml"',
          reload: httpReload(parts.blackbox.port),
        },
        health: { http: { port: parts.blackbox.port, path: "/-/healthy" } },
        limits: { cpu: 0.25, memoryMiB: 64, pids: 128 },
        egress: leavesStack(s),
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** Whether anything is probed that is not a part of the stack: an HTTPS target, or a Grafana that was there before. */
function leavesStack(s: Settings): boolean {
  const targets = Object.values(probes(s)).flat().map(({ target }) => target);
  return targets.some((target) => partAt(new URL(target.includes("://") ? target : `tcp://${target}`).hostname) === undefined);
}
