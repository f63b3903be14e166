/** Command-line arguments of the render commands. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

export interface RenderArguments {
  readonly stack: string;
  readonly out: string;
  readonly overrides: Record<string, unknown>;
}

/**
 * The values of a command's options.
 * @param usage shown with what is wrong
 * @throws Error that shows the usage
 */
export function optionValues<const T extends ParseArgsOptionsConfig>(argv: readonly string[], options: T, usage: string) {
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`, { cause: error });
  }
}

/**
 * Reads `--stack NAME --out DIR [--set KEY=VALUE …]`; a value is JSON where it can be.
 * @throws Error that shows the usage
 */
export function renderArguments(command: string, argv: readonly string[]): RenderArguments {
  const usage = `usage: npm run ${command} -- --stack NAME --out DIR [--set KEY=VALUE ...]`;
  const values = optionValues(argv, { stack: { type: "string" }, out: { type: "string" }, set: { type: "string", multiple: true } }, usage);
  if (!values.stack || !values.out) throw new Error(usage);
  return { stack: values.stack, out: values.out, overrides: parseOverrides(values.set ?? []) };
}

/**
 * @param pairs each `KEY=VALUE`; a value is JSON where it can be, else text
 * @throws Error that names the pair that is none
 */
export const parseOverrides = (pairs: readonly string[]): Record<string, unknown> => Object.fromEntries(pairs.map(override));

function override(pair: string): [string, unknown] {
  const at = pair.indexOf("=");
  if (at < 1) throw new Error(`--set ${pair}: KEY=VALUE is expected`);
  const text = pair.slice(at + 1);
  try {
    return [pair.slice(0, at), JSON.parse(text)];
  } catch {
    return [pair.slice(0, at), text];
  }
}
