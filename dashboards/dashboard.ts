/** The frame of every dashboard: variables, alert annotations, links, layout and the revision marker. */
import { createHash } from "node:crypto";
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
  type DashboardLink,
  type DashboardLinkType,
  type VariableModel,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { stack } from "../rules/metrics.ts";
import { promql } from "../rules/promql.ts";
import { datasource, type Placed } from "./panels.ts";
import { colours } from "./style.ts";

/** The Prometheus data source of every stack, by file or by provider. */
export const datasourceUid = "prometheus";

export const folders = ["PeakPro", "AetherLink", "Operations"] as const;

/** Columns of Grafana's page. */
const columns = 24;

/** A dashboard as Grafana loads it. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly folder: (typeof folders)[number];
  /** Classic dashboard JSON. */
  readonly json: string;
  /** First 8 hex digits of the SHA-256 of the JSON without them; also the end of the description. */
  readonly revision: string;
}

/** Panels side by side, of one height; their widths add up to the page's. */
export interface Line {
  readonly height: number;
  readonly panels: readonly Placed[];
}

/** Lines under a heading. */
export interface Section {
  /** Id and text of the heading; none: no heading. */
  readonly heading?: readonly [id: number, title: string];
  readonly lines: readonly Line[];
}

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly folder: (typeof folders)[number];
  readonly description: string;
  /** What the page shows at first, such as `now-24h`. */
  readonly from: string;
  readonly variables?: readonly Builder<VariableModel>[];
  /** Label matchers of the alerts that are drawn as annotations, such as `team="crm"`. */
  readonly alerts: string;
  readonly sections: readonly Section[];
}

/**
 * A label's values as a drop-down with All.
 * @param name of the variable, used as `$name`
 * @param metric whose label it is
 * @param all pattern of All: one short one, because a list of ten thousand names would not fit a query
 */
export const labelVariable = (name: string, label: string, metric: string, labelName: string, all = ".+"): Builder<VariableModel> =>
  new QueryVariableBuilder(name)
    .label(label)
    .datasource(datasource)
    .query({ qryType: 1, query: `label_values(${metric}, ${labelName})`, refId: `variable-${name}` })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(all)
    .current({ selected: true, text: ["All"], value: ["$__all"] });

/** Builds a dashboard; the same settings give the same bytes. */
export function dashboard(spec: DashboardSpec): Dashboard {
  const builder = new DashboardBuilder(spec.title)
    .uid(spec.uid)
    .tags(["crm-observability", spec.folder.toLowerCase()])
    .readonly()
    .timezone("browser")
    .time({ from: spec.from, to: "now" })
    .refresh("30s")
    .tooltip(DashboardCursorSync.Crosshair)
    .link(otherDashboards)
    .annotation(alertAnnotations(spec.alerts))
    .withVariable(tidy(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus").current({ selected: true, text: "Prometheus", value: datasourceUid })));
  for (const variable of spec.variables ?? []) builder.withVariable(tidy(variable));
  place(builder, spec);
  const text = (description: string) => `${JSON.stringify(builder.description(description).build(), null, 2)}\n`;
  const revision = createHash("sha256").update(text(spec.description)).digest("hex").slice(0, 8);
  return { uid: spec.uid, title: spec.title, folder: spec.folder, revision, json: text(`${spec.description} Revision ${revision}`) };
}

/** Without what the SDK gives to every variable, but Grafana's schema has for intervals only. */
const tidy = (variable: Builder<VariableModel>): Builder<VariableModel> => ({
  build: () => {
    const { auto: _auto, auto_min: _min, auto_count: _count, ...rest } = variable.build();
    return rest;
  },
});

/** Every panel gets its place here: the SDK's own flow breaks a line only after it has overflowed. */
function place(builder: DashboardBuilder, spec: DashboardSpec): void {
  let y = 0;
  for (const section of spec.sections) {
    if (section.heading !== undefined) {
      const [id, title] = section.heading;
      builder.withRow(new RowBuilder(title).id(id).gridPos({ x: 0, y, w: columns, h: 1 }));
      y += 1;
    }
    for (const { height, panels } of section.lines) {
      let x = 0;
      for (const panel of panels) {
        const at = { x, y, w: panel.width, h: height };
        builder.withPanel({ build: () => panel.build(at) });
        x += panel.width;
      }
      if (x !== columns) throw new Error(`dashboard "${spec.uid}": a line at y ${y} is ${x} wide, not ${columns}`);
      y += height;
    }
  }
}

const alertAnnotations = (matchers: string) =>
  new AnnotationQueryBuilder()
    .name("Alerts")
    .datasource(datasource)
    .enable(true)
    .iconColor(colours.bad)
    .target(new DataqueryBuilder().refId("Alerts").datasource(datasource).expr(promql`${stack.alerts}{alertstate="firing", ${matchers}}`).interval("60s").range())
    .titleFormat("{{alertname}}")
    .textFormat("{{severity}} {{service}} {{org_id}}{{tenant}}{{instance}}")
    .tagKeys("severity,service");

/** All dashboards of the stack, from each of them, with the chosen time. */
const otherDashboards: Builder<DashboardLink> = {
  build: () => ({
    title: "Dashboards",
    type: "dashboards" as DashboardLinkType.Dashboards,
    icon: "external link",
    tooltip: "Dashboards of this stack",
    tags: ["crm-observability"],
    asDropdown: true,
    targetBlank: false,
    includeVars: true,
    keepTime: true,
  }),
};
