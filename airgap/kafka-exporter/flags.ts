/** Command line of the stand-in: the flags of kafka_exporter that this stack uses, with the same meanings and defaults. */

export interface Flags {
  /** Brokers to start from, `host:port`. */
  readonly servers: readonly string[];
  /** Empty host: every address. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly metricsPath: string;
  /** Which topics and groups are exported: matched anywhere in the name, as in the original. */
  readonly topics: Filter;
  readonly groups: Filter;
}

export interface Filter {
  readonly include: RegExp;
  readonly exclude: RegExp;
}

const defaults: Readonly<Record<string, string>> = {
  "kafka.server": "kafka:9092",
  "kafka.version": "2.0.0",
  "web.listen-address": ":9308",
  "web.telemetry-path": "/metrics",
  "topic.filter": ".*",
  "topic.exclude": "^$",
  "group.filter": ".*",
  "group.exclude": "^$",
};

/** Whether a filter lets a name pass. */
export const passes = ({ include, exclude }: Filter, name: string): boolean => include.test(name) && !exclude.test(name);

/**
 * Reads the command line.
 * @param args such as `["--kafka.server=kafka:9092", "--group.exclude", "^test-"]`
 * @throws Error that names the flag
 */
export function readFlags(args: readonly string[]): Flags {
  const given = collect(args);
  const last = (name: string): string => given.get(name)?.at(-1) ?? defaults[name] ?? "";
  const filter = (name: string): Filter => ({ include: expression(`${name}.filter`, last(`${name}.filter`)), exclude: expression(`${name}.exclude`, last(`${name}.exclude`)) });
  if (!/^\d+\.\d+\.\d+(\.\d+)?$/.test(last("kafka.version"))) throw new Error(`--kafka.version: "${last("kafka.version")}" is not a version such as 3.6.0`);
  const servers = given.get("kafka.server") ?? [last("kafka.server")];
  for (const server of servers) address("kafka.server", server);
  return { servers, listen: address("web.listen-address", last("web.listen-address")), metricsPath: last("web.telemetry-path"), topics: filter("topic"), groups: filter("group") };
}

function collect(args: readonly string[]): Map<string, string[]> {
  const given = new Map<string, string[]>();
  const rest = [...args];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const [, name, attached] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined || !Object.hasOwn(defaults, name)) throw new Error(`unknown flag ${argument.split("=")[0]}: this offline stand-in knows ${Object.keys(defaults).map((flag) => `--${flag}`).join(", ")}`);
    const value = attached ?? rest.shift();
    if (value === undefined || value === "") throw new Error(`--${name} needs a value`);
    given.set(name, [...(given.get(name) ?? []), value]);
  }
  return given;
}

function address(flag: string, text: string): { host: string; port: number } {
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535 || (host === "" && flag === "kafka.server")) throw new Error(`--${flag}: "${text}" is not host:port`);
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

function expression(flag: string, text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new Error(`--${flag}: "${text}" is no regular expression`);
  }
}
