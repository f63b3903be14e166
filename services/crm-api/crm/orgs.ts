/** Organisations, leads and proposals: what comes before money. */
import { conflict, notFound } from "./errors.ts";
import { ledgerKinds, type Unit } from "./unit.ts";
import type { Lead, Org, Proposal } from "../store/tables.ts";

/** Throws a refusal that names `org_id` unless the organisation is there. */
export async function requireOrg(u: Unit, id: string): Promise<void> {
  const org = await u.tx.selectFrom("orgs").select("id").where("id", "=", id).executeTakeFirst();
  if (org === undefined) throw notFound("organisation", "org_id");
}

/**
 * Adds an organisation with all its counters at 0.
 * @returns undefined when there is one with this id already
 */
export async function addOrg(u: Unit, input: { id: string; name: string }): Promise<Org | undefined> {
  const org = { ...input, created_at: u.at };
  const added = await u.tx.insertInto("orgs").values(org).onConflict((c) => c.column("id").doNothing()).returning("id").executeTakeFirst();
  if (added === undefined) return undefined;
  await u.tx.insertInto("totals").values(ledgerKinds.map((kind) => ({ org_id: org.id, kind, count: 0, amount_cents: 0 }))).execute();
  u.emit({ type: "org.created", orgId: org.id, aggregate: { type: "org", id: org.id }, data: { name: org.name } });
  return org;
}

/** @throws Refusal 409 when the id is taken */
export async function createOrg(u: Unit, input: { id: string; name: string }): Promise<Org> {
  const org = await addOrg(u, input);
  if (org === undefined) throw conflict("exists", "there is an organisation with this id already", "id");
  return org;
}

export interface LeadInput {
  readonly org_id: string;
  readonly name: string;
  readonly email?: string | undefined;
  readonly source?: string | undefined;
}

/** @throws Refusal 404 for an unknown organisation */
export async function createLead(u: Unit, input: LeadInput): Promise<Lead> {
  await requireOrg(u, input.org_id);
  const lead: Lead = { id: u.newId(), org_id: input.org_id, name: input.name, email: input.email ?? null, source: input.source ?? null, created_at: u.at };
  await u.tx.insertInto("leads").values(lead).execute();
  u.book(lead.org_id, "lead");
  u.emit({ type: "lead.created", orgId: lead.org_id, aggregate: { type: "lead", id: lead.id }, data: { name: lead.name, source: lead.source } });
  return lead;
}

export interface ProposalInput {
  readonly org_id: string;
  readonly lead_id?: string | undefined;
  readonly title: string;
  readonly amount_cents: number;
}

/** @throws Refusal 404 for an unknown organisation, or a lead that this organisation does not have */
export async function createProposal(u: Unit, input: ProposalInput): Promise<Proposal> {
  await requireOrg(u, input.org_id);
  if (input.lead_id !== undefined) {
    const lead = await u.tx.selectFrom("leads").select("id").where("id", "=", input.lead_id).where("org_id", "=", input.org_id).executeTakeFirst();
    if (lead === undefined) throw notFound("lead of this organisation", "lead_id");
  }
  const proposal: Proposal = { id: u.newId(), org_id: input.org_id, lead_id: input.lead_id ?? null, title: input.title, amount_cents: input.amount_cents, status: "open", created_at: u.at, accepted_at: null };
  await u.tx.insertInto("proposals").values(proposal).execute();
  u.book(proposal.org_id, "proposal", proposal.amount_cents);
  u.emit({ type: "proposal.created", orgId: proposal.org_id, aggregate: { type: "proposal", id: proposal.id }, data: { lead_id: proposal.lead_id, title: proposal.title, amount_cents: proposal.amount_cents } });
  return proposal;
}

/** @throws Refusal 404 when there is none, 409 when it was accepted before */
export async function acceptProposal(u: Unit, id: string): Promise<Proposal> {
  const proposal = await u.store.lockRows(u.tx.selectFrom("proposals").selectAll().where("id", "=", id)).executeTakeFirst();
  if (proposal === undefined) throw notFound("proposal", "id");
  if (proposal.status === "accepted") throw conflict("already_accepted", "this proposal was accepted before", "id");
  const accepted: Proposal = { ...proposal, status: "accepted", accepted_at: u.at };
  await u.tx.updateTable("proposals").set({ status: accepted.status, accepted_at: accepted.accepted_at }).where("id", "=", id).execute();
  u.emit({ type: "proposal.accepted", orgId: proposal.org_id, aggregate: { type: "proposal", id }, data: { amount_cents: proposal.amount_cents } });
  return accepted;
}
