/** What runbooks may name: everything that exists in this repository, and a few things that other programs say. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { plainKeys, secretKeys } from "../../components/settings/keys.ts";
import { parts, replicaNames, type PartName } from "../../components/topology.ts";
import { allDashboards } from "../../dashboards/index.ts";
import { alerts, recordings, ruleGroups } from "../../rules/index.ts";
import { allMetrics } from "../../rules/metrics.ts";
import { requiredLabels } from "../../rules/types.ts";
import { fullStack } from "../../tools/runbooks.ts";
import { root } from "../../tools/service-sources.ts";
import { selectorsOf } from "../dashboards/walk.ts";
import { allPages } from "./pages.ts";

const s = fullStack();

export const alertNames = new Set(alerts(s).map((a) => a.alert));
export const metricNames = new Set([
  ...allMetrics.flatMap((m) => (m.type === "histogram" ? [`${m.name}_bucket`, `${m.name}_sum`, `${m.name}_count`] : [m.name])),
  ...recordings(s).map((r) => r.record),
]);
const labels = new Set([...requiredLabels, "job", "instance", ...allMetrics.flatMap((m) => m.labels), ...alerts(s).flatMap((a) => [...Object.keys(a.labels), ...Object.keys(a.derived)])]);
export const panelTitles = new Map(allDashboards(s).map((d) => [d.uid, new Set((JSON.parse(d.json) as { panels: { title: string }[] }).panels.map((p) => p.title))]));

/** Containers of a stack like the shipped one for development: the names without `crm-<stack>-`. */
export const containers = new Set(
  (Object.keys(parts) as PartName[]).flatMap((part) => [...replicaNames(part, part === "crm-events" ? 2 : 1), `${part}-config-loader`, `${part}-secrets-loader`]),
);

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(root, folder, file), "utf8"));
}
const architecture = readFileSync(join(root, "docs/architecture.md"), "utf8");
const ours = [...sources("services"), ...sources("components"), ...sources("rules"), architecture].join("\n");

/** Paths of programs that are not ours, as their own documentation has them. */
const foreignPaths: Partial<Record<PartName, readonly string[]>> = {
  prometheus: ["/alerts", "/rules", "/targets", "/-/ready", "/api/v1/rules", "/api/v1/alertmanagers"],
  alertmanager: ["/api/v2/alerts", "/#/silences"],
  blackbox: ["/probe"],
};

const texts = new Map<PartName, string>();
/** Source of one of our services; what its contract says while there is none. */
function sourceOf(part: PartName): string {
  const text = texts.get(part) ?? (existsSync(join(root, "services", part)) ? sources(join("services", part)).join("\n") : architecture);
  texts.set(part, text);
  return text;
}

/** Whether a part answers at a path; `:id` stands for any segment. */
export function answers(part: PartName, path: string): boolean {
  const bare = path.replace(/\?.*$/, "");
  const known = foreignPaths[part];
  if (known !== undefined) return known.includes(bare);
  return [...sourceOf(part).matchAll(/["`](\/[\w/:.-]*)/g)].some((m) => new RegExp(`^${m[1]!.replaceAll(/:\w+/g, "[^/]+")}$`).test(bare));
}

/** Whether a dotted name is a setting, such as `replicas.crmEvents`. */
export function isSetting(name: string): boolean {
  const [key, ...fields] = name.split(".") as [string, ...string[]];
  if (key in secretKeys) return fields.length === 0;
  let type: z.ZodType | undefined = (plainKeys as Record<string, z.ZodType>)[key];
  for (const field of fields) {
    while (type instanceof z.ZodOptional || type instanceof z.ZodDefault) type = type.unwrap() as z.ZodType;
    type = type instanceof z.ZodObject ? (type.shape as Record<string, z.ZodType>)[field] : undefined;
  }
  return type !== undefined;
}

/** Words of other programs: what engines, Kafka and Alertmanager call or say. */
const foreign = new Set([
  ...["docker", "kubectl", "curl", "wget", "npm", "make", "pulumi", "kubectl describe", "oom", "oom=true", "OOMKilled"],
  ...["ECONNREFUSED", "Cannot connect to any broker", "NOT_ENOUGH_REPLICAS", "No space left on device", "Leader: none"],
  ...["slack", "webhook", "pagerduty", "email", "data-prometheus-0", "status.inhibitedBy", "amtool config routes show", "label_replace"],
]);

const makeTargets = new Set([...readFileSync(join(root, "Makefile"), "utf8").matchAll(/^([a-z-]+):/gm)].map((m) => m[1]!));
const scripts = new Set(Object.keys((JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts));
const alertCommands = new Set(/"usage: npm run alerts -- ([^"]*)\[/.exec(readFileSync(join(root, "rules/cli.ts"), "utf8"))![1]!.split("|").map((c) => c.trim().split(" ")[0]!));

export const isMakeTarget = (name: string): boolean => makeTargets.has(name);
export const isScript = (name: string): boolean => scripts.has(name);
export const isAlertsCommand = (name: string): boolean => alertCommands.has(name);

/** Variables that the runbooks' own commands read. */
const variables = new Set(allPages().flatMap((page) => page.blocks.flatMap(({ text }) => [...text.matchAll(/\$\{([A-Z]+):-|([A-Z_]+)\)\)/g)].map((m) => m[1] ?? m[2]!))));

function isExpression(text: string): boolean {
  try {
    const selectors = selectorsOf(text);
    return selectors.length > 0 && selectors.every((found) => metricNames.has(found.metric));
  } catch {
    return false;
  }
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Whether our own sources have these words, not inside longer ones. */
const isOurs = (text: string): boolean => new RegExp(`(?<![\\w-])${escaped(text)}(?![\\w-])`).test(ours);

const names = new Set<string>([
  ...alertNames,
  ...metricNames,
  ...labels,
  ...panelTitles.keys(),
  ...containers,
  ...Object.keys(parts),
  ...Object.values(parts).flatMap((part) => ("job" in part ? [part.job] : [])),
  ...alerts(s).map((a) => a.labels.service ?? ""),
  ...ruleGroups(s).map((group) => group.name),
  ...["dev", "fast", "prod"].filter((stack) => existsSync(join(root, `Pulumi.${stack}.yaml`))),
]);

/** Whether a code span of a runbook names something that exists. */
export function isKnown(span: string): boolean {
  if (names.has(span) || foreign.has(span) || isSetting(span) || variables.has(span)) return true;
  const own = span.replace(/^crm-\$STACK-/, "");
  if (/^NAME(-[0-9n])?$/.test(own) || containers.has(own) || (own !== span && containers.has(own.replace(/-data$/, "")))) return true;
  if (/^[\w./-]+\/[\w./-]*$/.test(span) && !span.startsWith("/")) return existsSync(join(root, span));
  if (span.startsWith("/")) return (Object.keys(parts) as PartName[]).some((part) => answers(part, span));
  const command = /^(npm run|make) ([\w:-]+)(?: -- (\w+))?$/.exec(span);
  if (command) return command[1] === "make" ? isMakeTarget(command[2]!) : isScript(command[2]!) && (command[3] === undefined || isAlertsCommand(command[3]));
  return isExpression(span) || isOurs(span);
}
