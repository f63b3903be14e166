/** Workloads that use everything the Kubernetes adapter knows, and as little as it takes; and what they become. */
import * as pulumi from "@pulumi/pulumi";
import type { KubernetesPlatformArgs } from "../../components/platform/kubernetes.ts";
import type { WorkloadArgs } from "../../components/platform/platform.ts";

/** Everything at once, in three replicas that gossip. */
export const fullWorkload: WorkloadArgs = {
  image: "registry.example.com/hub:1.2.3",
  command: ["/bin/hub"],
  args: ["--match=vip-.*$", "--raw=$(HOME)", "--price=$$5"],
  env: { LOG_LEVEL: "info", PATTERN: "$(LOG_LEVEL)" },
  user: 65534,
  port: 9093,
  publish: 9093,
  extraPorts: [9094],
  config: {
    mount: "/etc/hub",
    files: { "hub.yml": "route: {}\n", "templates/slack.tmpl": "{{ define \"x\" }}{{ end }}\n" },
    check: "hub check $NEW/hub.yml",
    reload: "wget -q http://$HOST:9093/-/reload",
  },
  secrets: { files: { "slack-crm": pulumi.secret("canary-slack-crm"), "slack-ops": "canary-slack-ops" } },
  data: { mount: "/hub", sizeGiB: 2 },
  scratch: [{ mount: "/tmp", sizeMiB: 16 }],
  health: { http: { port: 9093, path: "/-/ready" }, intervalSeconds: 20, timeoutSeconds: 5, retries: 10, startSeconds: 30 },
  limits: { cpu: 1.5, memoryMiB: 2048, pids: 128 },
  replicas: 3,
  clients: ["hub", "tiny"],
  servers: ["hub", "tiny"],
  egress: true,
};

/** Only what every workload has. */
export const tinyWorkload: WorkloadArgs = {
  image: "tiny:1",
  user: 1000,
  port: 9011,
  health: { tcp: 9011 },
  limits: { cpu: 0.05, memoryMiB: 64, pids: 32 },
  clients: ["hub"],
  servers: [],
};

/** The samples' stack, with everything that a stack can set. */
export const fullStack: KubernetesPlatformArgs = {
  namespace: "crm-sample",
  secretsDir: "/run/secrets/crm",
  externalPorts: [5432],
  ingress: { host: "crm.example.com", className: "nginx", tlsSecret: "crm-tls" },
};

/** A resource as the adapter registered it. */
export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
  /** What has it replaced when it changes; an option, not an input. */
  readonly trigger: unknown;
  /** When it is replaced, the old one goes before the new one comes; an option too. */
  readonly deletedFirst: boolean;
}

/**
 * Registers workloads through the adapter under Pulumi's mocks.
 * @param stack the platform's arguments
 * @param workloads by name, in this order
 */
export async function registered(stack: KubernetesPlatformArgs, workloads: Readonly<Record<string, WorkloadArgs>>): Promise<Registered[]> {
  const resources: Registered[] = [];
  const triggers = new Map<string, unknown>();
  const deletedFirst = new Set<string>();
  // Mocks are told no options.
  const watch: pulumi.ResourceTransformation = ({ type, name, opts }) => {
    if ((opts as pulumi.CustomResourceOptions).deleteBeforeReplace) deletedFirst.add(`${type} ${name}`);
    pulumi.output(opts.replacementTrigger).apply((trigger) => triggers.set(`${type} ${name}`, trigger));
    return undefined;
  };
  await pulumi.runtime.setMocks({
    newResource: (args) => {
      resources.push({ type: args.type, name: args.name, inputs: args.inputs as Record<string, unknown>, trigger: undefined, deletedFirst: false });
      // The cluster gives every object a version of its own.
      return { id: args.name, state: { ...args.inputs, metadata: { ...args.inputs.metadata, resourceVersion: `version of ${args.name}` } } };
    },
    call: (args) => {
      throw new Error(`unexpected call of ${args.token}`);
    },
  });
  // Only now: a resource class that is loaded before the mocks would look for an engine.
  const { KubernetesPlatform } = await import("../../components/platform/kubernetes.ts");
  const platform = new KubernetesPlatform(stack.namespace, stack, { transformations: [watch] });
  for (const [name, args] of Object.entries(workloads)) platform.run(name, args, { parent: platform });
  await pulumi.runtime.disconnect();
  return resources.map((r) => ({ ...r, trigger: triggers.get(`${r.type} ${r.name}`), deletedFirst: deletedFirst.has(`${r.type} ${r.name}`) }));
}

/** The API objects among them. */
export function manifestsOf(resources: readonly Registered[]): Record<string, unknown>[] {
  return resources.filter((r) => r.type.startsWith("kubernetes:")).map((r) => r.inputs);
}
