/** Whether the objects of a stack fit each other: what one names, another is. */
import type { Manifest } from "./kubernetes-checks.ts";

interface Labels {
  readonly [key: string]: string;
}
interface Meta {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Labels;
}
interface Volume {
  readonly configMap?: { readonly name: string; readonly items: readonly { readonly key: string }[] };
  readonly secret?: { readonly secretName: string };
}
interface StatefulSet {
  readonly metadata: Meta;
  readonly spec: {
    readonly replicas: number;
    readonly serviceName: string;
    readonly ordinals?: { readonly start: number };
    readonly selector: { readonly matchLabels: Labels };
    readonly template: { readonly metadata: Meta; readonly spec: { readonly volumes: readonly Volume[]; readonly containers: readonly { readonly ports: readonly { readonly containerPort: number }[] }[] } };
  };
}
interface Service {
  readonly metadata: Meta;
  readonly spec: { readonly selector: Labels; readonly ports: readonly { readonly port: number; readonly targetPort: number }[] };
}
interface Peer {
  readonly podSelector?: { readonly matchLabels?: Labels };
  readonly namespaceSelector?: unknown;
}
interface NetworkPolicy {
  readonly metadata: Meta;
  readonly spec: {
    readonly podSelector: { readonly matchLabels?: Labels };
    readonly ingress?: readonly { readonly from?: readonly Peer[]; readonly ports?: readonly { readonly port: number; readonly protocol: string }[] }[];
    readonly egress?: readonly { readonly to?: readonly Peer[] }[];
  };
}

/** The objects of one kind. */
export function ofKind<T>(objects: readonly Manifest[], kind: string): T[] {
  return objects.filter((o) => o.kind === kind) as T[];
}

/** Labels of each pod that the StatefulSets make, by its name. */
function podsOf(objects: readonly Manifest[]): Map<string, Labels> {
  const pods = new Map<string, Labels>();
  for (const { metadata, spec } of ofKind<StatefulSet>(objects, "StatefulSet")) {
    const start = spec.ordinals?.start ?? 0;
    for (let i = start; i < start + spec.replicas; i++) {
      const name = `${metadata.name}-${i}`;
      pods.set(name, { ...spec.template.metadata.labels, "statefulset.kubernetes.io/pod-name": name });
    }
  }
  return pods;
}

const matches = (selector: Labels | undefined, labels: Labels) => Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);

/**
 * Everything that leads nowhere: a selector without pods, a volume without its object, a port that no container has.
 * @param secrets whether the Secret objects are among `objects`
 */
export function danglingReferences(objects: readonly Manifest[], secrets: boolean): string[] {
  const pods = [...podsOf(objects).values()];
  const selects = (selector: Labels | undefined) => pods.some((labels) => matches(selector, labels));
  const exists = (kind: string, name: string) => ofKind<{ metadata: Meta }>(objects, kind).some((o) => o.metadata.name === name);
  const problems: string[] = [];
  for (const { metadata, spec } of ofKind<StatefulSet>(objects, "StatefulSet")) {
    if (!matches(spec.selector.matchLabels, spec.template.metadata.labels ?? {})) problems.push(`StatefulSet ${metadata.name} does not select its own pods`);
    if (!exists("Service", spec.serviceName)) problems.push(`StatefulSet ${metadata.name}: no Service ${spec.serviceName}`);
    for (const { configMap, secret } of spec.template.spec.volumes) {
      const data = configMap && ofKind<{ metadata: Meta; data: object }>(objects, "ConfigMap").find((o) => o.metadata.name === configMap.name)?.data;
      for (const { key } of configMap?.items ?? []) if (data === undefined || !(key in data)) problems.push(`StatefulSet ${metadata.name}: no ${key} in ConfigMap ${configMap!.name}`);
      if (secrets && secret && !exists("Secret", secret.secretName)) problems.push(`StatefulSet ${metadata.name}: no Secret ${secret.secretName}`);
    }
  }
  for (const { metadata, spec } of ofKind<Service>(objects, "Service")) if (!selects(spec.selector)) problems.push(`Service ${metadata.name} selects no pod`);
  for (const { metadata, spec } of ofKind<NetworkPolicy>(objects, "NetworkPolicy")) {
    const peers = [...(spec.ingress ?? []).flatMap((r) => r.from ?? []), ...(spec.egress ?? []).flatMap((r) => r.to ?? [])];
    const selectors = [spec.podSelector, ...peers.filter((p) => p.namespaceSelector === undefined).flatMap((p) => p.podSelector ?? [])];
    for (const { matchLabels } of selectors) if (!selects(matchLabels)) problems.push(`NetworkPolicy ${metadata.name} selects no pod with ${JSON.stringify(matchLabels)}`);
  }
  for (const { metadata, spec } of ofKind<{ metadata: Meta; spec: { rules: { http: { paths: { backend: { service: { name: string } } }[] } }[] } }>(objects, "Ingress")) {
    for (const { backend } of spec.rules.flatMap((r) => r.http.paths)) if (!exists("Service", backend.service.name)) problems.push(`Ingress ${metadata.name}: no Service ${backend.service.name}`);
  }
  return problems;
}

/**
 * Pods and ports that a name leads to.
 * @param address `host:port` as configuration files have it
 */
export function targetsOf(objects: readonly Manifest[], address: string): string[] {
  const [host, port] = address.split(":");
  const service = ofKind<Service>(objects, "Service").find((s) => s.metadata.name === host);
  const target = service?.spec.ports.find((p) => p.port === Number(port))?.targetPort;
  if (service === undefined || target === undefined) return [];
  return [...podsOf(objects)].filter(([, labels]) => matches(service.spec.selector, labels)).map(([name]) => `${name}:${target}`);
}

/** Whether the policies let a part open a TCP connection to another's port: out of the one and into the other. */
export function allowed(objects: readonly Manifest[], from: string, to: string, port: number): boolean {
  const policies = ofKind<NetworkPolicy>(objects, "NetworkPolicy");
  const labels = (part: string) => ofKind<StatefulSet>(objects, "StatefulSet").find((s) => s.metadata.name === part)!.spec.template.metadata.labels ?? {};
  const peer = (peers: readonly Peer[] | undefined, part: string) =>
    peers === undefined || peers.some((p) => p.podSelector !== undefined && p.namespaceSelector === undefined && matches(p.podSelector.matchLabels, labels(part)));
  const out = policies.some((p) => matches(p.spec.podSelector.matchLabels, labels(from)) && p.spec.egress?.some((r) => r.to !== undefined && peer(r.to, to)));
  const into = policies.some(
    (p) => matches(p.spec.podSelector.matchLabels, labels(to)) && p.spec.ingress?.some((r) => peer(r.from, from) && (r.ports === undefined || r.ports.some((x) => x.port === port && x.protocol === "TCP"))),
  );
  return out && into;
}
