/** The only reader of a stack's configuration: one typed object and its secrets, or one error that names every wrong key. */
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { crossChecks } from "./checks.ts";
import { exampleAt } from "./examples.ts";
import { fixesOf, pathText, type Fixes, type Path } from "./fixes.ts";
import { plainKeys, secretKeys, type Plain, type SecretKey } from "./keys.ts";
import { foreignKeys } from "./namespaces.ts";
import { nearest } from "./nearest.ts";
import { SettingsError, type Problem } from "./problem.ts";
import { stackNameProblems } from "./stack-name.ts";
import type { Settings } from "./schema.ts";
import { resolve } from "./resolve.ts";
import { certificateProblems } from "./tls-checks.ts";
import { coerced, fieldsAt, isStructured } from "./shapes.ts";
import { currentSource, type ConfigSource, type ConfigValue } from "./source.ts";

/** The secrets that the stack has. */
export type Secrets = { readonly [K in SecretKey]?: pulumi.Output<string> };

/**
 * Reads and checks the stack's configuration.
 * @returns the settings, the secrets, and warnings, missing secrets among them when `source` is tolerant
 * @throws SettingsError before anything is created
 */
export function readStack(source: ConfigSource = currentSource()): { settings: Settings; secrets: Secrets; warnings: readonly string[] } {
  const fixes = fixesOf(source);
  const problems: Problem[] = unknownKeys(source, fixes);
  const plain = readPlain(source, problems, fixes);
  problems.push(...stackNameProblems(source));
  const { secrets, present, texts } = readSecrets(source, problems, fixes);
  if (plain !== undefined) problems.push(...crossChecks(plain, present, fixes), ...certificateProblems(plain, texts, fixes));
  const refused = problems.filter((p) => !p.warning && !(source.tolerant && p.missingSecret));
  if (refused.length > 0 || plain === undefined) throw new SettingsError(source.stack, refused);
  const warnings = problems.map((p) => `[${p.key}] ${p.message}; ${p.fix}`);
  return { settings: resolve(source.stack, plain, present), secrets, warnings };
}

function unknownKeys(source: ConfigSource, fixes: Fixes): Problem[] {
  const known = [...Object.keys(plainKeys), ...Object.keys(secretKeys)];
  const own = [...source.values.keys()].filter((key) => !known.includes(key)).map((key) => unknown(key, nearest(key, known), fixes));
  return [...own, ...foreignKeys(source, known, fixes)];
}

const unknown = (path: Path, near: string | undefined, fixes: Fixes): Problem => ({
  key: pathText(path),
  message: `is not a setting${near === undefined ? "" : ` (did you mean ${near}?)`}`,
  fix: fixes.remove(path),
});

function readPlain(source: ConfigSource, problems: Problem[], fixes: Fixes): Plain | undefined {
  const plain: Record<string, unknown> = {};
  let good = true;
  for (const [key, type] of Object.entries<z.ZodType>(plainKeys)) {
    const given = valueOf(source, key, type);
    if (given?.secret) {
      good = false;
      problems.push({ key, message: "is encrypted, but is no secret: it would be shown in clear in the state and in what is rendered", fix: setPlainly(key, type, fixes) });
      continue;
    }
    if (given !== undefined && isMisplaced(given, type)) {
      good = false;
      problems.push({ key, message: "must be a single value, not a list or an object", fix: fixes.set(key) });
      continue;
    }
    const result = type.safeParse(given === undefined ? undefined : parsed(type, given.text));
    if (result.success) {
      plain[key] = result.data;
      continue;
    }
    good = false;
    problems.push(...firstOfEach(result.error.issues).flatMap((issue) => problemsOf(key, type, issue, fixes)));
  }
  return good ? (plain as Plain) : undefined;
}

/** A list or an object where a text belongs; the CLI refuses it before the program runs. */
const isMisplaced = (given: ConfigValue, type: z.ZodType) => given.structured === true && !isStructured(type);

/** Sets a whole key, and not as a secret. */
const setPlainly = (key: string, type: z.ZodType, fixes: Fixes) => (isStructured(type) ? fixes.write(key) : fixes.set(key));

/** What the schema has against a key's value. */
function problemsOf(key: string, type: z.ZodType, issue: z.core.$ZodIssue, fixes: Fixes): Problem[] {
  const path: Path = [key, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => {
      const near = nearest(name, fieldsAt(type, issue.path));
      return unknown([...path, name], near && pathText([...path, near]), fixes);
    });
  }
  const whole = typeof exampleAt(path) === "object";
  return [{ key: pathText(path), message: isMissing(issue) ? "is missing" : issue.message, fix: whole ? fixes.write(key) : fixes.set(path) }];
}

const isMissing = (issue: z.core.$ZodIssue) => issue.code === "invalid_type" && issue.message.endsWith("received undefined");

/** One mistake can break several rules of its field: the first says it. */
const firstOfEach = (issues: readonly z.core.$ZodIssue[]) => issues.filter((issue, i) => issues.findIndex((other) => other.path.join("\0") === issue.path.join("\0")) === i);

/** A key's value; the empty defaults that Pulumi.yaml must give to optional keys count as not set. */
function valueOf(source: ConfigSource, key: string, type: z.ZodType): ConfigValue | undefined {
  const given = source.values.get(key);
  const empty = given !== undefined && ["", ...(isMisplaced(given, type) ? [] : ["{}"])].includes(given.text.trim());
  return empty && type.safeParse(undefined).success ? undefined : given;
}

/** Pulumi hands every value over as text: JSON for lists and objects. */
function parsed(type: z.ZodType, text: string): unknown {
  if (!isStructured(type)) return coerced(type, text);
  try {
    return coerced(type, JSON.parse(text));
  } catch {
    return text;
  }
}

interface ReadSecrets {
  /** Those that are well-formed. */
  readonly secrets: Secrets;
  /** Those that are given at all: a malformed one is one problem, and not missing too. */
  readonly present: ReadonlySet<SecretKey>;
  /** Those that are well-formed and not encrypted, for checks only. */
  readonly texts: ReadonlyMap<SecretKey, string>;
}

function readSecrets(source: ConfigSource, problems: Problem[], fixes: Fixes): ReadSecrets {
  const secrets: Partial<Record<SecretKey, pulumi.Output<string>>> = {};
  const texts = new Map<SecretKey, string>();
  const present = new Set<SecretKey>();
  for (const [key, type] of Object.entries<z.ZodType>(secretKeys) as [SecretKey, z.ZodType][]) {
    const given = source.values.get(key);
    if (given === undefined || given.text.trim() === "") continue;
    present.add(key);
    const fix = fixes.setSecret(key);
    if (!given.secret) problems.push({ key, message: "is a secret but stands in plain text in the stack file", fix });
    const result = given.opaque ? { success: true as const, data: given.text } : type.safeParse(parsed(type, given.text));
    if (!result.success) {
      problems.push({ key, message: told(result.error.issues), fix });
      continue;
    }
    const value = typeof result.data === "string" ? result.data : JSON.stringify(result.data);
    secrets[key] = pulumi.secret(value);
    if (!given.opaque) texts.set(key, value);
  }
  return { secrets, present, texts };
}

/** What is wrong with a secret, without any of its content: even the name of a field may be a part of it. */
function told(issues: readonly z.core.$ZodIssue[]): string {
  const messages = firstOfEach(issues).map((issue) => {
    const message = issue.code === "unrecognized_keys" ? "has an unknown field" : isMissing(issue) ? "is missing" : issue.message;
    return [...issue.path.map(String), message].join(" ");
  });
  return messages.join(", ");
}
