/** `npm run runbooks`: writes `runbooks/README.md`, the index of all runbooks, from the rules. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { settings, thresholds, type Settings } from "../components/settings/schema.ts";
import { alerts } from "../rules/index.ts";
import { latency } from "../rules/latency.ts";
import type { Alert } from "../rules/types.ts";
import { root } from "./service-sources.ts";

/** Where the runbooks are. */
export const runbooksDir = join(root, "runbooks");

/** A stack with everything switched on that brings alerts, at default thresholds. */
export function fullStack(): Settings {
  const url = "https://host.example.com";
  return settings.parse({
    stack: "any",
    target: "docker",
    timing: "standard",
    orgs: [{ id: "main", name: "Main company" }],
    tenants: ["tenant", "vip-tenant"],
    ragTargets: ["rag-api:8000"],
    vipPattern: "vip-.*",
    simulator: true,
    slack: { standin: true, crmChannel: "#crm-alerts", opsChannel: "#ops-alerts" },
    qbo: { standin: true, clientId: "any", sandbox: true, redirectUrl: url },
    kafka: { builtIn: true, brokers: ["kafka:9092"], topic: "aetherlink.events", partitions: 6, replication: 1, tls: false },
    grafana: { mode: "built-in" },
    deadMan: { standin: true, configured: true },
    pagerduty: true,
    urls: { prometheus: url, alertmanager: url, grafana: url, commandCenter: url, runbooks: url },
    onCall: [],
    httpsTargets: [{ url }],
    replicas: { crmApi: 2, crmEvents: 2, alertmanager: 3 },
    retention: "33d",
    storageGiB: 20,
    thresholds: thresholds.parse({}),
    billing: {},
    versions: {},
    remoteWrite: [],
    portOffset: 0,
  });
}

/** What the index says about an alert: its summaries, and how late its message can be, seconds. */
interface Row {
  readonly summaries: Set<string>;
  /** When it is the first of its group. */
  first: number;
  /** When another alert of its group fires already. */
  joining: number;
}

/** Alerts of one owner under one heading, in the order of the rules. */
interface Section {
  readonly team: string;
  readonly service: string;
  readonly rows: Map<string, Row>;
}

/** Several services' alerts have no one owner: their series say whose they are. */
const several = "several services";

function sections(s: Settings): Section[] {
  const all = alerts(s);
  const found = new Map<string, Section>();
  for (const a of all) {
    const same = all.filter((b) => b.alert === a.alert);
    const one = (label: string) => {
      const values = new Set(same.flatMap((b) => b.labels[label] ?? b.derived[label] ?? []));
      return values.size === 1 ? [...values][0]! : undefined;
    };
    const [team, service] = [one("team") ?? "any team", one("service") ?? several];
    const section = found.get(`${team}/${service}`) ?? { team, service, rows: new Map<string, Row>() };
    found.set(`${team}/${service}`, section);
    addTo(section.rows, s, a);
  }
  return [...found.values()];
}

/** Of several rules with one name the slowest counts; times are those of the channel, not of a pager beside it. */
function addTo(rows: Map<string, Row>, s: Settings, a: Alert): void {
  const row = rows.get(a.alert) ?? { summaries: new Set<string>(), first: 0, joining: 0 };
  const { first, joining } = latency({ ...s, pagerduty: false }, a);
  row.summaries.add(a.summary);
  row.first = Math.max(row.first, first);
  row.joining = Math.max(row.joining, joining);
  rows.set(a.alert, row);
}

const heading = ({ team, service }: Section): string => (team === "any team" ? "Any team" : `Team ${team}, ${service}`);

/** Seconds as people read them: 385 gives `6 min 25 s`. */
export function spelled(seconds: number): string {
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor((seconds % 3600) / 60), "min"], [seconds % 60, "s"]] as const;
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ") || "0 s";
}

const table = ({ rows }: Section): string =>
  [
    "| Alert | What it says | Told within | In an open group |",
    "| --- | --- | --- | --- |",
    ...[...rows].map(([name, { summaries, first, joining }]) => `| [${name}](${name}.md) | ${[...summaries].join("; ")} | ${spelled(first)} | ${spelled(joining)} |`),
  ].join("\n");

const introduction = `Figures are the defaults; a stack may set others.

*Told within* is the longest time from the condition coming true to its message leaving, computed from the rules for the
standard timing, which the stacks \`dev\` and \`prod\` have: one scrape, one evaluation for each group of rules on the way, the
time for which the condition must hold, the group's wait, and an attempt to send. *In an open group* the group interval takes
the place of the wait, because another alert of the group is being told already. A window inside a condition, such as a rate
over 5 minutes, has to fill before the condition is true. The parts of each sum, for any stack:

\`\`\`sh
npm run alerts -- latency --stack \${STACK:-dev}
\`\`\``;

/** Title of a Markdown page. @throws Error when it has none */
function titleOf(path: string): string {
  const title = /^# (.+)$/m.exec(readFileSync(path, "utf8"))?.[1];
  if (title === undefined) throw new Error(`${path} has no title: its first line must be "# …"`);
  return title;
}

function guides(): string {
  const folder = join(runbooksDir, "guides");
  return readdirSync(folder).sort().map((file) => `- [${titleOf(join(folder, file))}](guides/${file})`).join("\n");
}

/** Text of `runbooks/README.md`. */
export function index(): string {
  const parts = sections(fullStack()).map((section) => `### ${heading(section)}\n\n${table(section)}`);
  return `${readFileSync(join(runbooksDir, "_how-to.md"), "utf8").trimEnd()}\n\n## Guides\n\n${guides()}\n\n## Alerts\n\n${introduction}\n\n${parts.join("\n\n")}\n`;
}

if (import.meta.main) {
  writeFileSync(join(runbooksDir, "README.md"), index());
  console.log(`${join("runbooks", "README.md")} is up to date`);
}
