/** One JSON line per event on standard output; what could be a secret is removed by name, wherever it is nested. */
import { pino, type DestinationStream, type Logger } from "pino";
import { mayHoldSecret, redact } from "./redact.ts";

export type { Logger } from "pino";

/** Far more than any line has. */
const levelsOfLine = 20;

/**
 * @param service the `service` field of every line
 * @param level lowest level written
 * @param stream takes finished lines. @default standard output
 */
export function createLogger(service: string, level = "info", stream?: DestinationStream): Logger {
  return pino({ level, base: { service }, messageKey: "message", timestamp: pino.stdTimeFunctions.isoTime, hooks: { streamWrite: withoutSecrets }, formatters: { level: (label) => ({ level: label }) } }, stream);
}

/** Works on what is written, so that fields of errors, of child loggers and of whatever else adds some are seen too. */
function withoutSecrets(line: string): string {
  return mayHoldSecret(line) ? `${JSON.stringify(redact(JSON.parse(line), levelsOfLine))}\n` : line;
}
