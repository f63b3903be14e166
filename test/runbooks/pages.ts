/** The runbooks as tests see them: prose, code spans, links and fenced blocks, each with its place. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { runbooksDir } from "../../tools/runbooks.ts";

/** A fenced block. */
export interface Block {
  /** Words behind the fence, such as `sh docker changes`. */
  readonly info: readonly string[];
  readonly text: string;
  /** Line of its first line of text. */
  readonly line: number;
  /** The `##` heading above it. */
  readonly section: string;
}

export interface Page {
  /** Path below `runbooks/`. */
  readonly file: string;
  readonly title: string;
  /** Headings of the second level, in order. */
  readonly sections: readonly string[];
  readonly blocks: readonly Block[];
  /** Everything outside fenced blocks. */
  readonly prose: string;
}

export const titles = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Closing checklist", "Escalation"] as const;

/** @throws Error when a fence is not closed */
export function parse(file: string, text: string): Page {
  const blocks: Block[] = [];
  const prose: string[] = [];
  const sections: string[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (!line.startsWith("```")) {
      if (line.startsWith("## ")) sections.push(line.slice(3));
      prose.push(line);
      continue;
    }
    const end = lines.indexOf("```", i + 1);
    if (end === -1) throw new Error(`${file}:${i + 1}: the fence is not closed`);
    blocks.push({ info: line.slice(3).split(" "), text: lines.slice(i + 1, end).join("\n"), line: i + 2, section: sections.at(-1) ?? "" });
    prose.push("");
    i = end;
  }
  return { file, title: /^# (.+)/.exec(text)?.[1] ?? "", sections, blocks, prose: prose.join("\n") };
}

const read = (file: string): Page => parse(file, readFileSync(join(runbooksDir, file), "utf8"));
const markdown = (folder: string): string[] => readdirSync(folder).filter((file) => file.endsWith(".md")).sort();

/** One page per alert. */
export const alertPages = (): Page[] => markdown(runbooksDir).filter((file) => file !== "README.md" && !file.startsWith("_")).map(read);
export const guidePages = (): Page[] => markdown(join(runbooksDir, "guides")).map((file) => read(`guides/${file}`));
export const indexPage = (): Page => read("README.md");
let all: readonly Page[] | undefined;
/** Read once. */
export const allPages = (): readonly Page[] => (all ??= [indexPage(), ...guidePages(), ...alertPages()]);

export const spansOf = ({ prose }: Page): string[] => [...prose.matchAll(/`([^`]+)`/g)].map((m) => m[1]!.replaceAll("\n", " "));
export const linksOf = ({ prose }: Page): string[] => [...prose.matchAll(/\]\(([^)]+)\)/g)].map((m) => m[1]!);

/** Panels that a page points at: `uid` › *Title*, *Title*. */
export function panelsNamed({ prose }: Page): { uid: string; title: string }[] {
  const flat = prose.replaceAll("\n", " ");
  return [...flat.matchAll(/`([\w-]+)` › ((?:\*[^*]+\*(?:, )?)+)/g)].flatMap((m) => [...m[2]!.matchAll(/\*([^*]+)\*/g)].map((t) => ({ uid: m[1]!, title: t[1]! })));
}
