/** Who owns what: the `service`, `team` and `product` of every alert, by the part that it is about. */
import type { PartName } from "../components/topology.ts";

export interface Owner {
  readonly service: string;
  readonly team: "crm" | "aetherlink" | "ops";
  readonly product: "peakpro" | "aetherlink" | "observability";
}

const owner = (service: string, team: Owner["team"], product: Owner["product"]): Owner => ({ service, team, product });
const ops = (service: string) => owner(service, "ops", "observability");

export const owners = {
  crmApi: owner("crm-api", "crm", "peakpro"),
  crmEvents: owner("crm-events-sse", "crm", "aetherlink"),
  healthProbe: owner("crm-events-health", "crm", "aetherlink"),
  rag: owner("rag-api", "aetherlink", "aetherlink"),
  prometheus: ops("prometheus"),
  alertmanager: ops("alertmanager"),
} as const satisfies Record<string, Owner>;

const byPart: Partial<Record<PartName, Owner>> = {
  "crm-api": owners.crmApi,
  "crm-events": owners.crmEvents,
  "crm-events-health": owners.healthProbe,
};

/** Owner of a part; parts without business of their own are the operations team's. */
export const ownerOf = (part: PartName): Owner => byPart[part] ?? ops(part);
