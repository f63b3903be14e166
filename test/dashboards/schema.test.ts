/**
 * Grafana publishes its schema as TypeScript types. A literal that is assigned to such a type may neither lack a field,
 * nor have one of the wrong kind, nor one that the schema does not know: so the compiler checks the JSON.
 */
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import { allDashboards } from "../../dashboards/index.ts";
import { sampleSettings } from "../support/settings.ts";
import { panelsOf } from "./walk.ts";

/** Panel type to the name of its schema module. */
const modules: Record<string, [folder: string, name: string]> = {
  stat: ["stat", "Stat"],
  timeseries: ["timeseries", "TimeSeries"],
  gauge: ["gauge", "Gauge"],
  bargauge: ["bargauge", "BarGauge"],
  table: ["table", "Table"],
  text: ["text", "Text"],
  "state-timeline": ["statetimeline", "StateTimeline"],
};

const header = `
import type { AnnotationQuery, Dashboard } from "@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen";
${Object.values(modules)
  .map(([folder, name]) => `import type * as ${name} from "@grafana/schema/dist/esm/raw/composable/${folder}/panelcfg/x/${name}PanelCfg_types.gen";`)
  .join("\n")}
/** Enumerations by their values, as JSON has them. */
type Json<T> = T extends string ? \`\${T}\` : T extends number | boolean | null | undefined ? T : T extends readonly (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
/** Excluded: a query as the target and the three texts belong to the Prometheus data source, whose part of an annotation the schema leaves out. */
type Annotation = Omit<AnnotationQuery, "target"> & { target: Record<string, unknown>; titleFormat: string; textFormat: string; tagKeys: string };
type Page = Omit<Dashboard, "annotations"> & { annotations: { list: Annotation[] } };
`;

/** Complaints of the compiler about a source, with the line that each is about. */
function complaints(source: string): string[] {
  const file = fileURLToPath(new URL("checked-by-the-compiler.ts", import.meta.url));
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.getSourceFile = (name, ...rest) => (name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022, true) : getSourceFile(name, ...rest));
  host.fileExists = (name) => name === file || fileExists(name);
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host)).map((d) => {
    const line = d.file?.getLineAndCharacterOfPosition(d.start ?? 0).line ?? 0;
    return `${source.split("\n")[line]?.slice(0, 120)} → ${ts.flattenDiagnosticMessageText(d.messageText, " ").slice(0, 300)}`;
  });
}

/** The source that assigns each dashboard, and each panel's options and styles, to its type. */
function assignments(dashboards: readonly { uid: string; json: string }[]): string {
  const lines = [header];
  dashboards.forEach((d, i) => {
    lines.push(`export const page${i}: Json<Page> = ${d.json};`);
    for (const { panel } of panelsOf(d)) {
      const [, name] = modules[panel.type] ?? expect.fail(`no schema for a panel of type ${panel.type}`);
      // Partial: Grafana gives every absent option of a panel its default.
      lines.push(`export const options${i}_${panel.id}: Partial<Json<${name}.Options>> = ${JSON.stringify(panel.options)};`);
      const style = panel.fieldConfig?.defaults?.custom;
      if (style) lines.push(`export const style${i}_${panel.id}: Json<${name}.FieldConfig> = ${JSON.stringify(style)};`);
    }
  });
  return lines.join("\n");
}

test("every dashboard and every panel keeps to Grafana's schema", () => {
  const withHttps = sampleSettings({ httpsTargets: [{ url: "https://crm.example.com", insecure: false }] });
  expect(complaints(assignments(allDashboards(withHttps)))).toEqual([]);
});

test("the check sees an unknown field, a wrong kind, a missing field and an unknown option", () => {
  const page = JSON.parse(allDashboards(sampleSettings())[0]!.json);
  const [panel] = page.panels;
  const { schemaVersion: _, ...withoutVersion } = page;
  const broken = {
    "'\"colour\"' does not exist": { ...page, colour: "red" },
    "'number' is not assignable to type 'string'": { ...page, refresh: 30 },
    "'schemaVersion' is missing": withoutVersion,
    "'\"graphMod\"' does not exist": { ...page, panels: [{ ...panel, options: { graphMod: "none" } }] },
    "'\"loud\"' is not assignable": { ...page, panels: [{ ...panel, options: { colorMode: "loud" } }] },
  };
  const found = complaints(assignments(Object.values(broken).map((json) => ({ uid: "broken", json: JSON.stringify(json) }))));
  for (const text of Object.keys(broken)) expect(found).toContainEqual(expect.stringContaining(text));
});
