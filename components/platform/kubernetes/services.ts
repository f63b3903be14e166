/** The Services that give a workload the names it has on Docker. */
import type { core } from "@pulumi/kubernetes/types/input.js";
import type { WorkloadArgs } from "../platform.ts";
import { replicaNames } from "../../topology.ts";
import { selectorOf } from "./metadata.ts";

/** A Service by name. */
export interface NamedService {
  readonly name: string;
  readonly spec: core.v1.ServiceSpec;
}

/** Name of the Service that a StatefulSet needs for its pods' own names. */
export const governingName = (name: string) => `${name}-pods`;

/**
 * `NAME` leads to any replica; `NAME-1` to `NAME-n` to one each, when there are several.
 *
 * The address of one replica holds while it is not ready, as on Docker: peers find each other before any is ready,
 * Prometheus sees which one is not well, and a broker reaches itself. These addresses are the pod's own (no cluster IP),
 * because Alertmanager tells its peers apart by address. `NAME` of several replicas leads only to those that are ready.
 */
export function servicesOf(namespace: string, name: string, args: WorkloadArgs): NamedService[] {
  const selector = selectorOf(namespace, name);
  const ports = servicePorts(args);
  const replicas = args.replicas ?? 1;
  const one = (pod: string): NamedService => ({
    name: pod,
    spec: { clusterIP: "None", publishNotReadyAddresses: true, selector: { ...selector, "statefulset.kubernetes.io/pod-name": pod }, ports },
  });
  return [
    { name: governingName(name), spec: { clusterIP: "None", publishNotReadyAddresses: true, selector, ports } },
    { name, spec: { type: "ClusterIP", publishNotReadyAddresses: replicas === 1, selector, ports } },
    ...(replicas > 1 ? replicaNames(name, replicas).map(one) : []),
  ];
}

function servicePorts(args: WorkloadArgs): core.v1.ServicePort[] {
  return [args.port, ...(args.extraPorts ?? [])].map((port) => ({ name: `tcp-${port}`, port, targetPort: port, protocol: "TCP" }));
}
