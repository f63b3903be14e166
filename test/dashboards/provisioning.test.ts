import { expect, test } from "vitest";
import { parse } from "yaml";
import { dashboardRevisions, dashboards, externalName, grafanaFiles } from "../../components/config/grafana.ts";
import { sampleSettings } from "../support/settings.ts";

const s = sampleSettings();
const files = grafanaFiles(s);
const providers = Object.entries(files)
  .filter(([path]) => path.startsWith("provisioning/dashboards/"))
  .flatMap(([, text]) => parse(text).providers);

test("every dashboard file belongs to exactly one provider, which puts it into its folder", () => {
  const paths = Object.keys(files).filter((path) => path.startsWith("dashboards/"));
  expect(paths).toHaveLength(dashboards(s).length);
  expect(providers.map((p) => p.options.path).sort()).toEqual(paths.map((path) => `/etc/grafana-stack/current/${path}`).sort());
  for (const d of dashboards(s)) {
    const provider = providers.find((p) => p.options.path.endsWith(`/${d.uid}.json`));
    expect(provider).toMatchObject({ name: d.uid, type: "file", folder: d.folder, allowUiUpdates: false, disableDeletion: true });
    expect(files[`dashboards/${d.uid}.json`]).toBe(d.json);
  }
});

test("every folder has one uid, by which providers find it again, and no two have the same", () => {
  const uids = new Map(providers.map((p) => [p.folder, p.folderUid]));
  for (const p of providers) expect(p.folderUid).toBe(uids.get(p.folder));
  expect(new Set(uids.values()).size).toBe(uids.size);
  for (const uid of uids.values()) expect(uid).toMatch(/^[a-z]+$/);
});

test("provider names are unique, as Grafana keeps its records by them", () => {
  expect(new Set(providers.map((p) => p.name)).size).toBe(providers.length);
});

test("the data source has the uid that every dashboard starts with, and points into the stack", () => {
  const [prometheus, alertmanager] = parse(files["provisioning/datasources/stack.yml"]!).datasources;
  expect(prometheus).toMatchObject({ uid: "prometheus", type: "prometheus", url: "http://prometheus:9090", isDefault: true, editable: false });
  expect(alertmanager).toMatchObject({ type: "alertmanager", jsonData: { implementation: "prometheus" } });
  for (const d of dashboards(s)) expect(JSON.parse(d.json).templating.list[0].current.value).toBe(prometheus.uid);
});

test("the stack's name in a Grafana of somebody else is one that Grafana takes, with room for a folder's", () => {
  expect(externalName(sampleSettings({ stack: "prod" }))).toBe("crm-prod");
  expect(`${externalName(sampleSettings({ stack: `eu.west_${"x".repeat(40)}` }))}-operations`).toMatch(/^crm-eu-west_x+-[0-9a-f]{8}-operations$/);
  expect(`${externalName(sampleSettings({ stack: "x".repeat(60) }))}-aetherlink`.length).toBeLessThanOrEqual(40);
});

test("no two stacks have the same name there, however alike theirs are", () => {
  const names = ["customer-portal-production-eu", "customer-portal-production-us", "eu.west", "eu-west", "x".repeat(24), "x".repeat(25)].map((stack) => externalName(sampleSettings({ stack })));
  expect(new Set(names).size).toBe(names.length);
});

test("Grafana's smallest step follows the scrape interval", () => {
  const interval = (timing: "standard" | "fast") => parse(grafanaFiles({ ...s, timing })["provisioning/datasources/stack.yml"]!).datasources[0].jsonData.timeInterval;
  expect(interval("standard")).toBe("15s");
  expect(interval("fast")).toBe("2s");
});

test("revisions are by uid, and none is like another", () => {
  const revisions = dashboardRevisions(s);
  expect(Object.keys(revisions)).toEqual(dashboards(s).map((d) => d.uid));
  expect(new Set(Object.values(revisions)).size).toBe(Object.keys(revisions).length);
  for (const [uid, revision] of Object.entries(revisions)) expect(files[`dashboards/${uid}.json`]).toContain(`Revision ${revision}"`);
});

test("without RAG metrics neither the dashboard nor its provider is there", () => {
  const without = grafanaFiles(sampleSettings({ ragTargets: [] }));
  expect(Object.keys(without).filter((path) => path.includes("aetherlink_rag"))).toEqual([]);
  expect(without["provisioning/dashboards/aetherlink.yml"]).not.toContain("aetherlink_rag");
});

test("no secret and no way out is in the files", () => {
  for (const text of Object.values(files)) expect(text).not.toMatch(/password|basicAuth|secureJsonData|Bearer/i);
});

test("everything fits a Kubernetes ConfigMap, which holds 1 MiB", () => {
  expect(Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 0)).toBeLessThan(900 * 1024);
});
