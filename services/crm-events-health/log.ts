/** One JSON line per event on standard output, in the form of the other services; written by hand to spare memory. */
import { redact } from "../shared/redact.ts";
import { logLevels, type LogLevel } from "./env.ts";

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
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
    write(`${JSON.stringify({ level: name, time: new Date().toISOString(), service, ...(redact(fields) as object), message })}\n`);
  };
  return { info: at("info"), warn: at("warn"), error: at("error"), fatal: at("fatal") };
}
