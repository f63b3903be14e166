import * as pulumi from "@pulumi/pulumi";
import { dispatchStartDelaySeconds } from "../rules/routing.ts";
import { alertmanagerFiles } from "./config/alertmanager.ts";
import { imageOf } from "./images.ts";
import { factsOf, present, type StackContext } from "./part.ts";
import { httpReload } from "./platform/loader.ts";
import type { Workload } from "./platform/platform.ts";
import { parts, replicaNames, replicasOf } from "./topology.ts";

/** Alertmanager: routes, inhibitions and Slack. Several replicas gossip, so that each message is sent once. */
export class Alertmanager extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:Alertmanager", name, {}, opts);
    const { settings: s, platform } = stack;
    const replicas = replicasOf(s, "alertmanager");
    const gossip =
      replicas === 1
        ? ["--cluster.listen-address="]
        : ["--cluster.listen-address=0.0.0.0:9094", ...replicaNames("alertmanager", replicas).map((peer) => `--cluster.peer=${peer}:9094`)];
    this.workload = platform.run(
      "alertmanager",
      {
        ...factsOf(s, "alertmanager"),
        image: imageOf(s, "alertmanager"),
        user: 65534,
        args: [
          "--config.file=/etc/alertmanager/current/alertmanager.yml",
          "--storage.path=/alertmanager",
          `--web.external-url=${s.urls.alertmanager}`,
          "--web.route-prefix=/",
          // Until Prometheus has sent everything again, a restarted Alertmanager does not know what mutes what.
          `--dispatch.start-delay=${dispatchStartDelaySeconds(s)}s`,
          "--log.format=json",
          ...gossip,
        ],
        extraPorts: replicas > 1 ? [9094] : [],
        config: {
          mount: "/etc/alertmanager",
          files: alertmanagerFiles(s),
          check: 'amtool check-config "$NEW/alertmanager.yml"',
          // In its first moments it answers a reload only when it begins to dispatch.
          reload: httpReload(parts.alertmanager.port, 60 + dispatchStartDelaySeconds(s)),
        },
        secrets: { files: secretFiles(stack) },
        data: { mount: "/alertmanager", sizeGiB: 1 },
        health: { http: { port: parts.alertmanager.port, path: "/-/ready" } },
        limits: { cpu: 0.5, memoryMiB: 256, pids: 256 },
        egress: true,
      },
      { parent: this },
    );
    this.registerOutputs({ url: this.workload.url });
  }
}

/** Alertmanager reads the Slack files at each notification, so a swapped webhook needs no reload. */
function secretFiles({ settings: s, secrets }: StackContext): Record<string, pulumi.Input<string>> {
  const standin = `http://slack-standin:${parts["slack-standin"].port}`;
  const slack = (channel: "crm" | "ops") => {
    if (s.slack.standin) return `${standin}/services/T000/B000/${channel}`;
    return secrets.slackWebhook ?? secrets.slackWebhooks?.apply((text) => (text.startsWith("{") ? (JSON.parse(text) as Record<string, string>)[channel]! : text));
  };
  return present<pulumi.Input<string>>({
    "slack-crm": slack("crm") ?? "missing",
    "slack-ops": slack("ops") ?? "missing",
    "deadman-url": secrets.deadManUrl ?? (s.deadMan.standin ? `${standin}/deadman` : undefined),
    "pagerduty-key": secrets.pagerdutyRoutingKey,
    "mail-password": s.mail?.username ? secrets.mailPassword : undefined,
  });
}
