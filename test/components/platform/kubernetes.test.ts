import { beforeAll, describe, expect, it } from "vitest";
import { allowed, danglingReferences, targetsOf } from "../../support/kubernetes-references.ts";
import { fullStack, fullWorkload, manifestsOf, registered, tinyWorkload, type Registered } from "../../support/kubernetes-samples.ts";

const common = (part: string) => ({
  "app.kubernetes.io/name": part,
  "app.kubernetes.io/instance": "crm-sample",
  "app.kubernetes.io/part-of": "crm-observability",
  "app.kubernetes.io/managed-by": "pulumi",
});
const selector = (part: string) => ({ "app.kubernetes.io/name": part, "app.kubernetes.io/instance": "crm-sample" });
const pods = (part: string) => ({ podSelector: { matchLabels: selector(part) } });
const managed = { "pulumi.com/patchFieldManager": "crm-observability" };
const metadata = (part: string, name: string) => ({ name, namespace: "crm-sample", labels: common(part), annotations: managed });
const notAwaited = { annotations: { ...managed, "pulumi.com/skipAwait": "true" } };

let resources: Registered[];

function inputs(kind: string, name: string): Record<string, unknown> {
  const found = resources.filter((r) => r.type.endsWith(`:${kind}`) && r.name === name);
  expect(found, `${kind} ${name}`).toHaveLength(1);
  return found[0]!.inputs;
}
const spec = (kind: string, name: string) => inputs(kind, name).spec as Record<string, unknown>;

beforeAll(async () => {
  process.env.KUBECONFIG = "/home/someone/.kube/config";
  resources = await registered(fullStack, { hub: fullWorkload, tiny: tinyWorkload });
});

describe("a stack", () => {
  it("registers exactly these resources", () => {
    expect(resources.map((r) => `${r.type} ${r.name}`).sort()).toEqual([
      "crm:platform:Kubernetes crm-sample",
      "kubernetes:apps/v1:StatefulSet hub",
      "kubernetes:apps/v1:StatefulSet tiny",
      "kubernetes:core/v1:ConfigMap hub-config",
      "kubernetes:core/v1:Namespace crm-sample",
      "kubernetes:core/v1:Secret hub-secrets",
      "kubernetes:core/v1:Service hub",
      "kubernetes:core/v1:Service hub-1",
      "kubernetes:core/v1:Service hub-2",
      "kubernetes:core/v1:Service hub-3",
      "kubernetes:core/v1:Service hub-pods",
      "kubernetes:core/v1:Service tiny",
      "kubernetes:core/v1:Service tiny-pods",
      "kubernetes:networking.k8s.io/v1:Ingress hub",
      "kubernetes:networking.k8s.io/v1:NetworkPolicy allow-dns",
      "kubernetes:networking.k8s.io/v1:NetworkPolicy default-deny",
      "kubernetes:networking.k8s.io/v1:NetworkPolicy hub",
      "kubernetes:networking.k8s.io/v1:NetworkPolicy tiny",
      "kubernetes:policy/v1:PodDisruptionBudget hub",
      "pulumi:providers:kubernetes crm-sample-cluster",
    ]);
  });

  it("updates files in place, takes over what an interrupted update left, and keeps this machine's kubeconfig out of the state", () => {
    expect(inputs("kubernetes", "crm-sample-cluster")).toEqual({
      enableServerSideApply: "true",
      enableConfigMapMutable: "true",
      enableSecretMutable: "true",
      upsertExistingObjects: "true",
    });
  });

  it("has a namespace that admits only restricted pods", () => {
    const modes = { enforce: "restricted", "enforce-version": "latest", warn: "restricted", "warn-version": "latest", audit: "restricted", "audit-version": "latest" };
    const security = Object.fromEntries(Object.entries(modes).map(([mode, level]) => [`pod-security.kubernetes.io/${mode}`, level]));
    expect(inputs("Namespace", "crm-sample").metadata).toEqual({ name: "crm-sample", labels: { ...common("namespace"), ...security }, annotations: managed });
  });

  it("denies everything and then lets every pod ask for names", () => {
    expect(spec("NetworkPolicy", "default-deny")).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    const dns = [
      { port: 53, protocol: "UDP" },
      { port: 53, protocol: "TCP" },
    ];
    const to = [
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } }, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } },
      { ipBlock: { cidr: "169.254.20.10/32" } },
    ];
    expect(spec("NetworkPolicy", "allow-dns")).toEqual({ podSelector: {}, policyTypes: ["Egress"], egress: [{ to, ports: dns }] });
  });

  it("gives every object its fixed name and labels, and no secret to any but the Secret", () => {
    for (const manifest of manifestsOf(resources)) {
      const { kind, metadata: meta } = manifest as { kind: string; metadata: { name: string; namespace?: string; labels: object; annotations: object } };
      expect(meta.labels, `${kind} ${meta.name}`).toMatchObject({ "app.kubernetes.io/instance": "crm-sample", "app.kubernetes.io/managed-by": "pulumi" });
      expect(meta.annotations, `${kind} ${meta.name}`).toMatchObject(managed);
      if (kind !== "Namespace") expect(meta.namespace).toBe("crm-sample");
      if (kind !== "Secret") for (const form of ["canary-", Buffer.from("canary-slack-").toString("base64").slice(0, 12)]) expect(JSON.stringify(manifest)).not.toContain(form);
    }
  });
});

describe("the objects together", () => {
  it("refer to nothing that is not there", () => {
    const manifests = manifestsOf(resources);
    expect(danglingReferences(manifests, true)).toEqual([]);
    const without = (kind: string) => danglingReferences(manifests.filter((m) => m.kind !== kind), true).join();
    expect(without("ConfigMap")).toContain("no hub.yml in ConfigMap hub-config");
    expect(without("Secret")).toContain("no Secret hub-secrets");
    expect(without("Service")).toContain("StatefulSet hub: no Service hub-pods");
    expect(without("StatefulSet")).toContain("Service hub selects no pod");
  });

  it("lead each name to its pods", () => {
    const to = (address: string) => targetsOf(manifestsOf(resources), address);
    expect(to("hub:9093")).toEqual(["hub-1:9093", "hub-2:9093", "hub-3:9093"]);
    expect(to("hub-2:9094")).toEqual(["hub-2:9094"]);
    expect(to("tiny:9011")).toEqual(["tiny-0:9011"]);
    expect(to("hub-4:9093")).toEqual([]);
    expect(to("tiny:80")).toEqual([]);
  });

  it("let the declared connections through and no other", () => {
    const open = (from: string, to: string, port: number) => allowed(manifestsOf(resources), from, to, port);
    expect([open("hub", "tiny", 9011), open("hub", "hub", 9094)]).toEqual([true, true]);
    // `tiny` may be heard by the hub but does not say that it calls it; nobody but a peer gossips.
    expect([open("tiny", "hub", 9093), open("tiny", "tiny", 9011), open("hub", "tiny", 80)]).toEqual([false, false, false]);
  });
});

describe("a workload with everything", () => {
  it("keeps its configuration in one ConfigMap, and its secrets encrypted in one Secret", () => {
    expect(inputs("ConfigMap", "hub-config")).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata("hub", "hub-config"),
      data: { "hub.yml": "route: {}\n", "templates__slack.tmpl": '{{ define "x" }}{{ end }}\n' },
    });
    const secretSignature = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
    const data = { "slack-crm": "Y2FuYXJ5LXNsYWNrLWNybQ==", "slack-ops": "Y2FuYXJ5LXNsYWNrLW9wcw==" };
    expect(inputs("Secret", "hub-secrets")).toMatchObject({ type: "Opaque", data: { ...secretSignature, value: data } });
  });

  it("is replaced for a new version of its Secret where it reads that only when it starts", async () => {
    const found = await registered(fullStack, { tiny: { ...tinyWorkload, secrets: { files: { token: "x" }, restartOnChange: true } }, other: { ...tinyWorkload, secrets: { files: { token: "x" } } } });
    const triggers = found.filter((r) => r.type.endsWith(":StatefulSet")).map((r) => [r.name, r.trigger] as const);
    expect(Object.fromEntries(triggers)).toEqual({ tiny: "version of tiny-secrets", other: undefined });
    // Else the new one would take the old one over, and be deleted as it.
    expect(found.filter((r) => r.type.endsWith(":StatefulSet")).map((r) => r.deletedFirst)).toEqual([true, true]);
  });

  it("answers as NAME when ready, and each replica as NAME-i always", () => {
    const ports = [9093, 9094].map((port) => ({ name: `tcp-${port}`, port, targetPort: port, protocol: "TCP" }));
    expect(inputs("Service", "hub").metadata).toEqual({ ...metadata("hub", "hub"), ...notAwaited });
    expect(spec("Service", "hub")).toEqual({ type: "ClusterIP", publishNotReadyAddresses: false, selector: selector("hub"), ports });
    expect(spec("Service", "hub-pods")).toEqual({ clusterIP: "None", publishNotReadyAddresses: true, selector: selector("hub"), ports });
    for (const pod of ["hub-1", "hub-2", "hub-3"]) {
      const only = { ...selector("hub"), "statefulset.kubernetes.io/pod-name": pod };
      expect(spec("Service", pod)).toEqual({ clusterIP: "None", publishNotReadyAddresses: true, selector: only, ports });
    }
  });

  it("is reached by its clients, its peers and the Ingress, and calls its servers, the internet and the configured ports", () => {
    const tcp = (...ports: number[]) => ports.map((port) => ({ port, protocol: "TCP" }));
    const policy = spec("NetworkPolicy", "hub");
    expect(policy).toMatchObject({ ...pods("hub"), policyTypes: ["Ingress", "Egress"] });
    expect(policy.ingress).toEqual([
      { from: [pods("tiny")], ports: tcp(9093) },
      { from: [pods("hub")], ports: [...tcp(9093, 9094), { port: 9094, protocol: "UDP" }] },
      { ports: tcp(9093) },
    ]);
    const near = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
    expect(policy.egress).toEqual([
      { to: [pods("hub"), pods("tiny")] },
      { to: [{ ipBlock: { cidr: "0.0.0.0/0", except: [...near, "169.254.0.0/16"] } }, { ipBlock: { cidr: "::/0", except: ["fc00::/7", "fe80::/10"] } }] },
      {
        to: [
          ...[...near, "fc00::/7"].map((cidr) => ({ ipBlock: { cidr } })),
          { namespaceSelector: { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["crm-sample"] }] } },
        ],
        ports: tcp(5432),
      },
    ]);
  });

  it("has a host of its own and loses at most one replica to maintenance", () => {
    const backend = { service: { name: "hub", port: { number: 9093 } } };
    expect(inputs("Ingress", "hub").metadata).toEqual({ ...metadata("hub", "hub"), ...notAwaited });
    expect(spec("Ingress", "hub")).toEqual({
      ingressClassName: "nginx",
      rules: [{ host: "hub.crm.example.com", http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
      tls: [{ hosts: ["hub.crm.example.com"], secretName: "crm-tls" }],
    });
    expect(spec("PodDisruptionBudget", "hub")).toEqual({ maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow", selector: { matchLabels: selector("hub") } });
  });
});

describe("a workload with the minimum", () => {
  it("has a Service that leads to its pod even before it is ready", () => {
    const ports = [{ name: "tcp-9011", port: 9011, targetPort: 9011, protocol: "TCP" }];
    expect(spec("Service", "tiny")).toEqual({ type: "ClusterIP", publishNotReadyAddresses: true, selector: selector("tiny"), ports });
  });

  it("is reached by its clients alone and calls nothing", () => {
    const ingress = [{ from: [pods("hub")], ports: [{ port: 9011, protocol: "TCP" }] }];
    expect(spec("NetworkPolicy", "tiny")).toEqual({ ...pods("tiny"), policyTypes: ["Ingress", "Egress"], ingress, egress: [] });
  });
});
