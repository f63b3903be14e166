/** What every component shares: the stack it belongs to, and its part's fixed facts from the topology. */
import type { Platform, WorkloadArgs } from "./platform/platform.ts";
import type { Secrets } from "./settings/read.ts";
import type { Settings } from "./settings/schema.ts";
import { connectionsOf, parts, replicasOf, type PartName } from "./topology.ts";

/** Arguments of every component. */
export interface StackContext {
  readonly settings: Settings;
  readonly secrets: Secrets;
  readonly platform: Platform;
}

/** Port, published port, replicas and peers of a part. */
export function factsOf(s: Settings, name: PartName): Pick<WorkloadArgs, "port" | "publish" | "replicas" | "clients" | "servers"> {
  const { port, published } = parts[name];
  const connections = connectionsOf(s);
  return {
    port,
    publish: published ? port + s.portOffset : undefined,
    replicas: replicasOf(s, name),
    clients: connections.filter(([, to]) => to === name).map(([from]) => from),
    servers: connections.filter(([from]) => from === name).map(([, to]) => to),
  };
}

/** Secret files without those that the stack does not have. */
export function present<T>(files: Record<string, T | undefined>): Record<string, T> {
  return Object.fromEntries(Object.entries(files).filter((e): e is [string, T] => e[1] !== undefined));
}

/** The value that development stacks use where production needs a real secret. */
export const developmentSecret = "development-only";
