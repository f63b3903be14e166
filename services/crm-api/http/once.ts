/** The header `Idempotency-Key`: a caller that lost an answer repeats its request with the same key, and nothing is done twice. */
import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Refusal } from "../crm/errors.ts";
import { once, type Claim } from "../crm/once.ts";
import type { Changes, Unit } from "../crm/unit.ts";

const header = "idempotency-key";

/** @returns undefined without the header. @throws Refusal 400 for one that is no key */
function claimOf({ headers, method, url, body }: FastifyRequest): Claim | undefined {
  const key = headers[header];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || !/^[\x20-\x7e]{1,255}$/.test(key)) throw new Refusal(400, "invalid", "must be 1 to 255 printable characters of ASCII", header);
  // In one order: clients do not always write a body's fields in the same one.
  const fields = Object.entries((body ?? {}) as object).sort(([a], [b]) => (a < b ? -1 : 1));
  return { key, request: createHash("sha256").update(JSON.stringify([method, url.split("?", 1)[0], fields])).digest("hex") };
}

/**
 * Makes a change and answers with what it made; with a key that was answered before, changes nothing and answers the same.
 * @param request its body has been checked
 * @param status of success
 * @param work makes the change, in one transaction, and gives the answer's body
 * @throws Refusal 400 or 422 for the key; what `work` throws
 */
export async function answerOnce(changes: Changes, request: FastifyRequest, reply: FastifyReply, status: number, work: (u: Unit) => Promise<object>): Promise<FastifyReply> {
  const claim = claimOf(request);
  if (claim === undefined) return reply.code(status).send(await changes.commit(work));
  const answer = await changes.commit((u) => once(u, claim, async () => ({ status, body: JSON.stringify(await work(u)) })));
  if (answer.replayed) void reply.header("idempotency-replayed", "true");
  return reply.code(answer.status).type("application/json; charset=utf-8").send(answer.body);
}
