/** The Kubernetes adapter: with the folder beside it, the only importer of @pulumi/kubernetes. */
import { StatefulSet } from "@pulumi/kubernetes/apps/v1/statefulSet.js";
// One module per kind: the whole SDK would cost more than everything else that the program loads for this target.
import { ConfigMap } from "@pulumi/kubernetes/core/v1/configMap.js";
import { Namespace } from "@pulumi/kubernetes/core/v1/namespace.js";
import { Secret } from "@pulumi/kubernetes/core/v1/secret.js";
import { Service } from "@pulumi/kubernetes/core/v1/service.js";
import { Ingress } from "@pulumi/kubernetes/networking/v1/ingress.js";
import { NetworkPolicy } from "@pulumi/kubernetes/networking/v1/networkPolicy.js";
import { PodDisruptionBudget } from "@pulumi/kubernetes/policy/v1/podDisruptionBudget.js";
import { Provider, type ProviderArgs } from "@pulumi/kubernetes/provider.js";
import type { networking } from "@pulumi/kubernetes/types/input.js";
import * as pulumi from "@pulumi/pulumi";
import { configMapData } from "./kubernetes/config-map.ts";
import { externalPorts } from "./kubernetes/external-ports.ts";
import { ingressSpec, type IngressArgs } from "./kubernetes/ingress.ts";
import { metadataOf, namespaceMetadata, namespaceOf, notAwaited, selectorOf } from "./kubernetes/metadata.ts";
import { allowDns, denyAll, policyOf } from "./kubernetes/network-policy.ts";
import { dataClaims, podTemplate, replicated } from "./kubernetes/pod.ts";
import { governingName, servicesOf } from "./kubernetes/services.ts";
import type { Platform, Workload, WorkloadArgs } from "./platform.ts";
import { urlAt } from "../settings/ingress-address.ts";
import type { Settings } from "../settings/schema.ts";
import { secretsDir } from "../topology.ts";

/** What the adapter needs to know of the stack. */
export interface KubernetesPlatformArgs {
  /** Namespace of the stack, made here; everything is in it. */
  readonly namespace: string;
  /** Folder where secret files are seen by programs. */
  readonly secretsDir: string;
  /** Ports outside the stack that workloads with `egress` may call at private addresses. @default none */
  readonly externalPorts?: readonly number[];
  /** Secret of the namespace with which images are pulled. @default the nodes' own login */
  readonly imagePullSecret?: string;
  /** How published parts are reached from outside. @default not at all */
  readonly ingress?: IngressArgs;
  /**
   * Names the cluster. Without `enableConfigMapMutable` and `enableSecretMutable` a changed file replaces its object,
   * without `upsertExistingObjects` an interrupted update cannot be repeated.
   * @default what the stack's `kubernetes:context` and `kubernetes:kubeconfig` name, or the current context of this
   *   machine's kubeconfig; with all three
   */
  readonly provider?: Provider;
}

/**
 * The platform of a stack, on the cluster that its configuration names (`kubernetes:context`, `kubernetes:kubeconfig`), or
 * on that of the kubeconfig's current context.
 * @throws Error when the stack's name cannot be a namespace's
 */
export function createKubernetesPlatform(s: Settings): Platform {
  const namespace = namespaceOf(s.stack);
  return new KubernetesPlatform(namespace, { namespace, secretsDir, externalPorts: externalPorts(s), imagePullSecret: s.imagePullSecret, ingress: s.ingress });
}

/** Other keys of the namespace `kubernetes` are refused (components/settings/namespaces.ts). */
function providerArgs(): ProviderArgs {
  const config = new pulumi.Config("kubernetes");
  return {
    enableServerSideApply: true,
    enableConfigMapMutable: true,
    enableSecretMutable: true,
    // An interrupted update leaves objects that the state does not know; repeated, it takes them over. Everything in the
    // namespace is the stack's own.
    upsertExistingObjects: true,
    context: config.get("context") || undefined,
    // A path, or a whole file with what it signs in with. Without one the provider finds it by itself; left out, the SDK
    // would put this machine's $KUBECONFIG into the state.
    kubeconfig: config.getSecret("kubeconfig") ?? (pulumi.output(undefined) as unknown as pulumi.Output<string>),
  };
}

type Options = { parent: pulumi.Resource; dependsOn: pulumi.Resource[] };

/** Runs the stack in one namespace of a Kubernetes cluster. */
export class KubernetesPlatform extends pulumi.ComponentResource implements Platform {
  readonly reloads = false;
  private readonly args: KubernetesPlatformArgs;
  private readonly provider: Provider;
  private readonly namespace: Namespace;
  /** In force before any pod starts. */
  private readonly policies: NetworkPolicy[];

  constructor(name: string, args: KubernetesPlatformArgs, opts?: pulumi.ComponentResourceOptions) {
    super("crm:platform:Kubernetes", name, {}, opts);
    this.args = args;
    this.provider = args.provider ?? new Provider(`${name}-cluster`, providerArgs(), { parent: this });
    this.namespace = new Namespace(args.namespace, { metadata: namespaceMetadata(args.namespace) }, { parent: this, provider: this.provider });
    this.policies = [this.policy("default-deny", "namespace", denyAll, this), this.policy("allow-dns", "namespace", allowDns, this)];
    this.registerOutputs({});
  }

  run(name: string, args: WorkloadArgs, opts: { parent: pulumi.Resource }): Workload {
    const { ingress, namespace } = this.args;
    const files = this.files(name, args, opts.parent);
    const before = [
      ...this.policies,
      this.policy(name, name, policyOf({ namespace, ingress: ingress !== undefined, externalPorts: this.args.externalPorts ?? [] }, name, args), opts.parent),
      ...this.services(name, args, opts.parent),
      ...files,
    ];
    // An annotation would do too, but what is rendered could not have it. The version says nothing of the content.
    const restartFor = args.secrets?.restartOnChange ? files.find((f) => f instanceof Secret)?.metadata.resourceVersion.apply(given) : undefined;
    this.program(name, args, { parent: opts.parent, dependsOn: before, restartFor });
    if (replicated(args)) this.disruptionBudget(name, opts.parent);
    const url = args.publish === undefined || ingress === undefined ? undefined : urlAt(ingress, name);
    if (ingress !== undefined && url !== undefined) {
      new Ingress(name, { metadata: this.metadata(name, name, notAwaited), spec: ingressSpec(ingress, name, args.port) }, this.options(opts.parent));
    }
    return { name, url };
  }

  private program(name: string, args: WorkloadArgs, opts: Options & { restartFor?: pulumi.Input<string> }): StatefulSet {
    const replicas = args.replicas ?? 1;
    const claims = dataClaims(this.args, name, args);
    return new StatefulSet(
      name,
      {
        metadata: this.metadata(name, name),
        spec: {
          replicas,
          serviceName: governingName(name),
          selector: { matchLabels: selectorOf(this.args.namespace, name) },
          // Pods are NAME-1 to NAME-n, as on Docker.
          ...(replicated(args) && { ordinals: { start: 1 } }),
          // Peers need each other to be ready. And in order, a pod that a bad revision keeps from getting ready would
          // also keep the good revision after it from being rolled out. Updates go one by one all the same.
          podManagementPolicy: "Parallel",
          revisionHistoryLimit: 3,
          template: podTemplate(this.args, name, args),
          ...(claims.length > 0 && { volumeClaimTemplates: claims }),
        },
      },
      // What exists is taken over, so that one that is created before the old one is deleted would be the old one.
      { ...this.options(opts.parent, opts.dependsOn), deleteBeforeReplace: true, replacementTrigger: opts.restartFor },
    );
  }

  private services(name: string, args: WorkloadArgs, parent: pulumi.Resource): Service[] {
    return servicesOf(this.args.namespace, name, args).map(
      (service) => new Service(service.name, { metadata: this.metadata(name, service.name, notAwaited), spec: service.spec }, this.options(parent)),
    );
  }

  /** The configuration's ConfigMap and the secrets' Secret. */
  private files(name: string, args: WorkloadArgs, parent: pulumi.Resource): pulumi.Resource[] {
    const made: pulumi.Resource[] = [];
    if (args.config) {
      const id = `${name}-config`;
      made.push(new ConfigMap(id, { metadata: this.metadata(name, id), data: configMapData(name, args.config.files) }, this.options(parent)));
    }
    if (args.secrets) {
      const id = `${name}-secrets`;
      made.push(new Secret(id, { metadata: this.metadata(name, id), type: "Opaque", data: secretData(args.secrets.files) }, this.options(parent)));
    }
    return made;
  }

  private policy(name: string, part: string, spec: networking.v1.NetworkPolicySpec, parent: pulumi.Resource): NetworkPolicy {
    return new NetworkPolicy(name, { metadata: this.metadata(part, name), spec }, this.options(parent));
  }

  /** One replica at a time may be taken away for maintenance; one that is not well may always be. */
  private disruptionBudget(name: string, parent: pulumi.Resource): void {
    const selector = { matchLabels: selectorOf(this.args.namespace, name) };
    const spec = { maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow", selector };
    new PodDisruptionBudget(name, { metadata: this.metadata(name, name), spec }, this.options(parent));
  }

  private metadata(part: string, name: string, annotations?: Record<string, string>) {
    return metadataOf(this.args.namespace, part, name, annotations);
  }

  /** What goes with the namespace needs no deletion of its own when the stack is destroyed. */
  private options(parent: pulumi.Resource, dependsOn: pulumi.Resource[] = []): pulumi.CustomResourceOptions {
    return { parent, provider: this.provider, dependsOn: [this.namespace, ...dependsOn], deletedWith: this.namespace };
  }
}

/** A trigger must have a value; where nothing is created the cluster has given none. */
const given = (version: string | undefined) => version ?? "";

/** In `data`, not `stringData`: a server-side apply that leaves out a key of `stringData` does not remove it. */
function secretData(files: Readonly<Record<string, pulumi.Input<string>>>): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [file, pulumi.secret(text).apply((t) => Buffer.from(t).toString("base64"))]));
}
