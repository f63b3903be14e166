import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { configMapData, itemsOf } from "../../../components/platform/kubernetes/config-map.ts";
import { externalPorts } from "../../../components/platform/kubernetes/external-ports.ts";
import { urlAt } from "../../../components/settings/ingress-address.ts";
import { namespaceOf } from "../../../components/platform/kubernetes/metadata.ts";
import { policyOf } from "../../../components/platform/kubernetes/network-policy.ts";
import { podTemplate } from "../../../components/platform/kubernetes/pod.ts";
import { cores, mebibytes } from "../../../components/platform/kubernetes/quantity.ts";
import type { WorkloadArgs } from "../../../components/platform/platform.ts";
import { tinyWorkload } from "../../support/kubernetes-samples.ts";
import { sampleSettings } from "../../support/settings.ts";

const context = { namespace: "crm-sample", secretsDir: "/run/secrets/crm" };
const config = (files: Record<string, string>) => ({ mount: "/etc/x", files, check: "true" });
const checksum = (files: Record<string, string>) => {
  const { metadata } = podTemplate(context, "x", { ...tinyWorkload, config: config(files) }) as { metadata: { annotations: Record<string, string> } };
  return metadata.annotations["checksum/config"];
};

describe("namespaceOf", () => {
  it("puts the project's prefix before the stack", () => expect(namespaceOf("prod")).toBe("crm-prod"));
  it.each(["Dev", "a_b", "a.b", "a-", "x".repeat(60)])("refuses the stack name %s", (stack) => {
    expect(() => namespaceOf(stack)).toThrow(`the stack name "${stack}" gives no valid Kubernetes namespace`);
  });
});

describe("a configuration folder", () => {
  it("has keys that a ConfigMap can hold, and the paths of the files", () => {
    expect(itemsOf("grafana", { "dashboards/My Team/a.json": "{}", "b.yml": "" })).toEqual([
      { key: "b.yml", path: "b.yml" },
      { key: "dashboards__My_Team__a.json", path: "dashboards/My Team/a.json" },
    ].sort((a, b) => (a.path < b.path ? -1 : 1)));
  });

  it("refuses two files that would be one key", () => {
    expect(() => itemsOf("grafana", { "a/b": "", "a__b": "" })).toThrow('grafana: the configuration files "a/b" and "a__b" give the same ConfigMap key "a__b"; rename one');
  });

  it("takes one mebibyte and refuses a byte more, naming the largest file", () => {
    const size = 1024 * 1024;
    expect(Object.keys(configMapData("grafana", { "big.json": "x".repeat(size) }))).toEqual(["big.json"]);
    expect(() => configMapData("grafana", { "big.json": "x".repeat(size), "small.yml": "y" })).toThrow(/^grafana: its configuration is 1025 KiB, and a ConfigMap holds 1024 KiB; the largest files are big\.json \(1024 KiB\)/);
    // Two bytes each in UTF-8.
    expect(() => configMapData("grafana", { "big.json": "é".repeat(size / 2 + 1) })).toThrow("1025 KiB");
  });

  it("rolls the pods when a byte of it changes, and not when the order of its files does", () => {
    expect(checksum({ a: "1", b: "2" })).toBe(checksum({ b: "2", a: "1" }));
    expect(checksum({ a: "1", b: "2" })).not.toBe(checksum({ a: "1", b: "3" }));
    expect(checksum({ a: "1", b: "2" })).not.toBe(checksum({ a: "1b", "": "2" }));
  });
});

it("pulls images with the Secret that the settings name, and else with the nodes' own login", () => {
  const { spec } = podTemplate({ ...context, imagePullSecret: "registry-login" }, "x", tinyWorkload) as { spec: { imagePullSecrets: unknown } };
  expect(spec.imagePullSecrets).toEqual([{ name: "registry-login" }]);
  expect(podTemplate(context, "x", tinyWorkload).spec).not.toHaveProperty("imagePullSecrets");
});

it("does not roll the pods when a secret changes", () => {
  const template = (text: string) => podTemplate(context, "x", { ...tinyWorkload, secrets: { files: { token: text } } });
  expect(template("one")).toEqual(template("two"));
});

it("leaves every text as it is after Kubernetes has expanded it", () => {
  // The expansion of the container runtime's arguments and values, as the API documents it.
  const expand = (text: string) => text.replaceAll(/\$(\$|\(([^)]*)\))/g, (_, rest: string) => (rest === "$" ? "$" : "EXPANDED"));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("$", "(", ")", "A", " ") }), (text) => {
      const { spec } = podTemplate(context, "x", { ...tinyWorkload, args: [text] }) as { spec: { containers: { args: string[] }[] } };
      expect(expand(spec.containers[0]!.args[0]!)).toBe(text);
    }),
  );
});

describe("quantities", () => {
  it.each([
    [0.05, "50m"],
    [1, "1"],
    [1.5, "1500m"],
  ])("%d cores are %s", (count, text) => expect(cores(count)).toBe(text));
  it.each([
    [64, "64Mi"],
    [2048, "2Gi"],
    [0.5 * 1024, "512Mi"],
  ])("%d mebibytes are %s", (count, text) => expect(mebibytes(count)).toBe(text));
});

describe("network policies", () => {
  const publishing = { ...tinyWorkload, publish: 9011 };
  const policy = (ingress: boolean, args: WorkloadArgs = publishing) => policyOf({ namespace: "crm-sample", ingress, externalPorts: [] }, "x", args);

  it("opens a published part to everywhere only when an Ingress leads to it", () => {
    expect(policy(false).ingress).toHaveLength(1);
    expect(policy(true).ingress).toContainEqual({ ports: [{ port: 9011, protocol: "TCP" }] });
    expect(policy(true, tinyWorkload).ingress).toHaveLength(1);
  });

  it("lets clients use the extra ports of a part whose replicas do not gossip", () => {
    expect(policyOf({ namespace: "n", ingress: false, externalPorts: [] }, "x", { ...tinyWorkload, extraPorts: [9999] }).ingress).toMatchObject([
      { ports: [{ port: 9011, protocol: "TCP" }, { port: 9999, protocol: "TCP" }] },
    ]);
  });

  it("keeps private addresses closed where no port outside is configured", () => {
    const { egress } = policy(false, { ...publishing, egress: true }) as { egress: { to: object[] }[] };
    expect(egress).toHaveLength(1);
    expect(JSON.stringify(egress)).not.toContain("namespaceSelector");
  });
});

describe("externalPorts", () => {
  it("finds none in a stack that brings everything itself", () => expect(externalPorts(sampleSettings())).toEqual([]));

  it("finds every server that a setting names", () => {
    const settings = sampleSettings({
      kafka: { ...sampleSettings().kafka, builtIn: false, brokers: ["b1.example.com:9094", "b2.example.com:9094"] },
      ragTargets: ["rag-api:8000", "crm-api:8080"],
      postgres: { host: "db", port: 5432, database: "crm", user: "crm", tls: true },
      remoteWrite: [{ url: "https://mimir.example.com/api/v1/push" }],
      httpsTargets: [{ url: "https://shop.example.com:8443/", insecure: false }],
      grafana: { mode: "external", url: "http://grafana.example.com" },
      mail: { to: "a@example.com", from: "b@example.com", smarthost: "mail.example.com:587" },
    });
    expect(externalPorts(settings)).toEqual([80, 443, 587, 5432, 8000, 8443, 9094]);
  });
});

it("tells the address of a published part", () => {
  expect(urlAt({ host: "crm.example.com" }, "grafana")).toBe("http://grafana.crm.example.com");
  expect(urlAt({ host: "crm.example.com", tlsSecret: "t" }, "grafana")).toBe("https://grafana.crm.example.com");
});
