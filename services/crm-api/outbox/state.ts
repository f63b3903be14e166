/** How much waits in the outbox. */
import { sql } from "kysely";
import type { Db } from "../store/store.ts";

export interface OutboxState {
  /** Events that Kafka has not acknowledged. */
  readonly depth: number;
  /** When the oldest of them was written, in milliseconds since 1970. */
  readonly oldestAt: number | undefined;
}

export async function outboxState(db: Db): Promise<OutboxState> {
  const row = await db
    .selectFrom("outbox")
    .select((eb) => [eb.fn.countAll<number>().as("depth"), eb.fn.min(sql.ref<number>("created_at")).as("oldest")])
    .where("sent_at", "is", null)
    .executeTakeFirstOrThrow();
  return { depth: row.depth, oldestAt: row.oldest ?? undefined };
}
