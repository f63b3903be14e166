/** The queue of writes that QuickBooks has to take over, filled in the transaction that makes the change here. */
import type { Changes, Unit } from "../crm/unit.ts";
import type { QboPushTable } from "../store/tables.ts";

/**
 * Queues a write when the organisation has a QuickBooks company; otherwise nothing is kept.
 * @param subjectId the invoice or payment
 * @param invoiceId writes of one invoice go out in order
 */
export async function pushLater(u: Unit, kind: QboPushTable["kind"], orgId: string, subjectId: string, invoiceId: string): Promise<void> {
  const company = await u.tx.selectFrom("qbo_connections").select("realm_id").where("org_id", "=", orgId).executeTakeFirst();
  if (company === undefined) return;
  await u.tx
    .insertInto("qbo_pushes")
    .values({ id: u.newId(), org_id: orgId, kind, subject_id: subjectId, invoice_id: invoiceId, created_at: u.at, done_at: null, failed_at: null, attempts: 0, next_attempt_at: 0, problem: null })
    .execute();
}

/**
 * Takes up again what was given up, from its first attempt.
 * @param orgId default: all organisations
 * @returns how many writes
 */
export async function retryFailed(changes: Changes, orgId: string | undefined): Promise<number> {
  const failed = changes.store.db.updateTable("qbo_pushes").set({ failed_at: null, attempts: 0, next_attempt_at: 0 }).where("done_at", "is", null).where("failed_at", "is not", null);
  return (await (orgId === undefined ? failed : failed.where("org_id", "=", orgId)).returning("id").execute()).length;
}
