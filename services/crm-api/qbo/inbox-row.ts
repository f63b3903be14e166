/** What the inbox keeps of a reason to look at an object. */
import type { QboInboxTable } from "../store/tables.ts";

/** A row that is due at once and was not tried yet. @param reason when it came, for what object, and why */
export const inboxRow = (reason: Pick<QboInboxTable, "id" | "realm_id" | "entity" | "entity_id" | "operation" | "received_at">): QboInboxTable => ({
  ...reason,
  processed_at: null,
  attempts: 0,
  next_attempt_at: 0,
  problem: null,
});
