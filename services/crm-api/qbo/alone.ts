/** Tells an object that QuickBooks never answers for from a QuickBooks that answers nothing. */
import type { QboClient } from "./client.ts";
import { QboFault, QboUnreachable } from "./errors.ts";

/**
 * After a call without any answer, asks for something that concerns no object: the company itself.
 * @returns the error, marked when that was answered; any other error as it is, without asking
 * @throws QboRateLimited or QboNotAuthorised of that question
 */
export async function withOthersTried(client: QboClient, realm: string, error: unknown): Promise<unknown> {
  if (!(error instanceof QboUnreachable) || error.wasAnswered) return error;
  try {
    await client.call(realm, { operation: "companyinfo", path: `companyinfo/${encodeURIComponent(realm)}` });
  } catch (other) {
    if (other instanceof QboUnreachable) return error;
    if (!(other instanceof QboFault)) throw other;
  }
  return new QboUnreachable(error.message, { othersAnswered: true, cause: error.cause });
}
