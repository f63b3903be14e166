/**
 * The unsent events in the store. Those of a partition that takes nothing are set aside, so that they are not read over and
 * over on the way to the others. Every reading begins with the oldest: in PostgreSQL a lower number may appear after a higher
 * one, but never after a higher one of the same key.
 */
import type { Db } from "../store/store.ts";
import type { OutboxEvent } from "./publisher.ts";

/** `held_partition` of events that are not set aside. */
const free = -1;
/** Events that are put back in one statement. */
const chunk = 5_000;

export class OutboxQueue {
  readonly #db: Db;
  readonly #limits: { readonly batchEvents: number; readonly batchBytes: number };

  /** @param limits events and bytes of one batch */
  constructor(db: Db, limits: { readonly batchEvents: number; readonly batchBytes: number }) {
    this.#db = db;
    this.#limits = limits;
  }

  /** The next batch of a partition that is set aside, or of all others. */
  async next(partition = free): Promise<OutboxEvent[]> {
    const rows = await this.#db
      .selectFrom("outbox")
      .select(["seq", "event_id", "type", "key", "value"])
      .where("sent_at", "is", null)
      // As a range, and in the order: with an equality PostgreSQL may read the whole table in the order of its primary key.
      .where("held_partition", ">=", partition)
      .where("held_partition", "<=", partition)
      .orderBy("held_partition")
      .orderBy("seq")
      .limit(this.#limits.batchEvents)
      .execute();
    let bytes = 0;
    const tooMany = rows.findIndex((row) => (bytes += sizeOf(row)) > this.#limits.batchBytes);
    // An event that is too large on its own goes alone.
    return tooMany === -1 ? rows : rows.slice(0, Math.max(1, tooMany));
  }

  async setAside(events: readonly OutboxEvent[], partition: number): Promise<void> {
    await this.#db.updateTable("outbox").set({ held_partition: partition }).where("seq", "in", seqs(events)).execute();
  }

  async markSent(events: readonly OutboxEvent[], at: number): Promise<void> {
    await this.#db.updateTable("outbox").set({ sent_at: at }).where("seq", "in", seqs(events)).execute();
  }

  /** Ends all setting aside; nobody may be sending meanwhile. */
  async putBack(): Promise<void> {
    const aside = this.#db.selectFrom("outbox").select("seq").where("sent_at", "is", null).where("held_partition", ">", free).limit(chunk);
    for (let more = true; more; ) {
      const { numUpdatedRows } = await this.#db.updateTable("outbox").set({ held_partition: free }).where("seq", "in", aside).executeTakeFirstOrThrow();
      more = numUpdatedRows === BigInt(chunk);
    }
  }
}

const seqs = (events: readonly OutboxEvent[]): number[] => events.map((e) => e.seq);

export const sizeOf = (e: OutboxEvent): number => Buffer.byteLength(e.key) + Buffer.byteLength(e.value);
