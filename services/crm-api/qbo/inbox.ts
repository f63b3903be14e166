/**
 * Works off the webhook events that were received, and other reasons to look at an object: it is read as it is now, whatever
 * the event said of it.
 */
import type { Logger } from "../../shared/log.ts";
import { newId } from "../crm/ids.ts";
import type { Changes } from "../crm/unit.ts";
import type { Db } from "../store/store.ts";
import type { QboConnection, QboInboxTable } from "../store/tables.ts";
import { withOthersTried } from "./alone.ts";
import { applyDeletion, applyEntity } from "./apply.ts";
import type { QboClient } from "./client.ts";
import type { EntityName } from "./entities.ts";
import { faultCodes, isRefusal, QboFault, QboUnreachable } from "./errors.ts";
import { inboxRow } from "./inbox-row.ts";
import { readOne } from "./query.ts";

const batch = 50;
/** QuickBooks repeats a delivery for days; a repetition must still be known then. */
const keepMs = 14 * 24 * 60 * 60 * 1000;
const firstRetryMs = 5_000;
const lastRetryMs = 30 * 60_000;

/**
 * Works off a company's events that are due.
 * @returns how many there were
 * @throws QboUnreachable, QboRateLimited or QboNotAuthorised, which may concern all events; those stay as they are, but for
 * one whose object got an answer that cannot be used, or none while others do: it is put off, or it would hold up the others
 * for as long as it does
 */
export async function workOffInbox(changes: Changes, client: QboClient, company: QboConnection, log: Logger): Promise<number> {
  const { db } = changes.store;
  const now = changes.clock.now();
  await endOldWaits(db, company.realm_id, now);
  const events = await db
    .selectFrom("qbo_inbox")
    .selectAll()
    .where("realm_id", "=", company.realm_id)
    .where("processed_at", "is", null)
    .where("next_attempt_at", "<=", now)
    .orderBy("next_attempt_at")
    .orderBy("received_at")
    .limit(batch)
    .execute();
  // Several events about one object need one look at it.
  const objects = Map.groupBy(events, (e) => `${e.entity}:${e.entity_id}`);
  for (const same of objects.values()) await workOff(changes, client, company, same, log);
  return events.length;
}

/** None is put off for so long: the clock was set back since, and that time may be far away. */
async function endOldWaits(db: Db, realm: string, now: number): Promise<void> {
  await db.updateTable("qbo_inbox").set({ next_attempt_at: now }).where("realm_id", "=", realm).where("processed_at", "is", null).where("next_attempt_at", ">", now + lastRetryMs).execute();
}

/**
 * Looks at an object that seems to be gone, because nothing brings back what was taken for deleted: now or, when no usable
 * answer comes, with the events.
 * @throws as `workOffInbox`, unless there was an answer
 */
export async function lookAgain(changes: Changes, client: QboClient, company: QboConnection, entity: EntityName, id: string, log: Logger): Promise<void> {
  const now = changes.clock.now();
  const event = inboxRow({ id: newId(now), realm_id: company.realm_id, entity, entity_id: id, operation: "read", received_at: now });
  await changes.store.db.insertInto("qbo_inbox").values(event).execute();
  try {
    await workOff(changes, client, company, [event], log);
  } catch (error) {
    if (!wasAnswered(error)) throw error;
  }
}

async function workOff(changes: Changes, client: QboClient, company: QboConnection, events: readonly QboInboxTable[], log: Logger): Promise<void> {
  const [first] = events;
  if (first === undefined) return;
  const ids = events.map((e) => e.id);
  try {
    const row = await current(client, company, first.entity, first.entity_id);
    await changes.commit(async (u) => {
      if (row === undefined) await applyDeletion(u, company, first.entity, first.entity_id);
      else await applyEntity(u, company, first.entity, row);
      await u.tx.updateTable("qbo_inbox").set({ processed_at: u.at, problem: null }).where("id", "in", ids).execute();
    });
  } catch (failure) {
    const error = await withOthersTried(client, company.realm_id, failure);
    if (!concernsOneEvent(error) && !wasAnswered(error)) throw error;
    const attempts = Math.max(...events.map((e) => e.attempts)) + 1;
    const retryAt = changes.clock.now() + Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(attempts, 16));
    await changes.store.db.updateTable("qbo_inbox").set({ attempts, next_attempt_at: retryAt, problem: error.message.slice(0, 500) }).where("id", "in", ids).execute();
    log.error({ err: error, realm: company.realm_id, entity: first.entity, entity_id: first.entity_id, attempts }, "cannot work off a webhook event; it will be tried again");
    if (!concernsOneEvent(error)) throw error;
  }
}

/** Such as a 5xx: all of QuickBooks may be down, or this one object cannot be read. */
export const wasAnswered = (error: unknown): error is QboUnreachable => error instanceof QboUnreachable && error.wasAnswered;

const concernsOneEvent = (error: unknown): error is Error =>
  isRefusal(error) || (error instanceof QboUnreachable && error.concernsOneRequest);

/** @returns undefined when the object is gone */
async function current(client: QboClient, company: QboConnection, entity: EntityName, id: string): Promise<unknown> {
  try {
    return await readOne(client, company.realm_id, entity, id);
  } catch (error) {
    if (error instanceof QboFault && error.code === faultCodes.notFound) return undefined;
    throw error;
  }
}

/** Deletes events that nobody repeats any more, worked off or not: the synchronisation has brought what they announced. */
export async function forgetOldEvents(changes: Changes): Promise<void> {
  await changes.store.db.deleteFrom("qbo_inbox").where("received_at", "<", changes.clock.now() - keepMs).execute();
}
