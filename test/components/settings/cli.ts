/** What the Pulumi CLI would do to a stack's configuration, for trying the commands that errors print. */
import { execFileSync } from "node:child_process";
import { parse } from "yaml";
import type { ConfigSource, ConfigValue } from "../../../components/settings/source.ts";

/** The words of a command as a shell hands them to a program. */
export const wordsOf = (command: string): string[] => execFileSync("bash", ["-c", `printf '%s\\0' ${command}`], { encoding: "utf8" }).split("\0").slice(0, -1);

/** `a.b[0]["c"]` as steps. */
export const stepsOf = (path: string): (string | number)[] =>
  [...path.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\.?([^.[\]]+)/g)].map(([, index, name, plain]) => (index !== undefined ? Number(index) : name !== undefined ? (JSON.parse(name) as string) : plain!));

/** `--path` stores integers and booleans as such, every other value as text. */
const stored = (text: string): unknown => (text === "true" ? true : text === "false" ? false : /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : text);

function setIn(at: unknown, [step, ...rest]: (string | number)[], value: unknown): unknown {
  if (step === undefined) return value;
  if (at !== undefined && (typeof at !== "object" || Array.isArray(at) !== (typeof step === "number"))) throw new Error(`${JSON.stringify(at)} has no ${step}`);
  const copy = structuredClone(at ?? (typeof step === "number" ? [] : {})) as Record<string | number, unknown>;
  copy[step] = setIn(copy[step], rest, value);
  return copy;
}

function removeIn(at: unknown, [step, ...rest]: (string | number)[]): unknown {
  const copy = structuredClone(at) as Record<string | number, unknown>;
  if (rest.length > 0) copy[step!] = removeIn(copy[step!], rest);
  else if (Array.isArray(copy)) copy.splice(step as number, 1);
  else delete copy[step!];
  return copy;
}

const plain = (value: unknown): ConfigValue => ({ text: typeof value === "string" ? value : JSON.stringify(value), secret: false, opaque: false });

/**
 * The configuration after the command, or the line of YAML, that a problem's fix names.
 * @param files content of the files that the command is given on its standard input
 * @throws Error when it does not work
 */
export function mended(source: ConfigSource, fix: string, files: Readonly<Record<string, string>> = {}): ConfigSource {
  const values = new Map(source.values);
  const written = /such as: (.+)$/.exec(fix);
  if (written !== null) {
    for (const [key, value] of Object.entries(parse(written[1]!) as Record<string, unknown>)) values.set(key.replace(`${source.project}:`, ""), plain(value));
    return { ...source, values };
  }
  const [, line, file] = /(pulumi config .+?)(?: < (\S+))?$/.exec(fix)!;
  const words = wordsOf(line!);
  if (words.splice(-2).join(" ") !== `--stack ${source.stack}`) throw new Error(`${fix}: names no stack`);
  const flags = words.filter((word) => word.startsWith("--"));
  const [verb, path, argument] = words.slice(2).filter((word) => !word.startsWith("--"));
  const value = file === undefined ? argument : files[file]!.replace(/\n$/, "");
  const [key, ...inside] = flags.includes("--path") ? (stepsOf(path!) as [string, ...(string | number)[]]) : [path!];
  const given = values.get(key);
  const before = given === undefined || given.text === "" ? undefined : inside.length > 0 ? (JSON.parse(given.text) as unknown) : given.text;
  if (flags.includes("--secret")) values.set(key, { text: value ?? "https://hooks.slack.com/services/T1/B1/given", secret: true, opaque: false });
  else if (verb === "set") values.set(key, plain(inside.length > 0 ? setIn(before, inside, stored(value!)) : value!));
  else if (inside.length > 0) values.set(key, plain(removeIn(before, inside)));
  else values.delete(key);
  return { ...source, values };
}
