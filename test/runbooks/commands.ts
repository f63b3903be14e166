/** The commands of the runbooks, one by one, for tests that run them against a running stack. */
import { partsOf, parts, type PartName } from "../../components/topology.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { alerts } from "../../rules/index.ts";
import { allPages, type Page } from "./pages.ts";

export interface RunnableCommand {
  /** Such as `runbooks/CrmApiDown.md:42`. */
  readonly place: string;
  /** One shell command; it reads `STACK` and `PORT_OFFSET`. */
  readonly command: string;
  /** Whether it changes something; those are not for a stack that others use. */
  readonly changes: boolean;
}

/** Commands of blocks for one target; those without a target are for either. */
export function commandsOf(page: Page, target: "docker" | "kubernetes"): RunnableCommand[] {
  return page.blocks
    .filter(({ info: [language, ...tags] }) => language === "sh" && !tags.includes(target === "docker" ? "kubernetes" : "docker"))
    .flatMap(({ text, line, info }) => text.split("\n").map((command, i) => ({ place: `runbooks/${page.file}:${line + i}`, command, changes: info.includes("changes") })));
}

/** Parts that a command for Docker talks to. */
export function partsIn(command: string): PartName[] {
  const names = [...command.matchAll(/crm-\$\{STACK:-dev\}-([a-z-]+)/g)].map((m) => m[1]!.replace(/-$/, ""));
  const ports = [...command.matchAll(/localhost:\$\(\((\d+) \+ PORT_OFFSET\)\)/g)].map((m) => Number(m[1]));
  return (Object.keys(parts) as PartName[]).filter((part) => names.some((name) => name === part || name.startsWith(`${part}-config`) || name.startsWith(`${part}-secrets`)) || ports.includes(parts[part].port));
}

/** Whether a command starts a Java program inside Kafka's container, which has memory and CPU for one beside the broker. */
export const startsJava = ({ command }: Pick<RunnableCommand, "command">): boolean => command.includes("/opt/kafka/bin/");

/** `grep` at the end of a command: there, finding nothing is a failure. */
const endsInGrep = /\| grep ("[^"]*"|'[^']*'|\S+)$/;

/**
 * Arguments of `bash` that run a command so that each program of a pipe counts, and not only the last one.
 * In the middle of a pipe a `grep` that finds nothing is well: a healthy stack's log has no errors.
 */
export function bashArguments(command: string): string[] {
  const tolerant = endsInGrep.test(command) ? "" : 'grep() { command grep "$@" || test $? -eq 1; }; ';
  return ["-o", "pipefail", "-c", `${tolerant}${command}`];
}

/**
 * Every command for Docker that makes sense on a stack: on pages of its alerts and on guides, about parts that it runs.
 * Run each by `bashArguments` in the repository's folder, with `STACK` and `PORT_OFFSET` set. Those that do not change anything
 * exit with 0 on a healthy stack.
 */
export function runnableCommands(s: Settings): RunnableCommand[] {
  const names = new Set(alerts(s).map((a) => `${a.alert}.md`));
  const everyAlert = new Set(allPages().map((page) => page.file).filter((file) => /^[A-Z]\w+\.md$/.test(file) && file !== "README.md"));
  const running = new Set(partsOf(s));
  const found = allPages()
    .filter(({ file }) => !everyAlert.has(file) || names.has(file))
    .flatMap((page) => commandsOf(page, "docker"))
    .filter(({ command }) => partsIn(command).every((part) => running.has(part)));
  const seen = new Set<string>();
  return found.filter(({ command }) => !seen.has(command) && seen.add(command));
}
