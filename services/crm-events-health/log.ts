/** One JSON line per event on standard output, in the form of the other services; written by hand to spare memory. */
import { logLevels, type LogLevel } from "./env.ts";

/** Fields whose name says that they may hold a secret, wherever they are nested. */
const secret = /authorization|cookie|password|secret|token|webhook|api[-_]?key/i;
const deepest = 5;

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * @param service the `service` field of every line
 * @param level lowest level written
 * @param write takes a finished line. @default standard output
 */
export function createLog(service: string, level: LogLevel, write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  const lowest = logLevels.indexOf(level);
  const at = (name: LogLevel) => (fields: object, message: string) => {
    if (level === "silent" || logLevels.indexOf(name) > lowest) return;
    write(`${JSON.stringify({ level: name, time: new Date().toISOString(), service, ...(clean(fields, 0) as object), message })}\n`);
  };
  return { info: at("info"), warn: at("warn"), error: at("error") };
}

function clean(value: unknown, depth: number): unknown {
  if (value instanceof Error) return { type: value.name, message: value.message };
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? `${value}` : value;
  if (depth === deepest) return "[nested too deep]";
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, secret.test(name) ? "[redacted]" : clean(item, depth + 1)]));
}
