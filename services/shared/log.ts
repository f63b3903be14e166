/** One JSON line per event on standard output; what could be a secret is removed by name, wherever it is nested. */
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

const secretNames = ["authorization", "cookie", "password", "secret", "client_secret", "access_token", "refresh_token", "token", "webhook", "intuit-signature"];

/**
 * @param service the `service` field of every line
 * @param level lowest level written
 */
export function createLogger(service: string, level = "info"): Logger {
  const paths = secretNames.flatMap((n) => {
    const key = `["${n}"]`;
    return [key, `*${key}`, `*.*${key}`];
  });
  return pino({ level, base: { service }, messageKey: "message", timestamp: pino.stdTimeFunctions.isoTime, redact: { paths, censor: "[redacted]" }, formatters: { level: (label) => ({ level: label }) } });
}
