/** Takes what could be a secret out of what is logged. Imports nothing: one of the services has very little memory. */

/** What the name of a field has in it when it may hold a secret, in any spelling: `apiKey`, `client_secret`, `Set-Cookie`. */
const secret = /authorization|cookie|password|secret|token|webhook|api[-_]?key|signature/i;

/** Whether a finished line could have such a field; in one that could not there is nothing to take out. */
export const mayHoldSecret = (line: string): boolean => secret.test(line);

/**
 * A copy for the log, without the values of fields whose name says that they may be secret, wherever they are nested.
 * @param levels lists and objects within each other that are shown; what lies deeper is left out. @default 5
 */
export function redact(value: unknown, levels = 5): unknown {
  if (value instanceof Error) return { type: value.name, message: value.message };
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? `${value}` : value;
  if (levels === 0) return "[nested too deep]";
  if (Array.isArray(value)) return value.map((item) => redact(item, levels - 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, secret.test(name) ? "[redacted]" : redact(item, levels - 1)]));
}
