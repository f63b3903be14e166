/** Counts invoices when they reach their due date. Those that did while no process ran are counted at the next run. */
import { fallDue } from "./invoices.ts";
import type { Changes } from "./unit.ts";

const batch = 200;

/**
 * Counts every invoice whose due date has come and that was not counted yet; replicas may run it at the same time.
 * @returns how many were looked at
 */
export async function countDueInvoices(changes: Changes): Promise<number> {
  for (let counted = 0; ; ) {
    const done = await changes.commit(async (u) => {
      const due = u.tx.selectFrom("invoices").selectAll().where("due_state", "is", null).where("due_at", "<=", u.at);
      const invoices = await u.store.lockRows(due.orderBy("due_at").limit(batch), true).execute();
      for (const invoice of invoices) await fallDue(u, invoice);
      return invoices.length;
    });
    counted += done;
    if (done < batch) return counted;
  }
}
