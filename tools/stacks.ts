/** Stacks as their files say, for the Make targets. */
import { readStack } from "../components/settings/read.ts";
import type { Settings } from "../components/settings/schema.ts";
import { fileSource } from "../components/settings/stack-files.ts";
import { root } from "./service-sources.ts";

/** Settings that win over the stack's file. */
export type Overrides = Readonly<Record<string, unknown>>;

/** @throws Error when there is no such stack, naming those that there are, or when its settings are wrong */
export const settingsOf = (stack: string, overrides: Overrides = {}): Settings => readStack(fileSource(root, stack, overrides)).settings;

/**
 * Why `make down` cannot know a stack by this name: nothing here starts it. Settings that are wrong do not count, because
 * what runs must be stopped all the same.
 */
export function notOurs(stack: string): string | undefined {
  try {
    const target = fileSource(root, stack).values.get("target")?.text;
    if (target === undefined || target === "docker") return undefined;
    return `[target] stack "${stack}" is for ${target}; make down stops Docker stacks, use: pulumi destroy --stack ${stack}`;
  } catch (error) {
    return (error as Error).message;
  }
}
