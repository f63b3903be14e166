/** Where a stack's configuration comes from: Pulumi's engine, or the files alone when nothing is deployed. */
import * as pulumi from "@pulumi/pulumi";

/** One configured value. */
export interface ConfigValue {
  /** Text as Pulumi hands it over: JSON for lists and objects. */
  readonly text: string;
  readonly secret: boolean;
  /** Encrypted and not decrypted: present, but its content cannot be checked. */
  readonly opaque: boolean;
  /** Given as a list or an object, of which the text is the JSON. @default not known */
  readonly structured?: boolean;
}

/** A stack's name and its configuration, without the project's prefix. */
export interface ConfigSource {
  readonly stack: string;
  readonly project: string;
  readonly values: ReadonlyMap<string, ConfigValue>;
  /** Whole names of the keys that have another prefix, such as `docker:host`. */
  readonly others: readonly string[];
  /** Whether a missing secret is only told, not refused: the files are rendered, nothing is deployed. */
  readonly tolerant: boolean;
}

// The SDK keeps the function out of its type declarations.
const isSecret = (pulumi.runtime as unknown as { isConfigSecret?: (key: string) => boolean }).isConfigSecret;

/** What the Pulumi engine gave this program. */
export function engineSource(): ConfigSource {
  const project = pulumi.getProject();
  const values = new Map<string, ConfigValue>();
  const others: string[] = [];
  for (const [key, text] of Object.entries(pulumi.runtime.allConfig())) {
    const [namespace, ...rest] = key.split(":");
    if (namespace === project) values.set(rest.join(":"), { text, secret: isSecret?.(key) ?? false, opaque: false });
    else others.push(key);
  }
  return { stack: pulumi.getStack(), project, values, others, tolerant: false };
}

let replacement: ConfigSource | undefined;

/** Makes `currentSource` answer with `source`; the recording runtime of render/ uses it. */
export function useSource(source: ConfigSource): void {
  replacement = source;
}

export const currentSource = (): ConfigSource => replacement ?? engineSource();
