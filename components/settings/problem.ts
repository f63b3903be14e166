/** A wrong setting, and the error that lists all of them. */
import { RunError } from "@pulumi/pulumi";
import type { Fixes } from "./fixes.ts";
import type { Plain, SecretKey } from "./keys.ts";

/** A mistake: the key, what is wrong, and the command that mends it. */
export interface Problem {
  readonly key: string;
  readonly message: string;
  readonly fix: string;
  /** A secret that is missing: told, not refused, when nothing is deployed. */
  readonly missingSecret?: boolean;
  /** Told, never refused. */
  readonly warning?: boolean;
}

/** Finds problems between keys; `present` are the secrets that the stack has. */
export type Check = (plain: Plain, present: ReadonlySet<SecretKey>, fixes: Fixes) => Problem[];

/** Wrong configuration. Its message has one line per mistake. */
export class SettingsError extends RunError {
  readonly problems: readonly Problem[];
  constructor(stack: string, problems: readonly Problem[]) {
    super(`stack "${stack}" cannot be used:\n${problems.map((p) => `  [${p.key}] ${p.message}; ${p.fix}`).join("\n")}`);
    this.problems = problems;
  }
}
