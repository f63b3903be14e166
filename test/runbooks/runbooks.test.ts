/** Every alert has a runbook of the same form, and every runbook an alert. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { seconds } from "../../components/settings/timing.ts";
import { readStack } from "../../components/settings/read.ts";
import { fileSource } from "../../components/settings/stack-files.ts";
import { alerts } from "../../rules/index.ts";
import { latency } from "../../rules/latency.ts";
import { fullStack, index, runbooksDir, spelled } from "../../tools/runbooks.ts";
import { root } from "../../tools/service-sources.ts";
import { alertNames } from "./known.ts";
import { alertPages, allPages, guidePages, indexPage, linksOf, titles, type Page } from "./pages.ts";

const stack = fullStack();
const named = (pages: readonly Page[]): (readonly [string, Page])[] => pages.map((page) => [page.file, page]);

test("every alert that a stack can have has a runbook, and every runbook is an alert's", () => {
  expect(alertPages().map((page) => page.file)).toEqual([...alertNames].map((name) => `${name}.md`).sort());
});

test("the index is what the rules make it: npm run runbooks", () => {
  expect(readFileSync(join(runbooksDir, "README.md"), "utf8")).toBe(index());
});

/** Cells of an alert's row in the index. */
const rowOf = (name: string): string[] => readFileSync(join(runbooksDir, "README.md"), "utf8").split("\n").find((line) => line.startsWith(`| [${name}](`))!.split(" | ");

test.each(["dev", "prod"])("the index says how late each alert of %s can be", (name) => {
  const { settings } = readStack(fileSource(root, name));
  for (const { alert } of alerts(settings)) {
    const longest = (of: "first" | "joining") => Math.max(...alerts(settings).filter((a) => a.alert === alert).map((a) => latency(settings, a)[of]));
    expect(rowOf(alert).slice(2), alert).toEqual([spelled(longest("first")), `${spelled(longest("joining"))} |`]);
  }
});

test("a time in the index is the published sum: scrape, evaluations, hold, group wait or interval, send", () => {
  // 15 + 30 + 300 + 30 + 10 s; with 300 instead of 30 s in an open group.
  expect(rowOf("CrmApiDown").slice(2)).toEqual(["6 min 25 s", "10 min 55 s |"]);
  // A recording group more on the way.
  expect(rowOf("LowInvoicePaymentRate")[2]).toBe("24 h 1 min 55 s");
  // 15 + 30 + 0 + 0 + 10 s.
  expect(rowOf("Watchdog")[2]).toBe("55 s");
});

test("the index leads to every alert and every guide", () => {
  const links = linksOf(indexPage());
  for (const { file } of [...alertPages(), ...guidePages()]) expect(links, file).toContain(file);
});

describe.each(named(alertPages()))("%s", (file, page) => {
  const name = file.replace(/\.md$/, "");
  const rules = alerts(stack).filter((a) => a.alert === name);

  test("has its name as title and the six headings in order", () => {
    expect(page.title).toBe(name);
    expect(page.sections).toEqual([...titles]);
  });

  test("says where its message goes, how to check that it is over, and whom to call", () => {
    const explained = page.blocks.find((b) => b.section === "Meaning" && b.text.includes(`npm run alerts -- explain ${name} `));
    expect(explained, "npm run alerts -- explain").toBeDefined();
    const contacts = page.blocks.find((b) => b.section === "Escalation" && b.text.includes("npm run alerts -- contacts "));
    expect(contacts, "npm run alerts -- contacts").toBeDefined();
    expect(sectionOf(page, "Closing checklist").match(/^- \[ \] /gm)?.length ?? 0).toBeGreaterThanOrEqual(2);
    expect(page.prose, "how it resolves").toMatch(/\bresolves\b/);
  });

  test("repeats neither severity nor time nor threshold, which stand in the rules", () => {
    // Names of series and panels have numbers of their own.
    const prose = page.prose.replaceAll(/`[^`]+`|\*[^*\n]+\*/g, "");
    expect(prose).not.toMatch(/\b(critical|warning)\b/i);
    for (const rule of rules) {
      for (const text of durations(seconds(rule.for))) expect(prose, `for: ${rule.for}`).not.toMatch(text);
      if (rule.reach === undefined) continue;
      const { threshold } = rule.reach;
      expect(prose, rule.reach.key).not.toMatch(new RegExp(`(?<!\\d)${threshold} ?%|\\b(over|above|below|under|than) ${threshold}\\b`));
    }
  });
});

test.each(named(allPages()))("links of %s lead somewhere", (file, page) => {
  for (const link of linksOf(page)) {
    const [path, anchor] = link.split("#") as [string, string?];
    const target = path === "" ? file : join(dirname(file), path);
    expect(existsSync(join(runbooksDir, target)), link).toBe(true);
    if (anchor !== undefined) expect(allPages().find((p) => p.file === target)?.sections.map(slug), link).toContain(anchor);
  }
});

/** A time as people write it. */
function durations(of: number): RegExp[] {
  const units = [["h", 3600, "hours?"], ["m", 60, "min(ute)?s?"], ["s", 1, "seconds?"]] as const;
  return units.filter(([, size]) => of > 0 && of % size === 0).map(([letter, size, word]) => new RegExp(`\\b${of / size} ?(${letter}|${word})\\b`));
}

const slug = (heading: string) => heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");

function sectionOf({ prose }: Page, title: string): string {
  return prose.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? "";
}
