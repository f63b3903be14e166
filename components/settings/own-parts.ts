/**
 * What the checks know of the stack's own parts and images. Topology and images read the settings and cannot be imported
 * here; a test keeps these tables equal to theirs.
 */

/** Port of every part. */
export const ownPorts = {
  prometheus: 9090,
  alertmanager: 9093,
  blackbox: 9115,
  kafka: 9092,
  "kafka-exporter": 9308,
  grafana: 3000,
  "crm-api": 8080,
  "crm-events": 9010,
  "crm-events-health": 9011,
  "command-center": 3001,
  simulator: 8000,
  "slack-standin": 8090,
  "qbo-standin": 8091,
} as const;
export type OwnPart = keyof typeof ownPorts;

const names = Object.keys(ownPorts) as OwnPart[];

/** The part that a host name of the stack's network means: NAME, or NAME-n for one of its replicas. */
export const partAt = (host: string): OwnPart | undefined => names.find((name) => host === name || (host.startsWith(`${name}-`) && /^\d+$/.test(host.slice(name.length + 1))));

/** Images that others publish. */
export const thirdPartyImages = ["prometheus", "alertmanager", "blackbox", "kafka", "kafka-exporter", "grafana", "node"] as const;
/** Images that are built from services/. */
export const ownImages = ["slack-standin", "qbo-standin", "crm-api", "crm-events", "crm-events-health", "command-center", "simulator"] as const;

/** Streams that one replica of crm-events holds at most: the default of MAX_CLIENTS in services/crm-events/env.ts. */
export const streamsPerReplica = 12_000;
