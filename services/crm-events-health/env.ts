/**
 * The environment of crm-events-health. Read by hand: with 64 MB and a tenth of a CPU, a schema library would be the
 * largest part of the program (14 MB and most of a second at its start).
 */
import type { WindowMode } from "./verdict.ts";

export interface HealthEnv {
  readonly host: string;
  readonly port: number;
  readonly logLevel: LogLevel;
  readonly promUrl: URL;
  readonly promTimeoutMs: number;
  /** Attempts after the first. */
  readonly promRetries: number;
  readonly windowMinutes: number;
  readonly windowMode: WindowMode;
  readonly skewThreshold: number;
  readonly minConsumers: number;
  readonly consumerGroup: string;
  readonly pollSeconds: number;
}

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A variable that cannot be read: what is expected instead. */
class Expected extends Error {}

type Read<T> = (text: string) => T;

function number(minimum: number, maximum: number, whole: boolean): Read<number> {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum) || (whole && !Number.isInteger(value))) throw new Expected(`a ${whole ? "whole " : ""}number from ${minimum} to ${maximum} is expected`);
    return value;
  };
}

function oneOf<const T extends string>(values: readonly T[]): Read<T> {
  return (text) => {
    if (!(values as readonly string[]).includes(text)) throw new Expected(`one of ${values.join(", ")} is expected`);
    return text as T;
  };
}

const url: Read<URL> = (text) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) throw new Expected("an http or https URL is expected");
  if (parsed.username !== "" || parsed.password !== "") throw new Expected("a URL without user and password is expected");
  return parsed;
};

const groupName: Read<string> = (text) => {
  if (!/^[\w.-]{1,249}$/.test(text)) throw new Expected("a group name of letters, digits, dots, dashes and underscores is expected");
  return text;
};

/**
 * @param env usually `process.env`; an empty string counts as not set
 * @throws Error that names every wrong variable and what is expected, and no value
 */
export function readHealthEnv(env: NodeJS.ProcessEnv): HealthEnv {
  const faults: string[] = [];
  const read = <T>(name: string, parse: Read<T>, fallback?: T): T => {
    const text = env[name];
    try {
      if (text !== undefined && text !== "") return parse(text);
      if (fallback !== undefined) return fallback;
      throw new Expected("required");
    } catch (error) {
      if (!(error instanceof Expected)) throw error;
      faults.push(`${name}: ${error.message}`);
      return fallback as T;
    }
  };
  const result: HealthEnv = {
    host: read("HOST", (text) => text, "0.0.0.0"),
    port: read("PORT", number(0, 65_535, true), 9011),
    logLevel: read("LOG_LEVEL", oneOf(logLevels), "info"),
    promUrl: read("PROM_URL", url),
    promTimeoutMs: read("PROM_TIMEOUT_MS", number(10, 60_000, true), 1_500),
    promRetries: read("PROM_RETRIES", number(0, 10, true), 2),
    windowMinutes: read("WINDOW_MINUTES", number(0.01, 1_440, false), 5),
    windowMode: read("WINDOW_MODE", oneOf(["sustained", "strict"]), "sustained"),
    skewThreshold: read("SKEW_THRESHOLD", number(1, 1_000_000, false), 4),
    minConsumers: read("MIN_CONSUMERS", number(0, 100_000, true), 2),
    consumerGroup: read("CONSUMER_GROUP", groupName, "crm-events-sse"),
    pollSeconds: read("POLL_SECONDS", number(0.05, 300, false), 5),
  };
  if (faults.length === 0 && result.pollSeconds > result.windowMinutes * 6) faults.push("POLL_SECONDS: at most a tenth of WINDOW_MINUTES is expected, or no window is ever full");
  if (faults.length > 0) throw new Error(`wrong environment: ${faults.join("; ")}`);
  return result;
}
