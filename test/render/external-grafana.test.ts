import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dashboards } from "../../components/config/grafana.ts";
import { rendered, type Rendered } from "../support/render.ts";
import { sampleSettings } from "../support/settings.ts";

const external = ["grafana=external", "grafanaUrl=http://grafana.internal.example:3000/", 'urls={"prometheus":"http://prometheus.internal.example:9090"}'];
let docker: Rendered;
let kubernetes: Rendered;
let builtIn: Rendered;

beforeAll(async () => {
  [docker, kubernetes, builtIn] = await Promise.all([rendered("dev", ...external), rendered("dev", "target=kubernetes", ...external), rendered("dev", "target=kubernetes")]);
}, 120_000);
afterAll(() => [docker, kubernetes, builtIn].forEach((r) => rmSync(r.folder, { recursive: true, force: true })));

const inputs = (r: Rendered, type: string, name?: string) => r.resources.filter((x) => x.type === type && (name === undefined || x.name === name)).map((x) => x.inputs);

describe("a Grafana that was there before", () => {
  it("gets a data source of the stack's own name that is nobody's default", () => {
    for (const r of [docker, kubernetes]) {
      const [source, ...others] = inputs(r, "grafana:oss/dataSource:DataSource");
      expect(others).toEqual([]);
      expect(source).toMatchObject({ name: "crm-dev", uid: "crm-dev", type: "prometheus", url: "http://prometheus.internal.example:9090" });
      expect(JSON.parse(source!.jsonDataEncoded as string)).toEqual({ httpMethod: "POST", timeInterval: "15s", prometheusType: "Prometheus" });
      expect(source).not.toHaveProperty("isDefault");
    }
  });

  it("gets folders whose uids are the stack's own, under their usual titles", () => {
    expect(inputs(docker, "grafana:oss/folder:Folder").map(({ title, uid }) => `${String(title)} ${String(uid)}`).sort()).toEqual(["AetherLink crm-dev-aetherlink", "Operations crm-dev-operations", "PeakPro crm-dev-peakpro"]);
  });

  it("keeps a folder in which somebody has saved a page of his own", () => {
    for (const r of [docker, kubernetes]) for (const folder of inputs(r, "grafana:oss/folder:Folder")) expect(folder).toMatchObject({ preventDestroyIfNotEmpty: true });
  });

  it("gets the dashboards of the stack's own Grafana, which begin with that data source", () => {
    const sent = inputs(docker, "grafana:oss/dashboard:Dashboard").map((i) => JSON.parse(i.configJson as string));
    expect(inputs(kubernetes, "grafana:oss/dashboard:Dashboard")).toEqual(inputs(docker, "grafana:oss/dashboard:Dashboard"));
    const own = { selected: true, text: "crm-dev", value: "crm-dev" };
    const uids = dashboards(sampleSettings()).map((d) => d.uid);
    expect(sent.map((d) => d.uid).sort()).toEqual([...uids].sort());
    for (const dashboard of sent) {
      expect(dashboard.templating.list[0]).toMatchObject({ name: "datasource", type: "datasource", current: own });
      const local = JSON.parse(builtIn.files[`config/grafana/dashboards/${dashboard.uid}.json`] ?? "{}");
      expect({ ...dashboard, templating: { list: dashboard.templating.list.slice(1) } }).toEqual({ ...local, templating: { list: local.templating.list.slice(1) } });
    }
  });

  it("is reached by its probes", () => {
    const [blackbox] = inputs(docker, "docker:index/container:Container", "crm-dev-blackbox");
    expect((blackbox!.networksAdvanced as { name: string }[]).map((n) => n.name)).toEqual(["crm-dev-backend", "crm-dev-edge"]);
    const egress = (r: Rendered) => JSON.stringify((inputs(r, "kubernetes:networking.k8s.io/v1:NetworkPolicy", "blackbox")[0]!.spec as { egress: object[] }).egress);
    expect(egress(kubernetes)).toContain('"cidr":"0.0.0.0/0"');
    expect(egress(kubernetes)).toContain('"ports":[{"port":3000,"protocol":"TCP"}]');
    expect(egress(builtIn)).not.toContain("ipBlock");
  });
});
