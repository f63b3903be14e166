/** The pod of a workload: its container, volumes and everything that Pod Security "restricted" asks for. */
import type { core } from "@pulumi/kubernetes/types/input.js";
import { revisionOf } from "../loader.ts";
import type { WorkloadArgs } from "../platform.ts";
import { itemsOf } from "./config-map.ts";
import { labelsOf, selectorOf } from "./metadata.ts";
import { probesOf } from "./probes.ts";
import { cores, mebibytes } from "./quantity.ts";

/** What a pod needs to know of its stack. */
export interface PodContext {
  readonly namespace: string;
  /** Folder where programs see their secret files. */
  readonly secretsDir: string;
  /** Secret of the namespace with which images are pulled. @default the nodes' own login */
  readonly imagePullSecret?: string;
}

/** Seconds that a program has between the request to stop and the kill; the same on Docker. */
const graceSeconds = 30;
/** Seconds before that in which one of several replicas still answers, until every node sends its requests elsewhere. */
const drainSeconds = 5;
/** What the node keeps of a container's output, with room for rotation; nothing else is written to its disk. */
const ephemeralMiB = { request: 64, limit: 256 };
/** The share of the processor limit that is reserved; memory is reserved whole, because a lack of it kills. */
const cpuReserved = 0.1;

const dataVolume = "data";

/** Pod template of a workload. */
export function podTemplate(context: PodContext, name: string, args: WorkloadArgs): core.v1.PodTemplateSpec {
  // Secrets have no part in the revision: a swapped one is read from its file and restarts nothing.
  const annotations = args.config && { "checksum/config": revisionOf(args.config.files) };
  return {
    metadata: { labels: labelsOf(context.namespace, name), ...(annotations && { annotations }) },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(context.imagePullSecret !== undefined && { imagePullSecrets: [{ name: context.imagePullSecret }] }),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: args.user,
        runAsGroup: args.user,
        fsGroup: args.user,
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      terminationGracePeriodSeconds: graceSeconds + (replicated(args) ? drainSeconds : 0),
      ...(replicated(args) && { topologySpreadConstraints: spread(context.namespace, name) }),
      containers: [container(context, name, args)],
      volumes: volumes(name, args),
    },
  };
}

/** The claim of each replica's own data folder. */
export function dataClaims(context: PodContext, name: string, args: WorkloadArgs): core.v1.PersistentVolumeClaim[] {
  if (args.data === undefined || args.data.unused) return [];
  return [
    {
      metadata: { name: dataVolume, labels: selectorOf(context.namespace, name) },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: mebibytes(args.data.sizeGiB * 1024) } } },
    },
  ];
}

export const replicated = (args: WorkloadArgs) => (args.replicas ?? 1) > 1;

function container(context: PodContext, name: string, args: WorkloadArgs): core.v1.Container {
  return {
    name,
    image: args.image,
    imagePullPolicy: "IfNotPresent",
    ...(args.command && { command: args.command.map(literal) }),
    ...(args.args && { args: args.args.map(literal) }),
    env: Object.entries(args.env ?? {}).map(([key, value]) => ({ name: key, value: literal(value) })),
    ports: [args.port, ...(args.extraPorts ?? [])].map((containerPort) => ({ name: `tcp-${containerPort}`, containerPort, protocol: "TCP" })),
    ...probesOf(args.health),
    ...(replicated(args) && { lifecycle: { preStop: { sleep: { seconds: drainSeconds } } } }),
    resources: resources(args),
    securityContext: { allowPrivilegeEscalation: false, privileged: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
    volumeMounts: mounts(context, args),
  };
}

function resources({ limits }: WorkloadArgs): core.v1.ResourceRequirements {
  const memory = mebibytes(limits.memoryMiB);
  return {
    requests: { cpu: cores(Math.max(0.01, limits.cpu * cpuReserved)), memory, "ephemeral-storage": mebibytes(ephemeralMiB.request) },
    limits: { cpu: cores(limits.cpu), memory, "ephemeral-storage": mebibytes(ephemeralMiB.limit) },
  };
}

function volumes(name: string, args: WorkloadArgs): core.v1.Volume[] {
  const found: core.v1.Volume[] = [];
  if (args.config) found.push({ name: "config", configMap: { name: `${name}-config`, defaultMode: 0o444, items: itemsOf(name, args.config.files) } });
  if (args.secrets) found.push({ name: "secrets", secret: { secretName: `${name}-secrets`, defaultMode: 0o400 } });
  (args.scratch ?? []).forEach((s, i) => found.push({ name: `scratch-${i}`, emptyDir: { medium: "Memory", sizeLimit: mebibytes(s.sizeMiB) } }));
  return found;
}

function mounts(context: PodContext, args: WorkloadArgs): core.v1.VolumeMount[] {
  const found: core.v1.VolumeMount[] = [];
  if (args.config) found.push({ name: "config", mountPath: `${args.config.mount}/current`, readOnly: true });
  if (args.secrets) found.push({ name: "secrets", mountPath: context.secretsDir, readOnly: true });
  (args.scratch ?? []).forEach((s, i) => found.push({ name: `scratch-${i}`, mountPath: s.mount }));
  // A folder of its own inside the volume: a fresh disk has a `lost+found` at its top, over which Kafka stumbles.
  if (args.data && !args.data.unused) found.push({ name: dataVolume, mountPath: args.data.mount, subPath: "data" });
  return found;
}

/** Replicas prefer different zones and nodes, and still start where there is only one. */
function spread(namespace: string, name: string): core.v1.TopologySpreadConstraint[] {
  return ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: selectorOf(namespace, name) },
  }));
}

/** Kubernetes expands `$(NAME)` in arguments and values and halves `$$`; this keeps the text as it is on Docker. */
function literal(text: string): string {
  return text.replaceAll(/\$(?=[$(])/g, () => "$$");
}
