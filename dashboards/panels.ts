/**
 * The house style of panels: what the SDK leaves open (ids, refIds, data source, reducers, legends) is always set here.
 */
import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  BarGaugeDisplayMode,
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  LineInterpolation,
  ReduceDataOptionsBuilder,
  SortOrder,
  TableCellDisplayMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  FieldColorBuilder,
  FieldColorModeId,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type DashboardLink,
  type DashboardLinkType,
  type DataTransformerConfig,
  type DynamicConfigValue,
  type GridPos,
  type Panel,
  type Threshold,
  type ThresholdsConfig,
  type ValueMapping,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { PanelBuilder as BarGauge } from "@grafana/grafana-foundation-sdk/bargauge";
import { PanelBuilder as Gauge } from "@grafana/grafana-foundation-sdk/gauge";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as StateTimeline } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as Text, TextMode } from "@grafana/grafana-foundation-sdk/text";
import { PanelBuilder as Timeseries } from "@grafana/grafana-foundation-sdk/timeseries";
import { plain } from "./style.ts";

/** The data source that the dashboard's variable names. */
export const datasource = { type: "prometheus", uid: "${datasource}" };

/** One query of a panel. */
export interface Query {
  readonly expr: string;
  /** Name of its series; labels as `{{label}}`. */
  readonly legend: string;
  /** Fixed colour of its series. */
  readonly colour?: string;
}

/** What every panel says. */
export interface PanelOptions {
  /** Unique in its dashboard; the number that the documents know it by. */
  readonly id: number;
  readonly title: string;
  readonly description: string;
  /** A Grafana unit id. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Width in 24ths of the page. */
  readonly width: number;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  readonly steps?: readonly Threshold[];
  readonly mappings?: readonly ValueMapping[];
  /** Shown where there is no value. */
  readonly noValue?: string;
  /** Alerts that judge what the panel shows: each becomes a link to its runbook. */
  readonly alerts?: readonly string[];
  /** Most points that a graph asks for; fewer for expensive queries. */
  readonly maxDataPoints?: number;
}

export interface TableOptions extends PanelOptions {
  readonly transformations: readonly DataTransformerConfig[];
  readonly overrides?: readonly { readonly column: string; readonly properties: DynamicConfigValue[] }[];
}

/** A panel and its width; the dashboard places it. */
export interface Placed {
  readonly width: number;
  readonly build: (at: GridPos) => Panel;
}

/** What the builders of all panel types have in common. */
interface AnyPanel extends Builder<Panel> {
  id(id: number): unknown;
  title(title: string): unknown;
  description(description: string): unknown;
  datasource(ref: typeof datasource): unknown;
  unit(unit: string): unknown;
  decimals(decimals: number): unknown;
  min(min: number): unknown;
  max(max: number): unknown;
  mappings(mappings: ValueMapping[]): unknown;
  thresholds(thresholds: Builder<ThresholdsConfig>): unknown;
  links(links: Builder<DashboardLink>[]): unknown;
  noValue(text: string): unknown;
  maxDataPoints(points: number): unknown;
  overrideByQuery(refId: string, properties: DynamicConfigValue[]): unknown;
  withTarget(target: DataqueryBuilder): unknown;
  gridPos(at: GridPos): unknown;
}

/** A link to an address, as panels and dashboards hold it. */
export const link = (title: string, url: string): Builder<DashboardLink> => ({
  build: () => ({
    title,
    type: "link" as DashboardLinkType.Link,
    icon: "doc",
    tooltip: "",
    url,
    tags: [],
    asDropdown: false,
    targetBlank: true,
    includeVars: false,
    keepTime: false,
  }),
});

/** Panel constructors of one stack. @param runbooks base URL of the runbooks */
export function panelsFor(runbooks: string) {
  const links = (o: PanelOptions) => (o.alerts ?? []).map((alert) => link(`Runbook: ${alert}`, `${runbooks}/${alert}.md`));

  function dress(panel: AnyPanel, o: PanelOptions, kind: "instant" | "range" | "table"): Placed {
    panel.id(o.id);
    panel.title(o.title);
    panel.description(o.description);
    panel.datasource(datasource);
    panel.unit(o.unit);
    panel.thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([...(o.steps ?? plain)]));
    panel.mappings([...(o.mappings ?? [])]);
    panel.links(links(o));
    if (o.decimals !== undefined) panel.decimals(o.decimals);
    if (o.min !== undefined) panel.min(o.min);
    if (o.max !== undefined) panel.max(o.max);
    if (o.noValue !== undefined) panel.noValue(o.noValue);
    if (o.maxDataPoints !== undefined) panel.maxDataPoints(o.maxDataPoints);
    o.queries.forEach((q, index) => {
      const refId = String.fromCharCode(65 + index);
      panel.withTarget(target(q, refId, kind));
      const own = overrides(q, o);
      if (own.length > 0) panel.overrideByQuery(refId, own);
    });
    return {
      width: o.width,
      build: (at) => {
        panel.gridPos(at);
        return panel.build();
      },
    };
  }

  return {
    /** One number now, in the colour of its state. `filled` colours the background. */
    stat: (o: PanelOptions & { filled?: boolean }): Placed =>
      dress(
        new Stat()
          .reduceOptions(last())
          .colorMode(o.filled ? BigValueColorMode.Background : BigValueColorMode.Value)
          .graphMode(BigValueGraphMode.None)
          .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds)),
        o,
        "instant",
      ),

    /** A number now on a dial from `min` to `max`. */
    gauge: (o: PanelOptions & { min: number; max: number }): Placed =>
      dress(new Gauge().reduceOptions(last()).showThresholdMarkers(true).colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds)), o, "instant"),

    /** One bar per series now. */
    bars: (o: PanelOptions): Placed =>
      dress(
        new BarGauge()
          .reduceOptions(last())
          .orientation(VizOrientation.Horizontal)
          .displayMode(BarGaugeDisplayMode.Basic)
          .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds)),
        o,
        "instant",
      ),

    /** Lines over time. `limits` draws the threshold steps as dashed lines; `stepped` is for states. */
    timeseries: (o: PanelOptions & { limits?: boolean; stepped?: boolean }): Placed =>
      dress(
        new Timeseries()
          .lineWidth(2)
          .lineInterpolation(o.stepped ? LineInterpolation.StepAfter : LineInterpolation.Linear)
          .fillOpacity(8)
          .showPoints(VisibilityMode.Auto)
          .legend(new VizLegendOptionsBuilder().displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom).showLegend(true).calcs(["lastNotNull"]))
          .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
          .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(o.limits ? GraphThresholdsStyleMode.Dashed : GraphThresholdsStyleMode.Off))
          .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassicByName)),
        o,
        "range",
      ),

    /** States over time, one lane per series, each with its text. */
    timeline: (o: PanelOptions): Placed =>
      dress(
        new StateTimeline()
          .mergeValues(true)
          .showValue(VisibilityMode.Auto)
          .rowHeight(0.8)
          .legend(new VizLegendOptionsBuilder().displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom).showLegend(true).calcs([]))
          .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Single).sort(SortOrder.None))
          .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds)),
        o,
        "range",
      ),

    /** Rows now, columns from labels. */
    table: (o: TableOptions): Placed => {
      const table = new Table().showHeader(true).filterable(true).cellOptions({ type: TableCellDisplayMode.Auto }).transformations([...o.transformations]);
      for (const { column, properties } of o.overrides ?? []) table.overrideByName(column, properties);
      return withoutFooter(dress(table, o, "table"));
    },

    /** Markdown. */
    text: (o: { id: number; title: string; description: string; width: number; markdown: string }): Placed =>
      dress(new Text().mode(TextMode.Markdown).content(o.markdown), { ...o, unit: "none", queries: [] }, "instant"),
  };
}

export type Panels = ReturnType<typeof panelsFor>;

/** Grafana 13 has no footer option any more; the SDK still sets one. */
const withoutFooter = (table: Placed): Placed => ({
  width: table.width,
  build: (at) => {
    const panel = table.build(at);
    delete panel.options.footer;
    return panel;
  },
});

/** What is set for the series of one query alone. */
function overrides(q: Query, o: PanelOptions): DynamicConfigValue[] {
  return [
    ...(q.colour === undefined ? [] : [{ id: "color", value: { mode: "fixed", fixedColor: q.colour } }]),
    // currencyUSD makes 1234.56 dollars "$1.23K"; this writes every cent.
    ...(o.unit === "currencyUSD" ? [{ id: "unit", value: "currency:financial:$" }] : []),
  ];
}

const last = () => new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false).fields("");

function target(q: Query, refId: string, kind: "instant" | "range" | "table"): DataqueryBuilder {
  const query = new DataqueryBuilder().refId(refId).datasource(datasource).expr(q.expr).legendFormat(q.legend);
  query.format(kind === "table" ? PromQueryFormat.Table : PromQueryFormat.TimeSeries);
  return kind === "range" ? query.range() : query.instant();
}
