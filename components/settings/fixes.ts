/** The commands that mend a mistake, as they can be pasted into a shell. */
import { exampleAt, isPem } from "./examples.ts";
import type { SecretKey } from "./keys.ts";
import type { ConfigSource } from "./source.ts";

/** A key, or the way to a field inside one. */
export type Path = string | readonly PropertyKey[];

/** Sentences that say how to mend something. Every command names the stack: another one may be selected. */
export interface Fixes {
  /** `value` is by default an example that works. */
  set(path: Path, value?: string | number | boolean): string;
  setSecret(key: SecretKey): string;
  remove(path: Path): string;
  /** For a whole list or object, which no one command can set. */
  write(key: string): string;
}

const steps = (path: Path): readonly PropertyKey[] => (typeof path === "string" ? [path] : path);

/** A path as Pulumi spells it, such as `httpsTargets[0].url`. */
export function pathText(path: Path): string {
  const [key, ...rest] = steps(path);
  const inside = rest.map((step) => (typeof step === "number" ? `[${step}]` : /^[A-Za-z_][\w-]*$/.test(String(step)) ? `.${String(step)}` : `[${JSON.stringify(step)}]`));
  return `${String(key)}${inside.join("")}`;
}

/** A text as one word of a shell command. */
export const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** `--path` and the path, or the key alone. */
const target = (path: Path) => `${steps(path).length > 1 ? "--path " : ""}${quoted(pathText(path))}`;

const secretExample: { readonly [K in SecretKey]?: string } = { slackWebhooks: ' \'{"crm": "URL", "ops": "URL"}\'' };
/** Files that are given on standard input: a line cannot hold them. */
const secretFile: { readonly [K in SecretKey]?: string } = { crmEventsCertificate: " < cert.pem", crmEventsKey: " < key.pem" };

/** The fixes of one stack. */
export function fixesOf({ stack, project }: Pick<ConfigSource, "stack" | "project">): Fixes {
  const command = (rest: string) => `pulumi config ${rest} --stack ${quoted(stack)}`;
  return {
    set: (path, value) =>
      isPem(steps(path))
        ? `set it with: ${command(`set ${target(path)}`)} < ca.pem`
        : `set it with: ${command(`set ${target(path)} ${quoted(String(value ?? exampleAt(steps(path)) ?? "VALUE"))}`)}`,
    setSecret: (key) => `set it with: ${command(`set --secret ${key}${secretExample[key] ?? ""}`)}${secretFile[key] ?? ""}`,
    remove: (path) => `remove it with: ${command(`rm ${target(path)}`)}`,
    write: (key) => `write it in Pulumi.${stack}.yaml, below config, such as: ${project}:${key}: ${JSON.stringify(short(exampleAt([key])))}`,
  };
}

/** An object's first fields are enough to show its form. */
const short = (value: unknown) => (typeof value === "object" && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).slice(0, 5)) : value);
