/** A job that one process at a time may do, handed over when its holder ends or falls silent. */
import { sql } from "kysely";
import type { Store } from "./store.ts";

export interface Lease {
  /** After so long without `hold`, in milliseconds, another process may have had it. Absent: none ever can. */
  readonly ttlMs?: number;
  /** Takes or keeps the lease. @returns false while another process has it */
  hold(): Promise<boolean>;
  /** Gives it up, so that another process need not wait until it runs out. */
  release(): Promise<void>;
}

/**
 * @param name of the job
 * @param holder unique to this process
 * @param ttlMs how long a silent holder keeps it, in milliseconds of the database's clock
 */
export function createLease(store: Store, name: string, holder: string, ttlMs: number): Lease {
  // The embedded file admits one process, which therefore has every lease.
  if (store.kind === "embedded") return { hold: async () => true, release: async () => undefined };
  const until = sql<number>`${store.clock} + ${sql.lit(ttlMs)}`;
  return {
    ttlMs,
    hold: async () => {
      const held = await store.db
        .insertInto("leases")
        .values({ name, holder, until })
        .onConflict((c) =>
          c
            .column("name")
            .doUpdateSet({ holder, until })
            .where((eb) => eb.or([eb("leases.holder", "=", holder), eb("leases.until", "<", store.clock)])),
        )
        .returning("holder")
        .executeTakeFirst();
      return held !== undefined;
    },
    release: async () => void (await store.db.deleteFrom("leases").where("name", "=", name).where("holder", "=", holder).execute()),
  };
}
