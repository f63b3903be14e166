/** Runbooks name only what exists: series, panels, parts, commands, paths, settings, log messages. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { parts, type PartName } from "../../components/topology.ts";
import { alerts } from "../../rules/index.ts";
import { allMetrics } from "../../rules/metrics.ts";
import { fullStack } from "../../tools/runbooks.ts";
import { selectorsOf } from "../dashboards/walk.ts";
import { commandsOf, partsIn, runnableCommands } from "./commands.ts";
import { alertNames, answers, containers, isAlertsCommand, isKnown, isMakeTarget, isScript, isSetting, metricNames, panelTitles } from "./known.ts";
import { allPages, panelsNamed, parse, spansOf } from "./pages.ts";

const pages = allPages();
const named = pages.map((page) => [page.file, page] as const);
const languages = ["sh", "promql"];
const tags = ["docker", "kubernetes", "changes"];

test.each(named)("code spans of %s name what exists", (_file, page) => {
  expect(spansOf(page).filter((span) => !isKnown(span))).toEqual([]);
});

test.each(named)("panels that %s points at are there", (_file, page) => {
  for (const { uid, title } of panelsNamed(page)) expect([...(panelTitles.get(uid) ?? [])], `${uid} › ${title}`).toContain(title);
});

describe("PromQL", () => {
  const blocks = pages.flatMap((page) => page.blocks.filter((b) => b.info[0] === "promql").map((b) => [`${page.file}:${b.line}`, b.text] as const));
  const flat = (expr: string) => expr.replaceAll(/\s+/g, "");

  test.each(blocks)("%s parses and reads series that exist, by labels that they have", (_place, text) => {
    for (const { metric, labels } of selectorsOf(text)) {
      expect([...metricNames]).toContain(metric);
      const spec = allMetrics.find((m) => m.name === metric);
      if (spec !== undefined) expect(["job", "instance", "service", ...spec.labels], metric).toEqual(expect.arrayContaining([...labels]));
    }
  });

  test.each(blocks)("%s is a look at the data, not the condition of an alert", (_place, text) => {
    expect(alerts(fullStack()).map((a) => flat(a.expr))).not.toContain(flat(text));
    for (const [, limit] of text.matchAll(/[<>=]=?\s*(\d[\d.]*)/g)) expect(Number(limit), "compare with 0 only: thresholds stand in the rules").toBe(0);
  });
});

describe("blocks", () => {
  test.each(named)("of %s are shell or PromQL, and a command for one target has its twin for the other", (file, page) => {
    page.blocks.forEach(({ info, text, line, section }, i) => {
      const place = `${file}:${line}`;
      expect(languages, place).toContain(info[0]);
      for (const tag of info.slice(1)) expect(tags, place).toContain(tag);
      if (info.includes("changes") && file !== "README.md" && !file.startsWith("guides/")) expect(section, place).toBe("Mitigation");
      const twin = (block: (typeof page.blocks)[number] | undefined, target: string) => expect(block?.info.join(" "), place).toBe(["sh", target, ...(info.includes("changes") ? ["changes"] : [])].join(" "));
      if (info.includes("docker")) twin(page.blocks[i + 1], "kubernetes");
      // Only Kubernetes has these objects.
      const alone = text.split("\n").every((command) => / get (ingress|secrets)\b/.test(command));
      if (info.includes("kubernetes") && !alone) twin(page.blocks[i - 1], "docker");
    });
  });

  test("are shell that a shell can read", () => {
    const all = pages.flatMap((page) => [...commandsOf(page, "docker"), ...commandsOf(page, "kubernetes")]);
    execFileSync("sh", ["-n"], { input: `${all.map((c) => c.command).join("\n")}\n` });
    expect(all.length).toBeGreaterThan(100);
  });
});

const every = pages.flatMap((page) => [...commandsOf(page, "docker"), ...commandsOf(page, "kubernetes")]);
const using = (pattern: RegExp) => every.flatMap(({ place, command }) => [...command.matchAll(pattern)].map((m) => ({ place, command, found: m[1]!, rest: m[2] })));
const portOwner = (port: number) => (Object.keys(parts) as PartName[]).find((part) => parts[part].port === port);

describe("commands", () => {
  test("name scripts, targets, subcommands and settings that exist", () => {
    for (const { place, found, rest } of using(/npm run ([\w:]+)(?: -- (\w+))?/g)) {
      expect(isScript(found), place).toBe(true);
      if (found === "alerts") expect(isAlertsCommand(rest ?? ""), place).toBe(true);
    }
    for (const { place, found } of using(/alerts -- explain ((?:[A-Z]\w+ ?)+)/g)) for (const name of found.trim().split(" ")) expect([...alertNames], place).toContain(name);
    for (const { place, found } of using(/\bmake (\w+)/g)) expect(isMakeTarget(found), place).toBe(true);
    for (const { place, found } of using(/pulumi config set (?:--\w+ )?([\w.]+)/g)) expect(isSetting(found), place).toBe(true);
    for (const { place, found } of using(/pulumi (\w+)/g)) expect(["up", "config"], place).toContain(found);
  });

  test("for Docker name containers that a stack has", () => {
    for (const { place, command, found } of using(/crm-\$\{STACK:-dev\}-([a-z0-9-]+)/g)) {
      const prefix = /--filter name=\S+$/.test(command.slice(0, command.indexOf(found) + found.length));
      expect(prefix ? Object.keys(parts) : [...containers], place).toContain(found);
    }
  });

  test("for Kubernetes stay in the stack's namespace and name what it has", () => {
    const kubectl = every.filter(({ command }) => command.includes("kubectl"));
    expect(kubectl.length).toBeGreaterThan(50);
    for (const { place, command } of kubectl) {
      expect(command.match(/kubectl/g)?.length, place).toBe(command.match(/kubectl -n crm-\$\{STACK:-dev\} (get|describe|logs|exec|rollout restart|delete pod|patch) /g)?.length);
    }
    for (const { place, found } of using(/(?:statefulset\/|app\.kubernetes\.io\/name=)([\w-]+)/g)) expect(Object.keys(parts), place).toContain(found);
    for (const { place, found } of using(/delete pod ([\w-]+)/g)) expect([...containers], place).toContain(found);
    for (const { place, found } of using(/patch pvc data-([\w-]+)-0/g)) expect(Object.keys(parts), place).toContain(found);
  });

  test("ask published ports, or a port from inside its own container, for paths that the program answers", () => {
    for (const { place, found, rest } of using(/localhost:\$\(\((\d+) \+ PORT_OFFSET\)\)([^\s"|]*)/g)) {
      const part = portOwner(Number(found))!;
      expect(parts[part].published, place).toBe(true);
      expect(answers(part, rest || "/"), `${place}: ${part}${rest}`).toBe(true);
    }
    for (const { place, command, found, rest } of using(/127\.0\.0\.1:(\d+)([^\s"'|]*)/g)) {
      const part = portOwner(Number(found))!;
      expect(command, place).toMatch(new RegExp(`(crm-\\$\\{STACK:-dev\\}-|statefulset/)${part}(-1)? `));
      expect(answers(part, rest || "/"), `${place}: ${part}${rest}`).toBe(true);
    }
  });

  test("read expressions that parse", () => {
    for (const { place, found } of using(/promtool query instant \S+ '([^']+)'/g)) for (const { metric } of selectorsOf(found)) expect([...metricNames], place).toContain(metric);
  });
});

describe("the commands to run", () => {
  const all = runnableCommands(fullStack());

  test("are each there once, with what they change told apart", () => {
    expect(new Set(all.map((c) => c.command)).size).toBe(all.length);
    const changing = all.filter((c) => c.changes).map((c) => c.command);
    const reading = all.filter((c) => !c.changes).map((c) => c.command);
    expect(changing).toEqual(expect.arrayContaining(["docker restart crm-${STACK:-dev}-crm-api", "make up STACK=${STACK:-dev}"]));
    const changes = /docker (restart|start|stop|rm|kill)|-X (POST|DELETE|PUT)|--post-data|silence add|config set|--alter|make |pulumi up|method:/;
    expect(reading.filter((command) => changes.test(command))).toEqual([]);
  });

  test("leave out parts and alerts that a stack does not have", () => {
    const small = fullStack();
    const commands = runnableCommands({ ...small, simulator: false, ragTargets: [], httpsTargets: [] });
    expect(commands.filter((c) => partsIn(c.command).includes("simulator"))).toEqual([]);
    expect(commands.filter((c) => /CacheEffectivenessDrop|TlsCertificate/.test(c.place))).toEqual([]);
  });
});

describe("the checks themselves", () => {
  test.each(["crm_events_no_such_total", "/no/such/path", "thresholds.none", "NO_SUCH_VARIABLE", "components/nothing.ts", "npm run nothing", "CrmNothing", "said by nobody anywhere"])("refuse `%s`", (span) => {
    expect(isKnown(span)).toBe(false);
  });

  test.each(["crm_outbox_depth", "/qbo/status", "thresholds.skew", "WINDOW_MODE", "components/services.ts", "make up", "could not commit; trying again", 'rerank="true"'])("know `%s`", (span) => {
    expect(isKnown(span)).toBe(true);
  });

  test("a fence that is not closed is an error", () => {
    expect(() => parse("x.md", "# x\n```sh\nls")).toThrow("x.md:2");
  });
});
