/**
 * Changes that are made once, however often they are asked for: under a key of the caller's choice the answer is kept, in
 * the transaction of the change, so that a crash leaves both or neither.
 */
import { conflict, Refusal } from "./errors.ts";
import type { Changes, Unit } from "./unit.ts";
import { dayMs } from "./window.ts";

const keepMs = dayMs;
const batch = 500;
const field = "idempotency-key";

/** What a caller asks for, and the key that it has given it. */
export interface Claim {
  readonly key: string;
  /** A hash of all that the caller asks for. */
  readonly request: string;
}

export interface Answer {
  /** Of HTTP; only answers of success are kept. */
  readonly status: number;
  /** JSON. */
  readonly body: string;
}

/**
 * Runs `work`, the only change of its unit, unless the key has an answer; whoever brings the same key meanwhile waits.
 * @returns the answer, and whether it is one of before
 * @throws Refusal 422 when the key was given to another request; what `work` throws, which leaves the key free
 */
export async function once(u: Unit, claim: Claim, work: () => Promise<Answer>): Promise<Answer & { readonly replayed: boolean }> {
  const begun = { key: claim.key, request_hash: claim.request, status: 0, answer: "", created_at: u.at };
  const taken = await u.tx.insertInto("idempotency_keys").values(begun).onConflict((c) => c.column("key").doNothing()).returning("key").executeTakeFirst();
  if (taken === undefined) return { ...(await keptAnswer(u, claim)), replayed: true };
  const { status, body } = await work();
  await u.tx.updateTable("idempotency_keys").set({ status, answer: body }).where("key", "=", claim.key).execute();
  return { status, body, replayed: false };
}

async function keptAnswer(u: Unit, claim: Claim): Promise<Answer> {
  const kept = await u.tx.selectFrom("idempotency_keys").select(["request_hash", "status", "answer"]).where("key", "=", claim.key).executeTakeFirst();
  if (kept === undefined) throw conflict("key_expired", "has just been forgotten after a day: see what became of the request", field);
  if (kept.request_hash !== claim.request) throw new Refusal(422, "key_reused", "was given to another request: every request needs a new one", field);
  return { status: kept.status, body: kept.answer };
}

/** Deletes the answers that are older than a day, a batch at a time; replicas may run it at the same time. */
export async function forgetOldAnswers(changes: Changes): Promise<void> {
  const { db } = changes.store;
  for (;;) {
    const old = db.selectFrom("idempotency_keys").select("key").where("created_at", "<", changes.clock.now() - keepMs).limit(batch);
    const { numDeletedRows } = await db.deleteFrom("idempotency_keys").where("key", "in", old).executeTakeFirstOrThrow();
    if (numDeletedRows < BigInt(batch)) return;
  }
}
