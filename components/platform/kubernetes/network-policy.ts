/** Who may talk to whom: nothing, except what a workload names. */
import type { networking } from "@pulumi/kubernetes/types/input.js";
import type { WorkloadArgs } from "../platform.ts";
import { selectorOf } from "./metadata.ts";

type Spec = networking.v1.NetworkPolicySpec;
type Peer = networking.v1.NetworkPolicyPeer;
type Port = networking.v1.NetworkPolicyPort;

/** Private ranges, in which clusters have their pods, Services and nodes (RFC 1918, 6598, 4193). */
const privateRanges = { v4: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"], v6: ["fc00::/7"] };
/** Link-local, where clouds have their metadata service; nothing here calls it. */
const linkLocal = { v4: ["169.254.0.0/16"], v6: ["fe80::/10"] };
/** Where a per-node DNS cache listens by default. */
const nodeLocalDns = "169.254.20.10/32";

const ports = (protocol: "TCP" | "UDP", numbers: readonly number[]): Port[] => numbers.map((port) => ({ port, protocol }));

/** What the policies need to know of the stack. */
export interface PolicyContext {
  readonly namespace: string;
  /** Published parts may be reached from everywhere, because an Ingress leads to them. */
  readonly ingress: boolean;
  /** TCP ports outside the stack that workloads with `egress` may call at private addresses and in other namespaces. */
  readonly externalPorts: readonly number[];
}

/** Nothing comes in and nothing goes out. */
export const denyAll: Spec = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };

/** Every pod may ask the cluster's DNS. */
export const allowDns: Spec = {
  podSelector: {},
  policyTypes: ["Egress"],
  egress: [
    {
      to: [
        { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } }, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } },
        { ipBlock: { cidr: nodeLocalDns } },
      ],
      ports: [...ports("UDP", [53]), ...ports("TCP", [53])],
    },
  ],
};

/** What one workload may do. Its servers' ports are limited by their own policies, on the way in. */
export function policyOf(context: PolicyContext, name: string, args: WorkloadArgs): Spec {
  const pods = (part: string): Peer => ({ podSelector: { matchLabels: selectorOf(context.namespace, part) } });
  return {
    podSelector: { matchLabels: selectorOf(context.namespace, name) },
    policyTypes: ["Ingress", "Egress"],
    ingress: ingressRules(context, name, args, pods),
    egress: [...(args.servers.length > 0 ? [{ to: args.servers.map(pods) }] : []), ...(args.egress ? outside(context) : [])],
  };
}

/**
 * Clients reach the port, and the extra ports too unless those are for the part's own replicas: peers that gossip do it
 * by both protocols, and nobody else has business there.
 */
function ingressRules(context: PolicyContext, name: string, args: WorkloadArgs, pods: (part: string) => Peer) {
  const extra = args.extraPorts ?? [];
  const peers = args.clients.includes(name);
  const others = args.clients.filter((client) => client !== name);
  return [
    ...(others.length > 0 ? [{ from: others.map(pods), ports: ports("TCP", [args.port, ...(peers ? [] : extra)]) }] : []),
    ...(peers ? [{ from: [pods(name)], ports: [...ports("TCP", [args.port, ...extra]), ...ports("UDP", extra)] }] : []),
    ...(context.ingress && args.publish !== undefined ? [{ ports: ports("TCP", [args.port]) }] : []),
  ];
}

/** The internet, and at private addresses only the configured ports: the cluster's own ranges are not known here. */
function outside({ namespace, externalPorts }: PolicyContext): networking.v1.NetworkPolicyEgressRule[] {
  const internet: Peer[] = [
    { ipBlock: { cidr: "0.0.0.0/0", except: [...privateRanges.v4, ...linkLocal.v4] } },
    { ipBlock: { cidr: "::/0", except: [...privateRanges.v6, ...linkLocal.v6] } },
  ];
  if (externalPorts.length === 0) return [{ to: internet }];
  const near: Peer[] = [
    ...[...privateRanges.v4, ...privateRanges.v6].map((cidr) => ({ ipBlock: { cidr } })),
    // Some network plugins never match a pod by its address.
    { namespaceSelector: { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: [namespace] }] } },
  ];
  return [{ to: internet }, { to: near, ports: ports("TCP", externalPorts) }];
}
