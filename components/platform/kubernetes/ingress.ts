/** How a published part is reached from outside the cluster. */
import type { networking } from "@pulumi/kubernetes/types/input.js";
import { hostAt } from "../../settings/ingress-address.ts";

/** Where published parts appear. */
export interface IngressArgs {
  /** Parent domain: part NAME is `NAME.<host>`. */
  readonly host: string;
  /** @default the cluster's default class */
  readonly className?: string;
  /** Secret of type kubernetes.io/tls in the stack's namespace, for `*.<host>`. @default none: plain HTTP */
  readonly tlsSecret?: string;
}

/** A host of its own for each part: no program has to know a path prefix. */
export function ingressSpec(ingress: IngressArgs, name: string, port: number): networking.v1.IngressSpec {
  const host = hostAt(ingress, name);
  return {
    ...(ingress.className !== undefined && { ingressClassName: ingress.className }),
    rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name, port: { number: port } } } }] } }],
    ...(ingress.tlsSecret !== undefined && { tls: [{ hosts: [host], secretName: ingress.tlsSecret }] }),
  };
}
