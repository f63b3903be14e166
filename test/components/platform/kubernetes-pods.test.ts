import { beforeAll, expect, it } from "vitest";
import { fullStack, fullWorkload, registered, tinyWorkload, type Registered } from "../../support/kubernetes-samples.ts";

const selector = (part: string) => ({ "app.kubernetes.io/name": part, "app.kubernetes.io/instance": "crm-sample" });
const labels = (part: string) => ({ ...selector(part), "app.kubernetes.io/part-of": "crm-observability", "app.kubernetes.io/managed-by": "pulumi" });

const restricted = { allowPrivilegeEscalation: false, privileged: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } };
const podSecurity = (user: number) => ({
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  fsGroupChangePolicy: "OnRootMismatch",
  seccompProfile: { type: "RuntimeDefault" },
});

let resources: Registered[];
const statefulSet = (name: string) => resources.find((r) => r.type === "kubernetes:apps/v1:StatefulSet" && r.name === name)!.inputs.spec;

beforeAll(async () => {
  resources = await registered(fullStack, { hub: fullWorkload, tiny: tinyWorkload });
});

it("runs a workload with everything as three numbered, spread, restricted pods", () => {
  const handler = { httpGet: { path: "/-/ready", port: 9093 }, timeoutSeconds: 5 };
  expect(statefulSet("hub")).toEqual({
    replicas: 3,
    ordinals: { start: 1 },
    serviceName: "hub-pods",
    podManagementPolicy: "Parallel",
    revisionHistoryLimit: 3,
    selector: { matchLabels: selector("hub") },
    template: {
      metadata: { labels: labels("hub"), annotations: { "checksum/config": expect.stringMatching(/^[0-9a-f]{12}$/) } },
      spec: {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: podSecurity(65534),
        terminationGracePeriodSeconds: 35,
        topologySpreadConstraints: ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
          maxSkew: 1,
          topologyKey,
          whenUnsatisfiable: "ScheduleAnyway",
          labelSelector: { matchLabels: selector("hub") },
        })),
        containers: [
          {
            name: "hub",
            image: "registry.example.com/hub:1.2.3",
            imagePullPolicy: "IfNotPresent",
            command: ["/bin/hub"],
            // Kubernetes turns these back into what the workload asked for.
            args: ["--match=vip-.*$", "--raw=$$(HOME)", "--price=$$$5"],
            env: [
              { name: "LOG_LEVEL", value: "info" },
              { name: "PATTERN", value: "$$(LOG_LEVEL)" },
            ],
            ports: [9093, 9094].map((containerPort) => ({ name: `tcp-${containerPort}`, containerPort, protocol: "TCP" })),
            startupProbe: { ...handler, periodSeconds: 5, failureThreshold: 180 },
            readinessProbe: { ...handler, periodSeconds: 20, failureThreshold: 3 },
            livenessProbe: { ...handler, periodSeconds: 20, failureThreshold: 10 },
            lifecycle: { preStop: { sleep: { seconds: 5 } } },
            resources: {
              requests: { cpu: "150m", memory: "2Gi", "ephemeral-storage": "64Mi" },
              limits: { cpu: "1500m", memory: "2Gi", "ephemeral-storage": "256Mi" },
            },
            securityContext: restricted,
            volumeMounts: [
              { name: "config", mountPath: "/etc/hub/current", readOnly: true },
              { name: "secrets", mountPath: "/run/secrets/crm", readOnly: true },
              { name: "scratch-0", mountPath: "/tmp" },
              { name: "data", mountPath: "/hub", subPath: "data" },
            ],
          },
        ],
        volumes: [
          {
            name: "config",
            configMap: {
              name: "hub-config",
              defaultMode: 0o444,
              items: [
                { key: "hub.yml", path: "hub.yml" },
                { key: "templates__slack.tmpl", path: "templates/slack.tmpl" },
              ],
            },
          },
          { name: "secrets", secret: { secretName: "hub-secrets", defaultMode: 0o400 } },
          { name: "scratch-0", emptyDir: { medium: "Memory", sizeLimit: "16Mi" } },
        ],
      },
    },
    volumeClaimTemplates: [
      { metadata: { name: "data", labels: selector("hub") }, spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } } },
    ],
  });
});

it("runs a workload with the minimum as one restricted pod without volumes", () => {
  const handler = { tcpSocket: { port: 9011 }, timeoutSeconds: 3 };
  expect(statefulSet("tiny")).toEqual({
    replicas: 1,
    serviceName: "tiny-pods",
    podManagementPolicy: "Parallel",
    revisionHistoryLimit: 3,
    selector: { matchLabels: selector("tiny") },
    template: {
      metadata: { labels: labels("tiny") },
      spec: {
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: podSecurity(1000),
        terminationGracePeriodSeconds: 30,
        containers: [
          {
            name: "tiny",
            image: "tiny:1",
            imagePullPolicy: "IfNotPresent",
            env: [],
            ports: [{ name: "tcp-9011", containerPort: 9011, protocol: "TCP" }],
            startupProbe: { ...handler, periodSeconds: 5, failureThreshold: 180 },
            readinessProbe: { ...handler, periodSeconds: 5, failureThreshold: 3 },
            livenessProbe: { ...handler, periodSeconds: 5, failureThreshold: 5 },
            resources: {
              requests: { cpu: "10m", memory: "64Mi", "ephemeral-storage": "64Mi" },
              limits: { cpu: "50m", memory: "64Mi", "ephemeral-storage": "256Mi" },
            },
            securityContext: restricted,
            volumeMounts: [],
          },
        ],
        volumes: [],
      },
    },
  });
});
