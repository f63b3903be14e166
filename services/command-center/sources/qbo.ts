/** State of the QuickBooks connections, as crm-api reports it. */
import { z } from "zod";
import type { Qbo, QboCompany } from "../state.ts";
import { getJson } from "./get-json.ts";

const state = z.enum(["not_configured", "not_connected", "importing", "connected", "rate_limited", "reauthorise", "unknown"]).catch("unknown");
const company = z.object({
  org_id: z.string(),
  realm_id: z.string(),
  state,
  last_sync_at: z.string().nullable(),
  refresh_token_expires_at: z.string().nullable(),
  webhook_events_waiting: z.number(),
  writes_waiting: z.number(),
  writes_failed: z.number(),
  problem: z.string().nullable(),
});
const status = z.object({ state, environment: z.string().nullable(), companies: z.array(company) });

const listLimit = 12;
const textLimit = 300;

/** @param url of crm-api */
export async function readQbo(url: string, timeoutMs: number): Promise<Qbo> {
  const { companies, ...all } = await getJson(`${url}/qbo/status`, status, timeoutMs);
  return { ...all, companies: companies.slice(0, listLimit).map(toCompany) };
}

/** What was never sent to QuickBooks stays a problem when nothing else is one. */
const givenUp = (writes: number): string | null => (writes === 0 ? null : `${writes} of its writes were given up; POST /qbo/writes/retry sends them again`);

function toCompany(c: z.output<typeof company>): QboCompany {
  return {
    name: `${c.org_id}, company ${c.realm_id}`,
    state: c.state,
    lastSyncAt: c.last_sync_at,
    refreshTokenExpiresAt: c.refresh_token_expires_at,
    waiting: c.webhook_events_waiting + c.writes_waiting,
    problem: c.problem?.slice(0, textLimit).toWellFormed() ?? givenUp(c.writes_failed),
  };
}
