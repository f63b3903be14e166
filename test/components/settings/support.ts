/** Shipped stacks with changed configuration, read as the program reads them. */
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { SettingsError, type Problem } from "../../../components/settings/problem.ts";
import { readStack } from "../../../components/settings/read.ts";
import type { ConfigSource, ConfigValue } from "../../../components/settings/source.ts";
import { fileSource } from "../../../components/settings/stack-files.ts";

export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** A text replaces a value, `{secret}` sets a secret, undefined removes the key. */
export type Changes = Readonly<Record<string, string | { secret: string } | undefined>>;

/** The configuration of a shipped stack with changes. */
export function changed(stack: string, changes: Changes, tolerant = false): ConfigSource {
  const base = fileSource(root, stack);
  const values = new Map<string, ConfigValue>(base.values);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) values.delete(key);
    else if (typeof value === "string") values.set(key, { text: value, secret: false, opaque: false });
    else values.set(key, { text: value.secret, secret: true, opaque: false });
  }
  return { ...base, values, tolerant };
}

export const readChanged = (stack: string, changes: Changes, tolerant = false): ReturnType<typeof readStack> => readStack(changed(stack, changes, tolerant));

/** What `readStack` refuses; none when it refuses nothing. */
export function problemsOf(stack: string, changes: Changes): readonly Problem[] {
  try {
    readChanged(stack, changes);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as SettingsError).problems;
  }
  return [];
}

/** All secrets that the shipped production stack needs. */
export const productionSecrets = {
  slackWebhook: { secret: "https://hooks.slack.com/services/T1/B1/abc\n" },
  qboClientSecret: { secret: "s3cret" },
  qboWebhookVerifier: { secret: "verifier" },
  postgresPassword: { secret: "pg" },
  grafanaAdminPassword: { secret: "admin-pw" },
} as const;
