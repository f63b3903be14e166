/** Tells an object that QuickBooks has no usable answer for from a QuickBooks that is down. */
import type { QboClient } from "./client.ts";
import { QboFault, QboUnreachable } from "./errors.ts";

/**
 * After a call without an answer, or with a 5xx, asks for something that concerns no object: the company itself.
 * @returns the error, marked when that was answered; any other error as it is, without asking
 * @throws QboRateLimited or QboNotAuthorised of that question
 */
export async function withOthersTried(client: QboClient, realm: string, error: unknown): Promise<unknown> {
  if (!(error instanceof QboUnreachable) || error.othersAnswered || error.concernsOneRequest) return error;
  try {
    await client.call(realm, { operation: "companyinfo", path: `companyinfo/${encodeURIComponent(realm)}` });
  } catch (other) {
    if (other instanceof QboUnreachable) return error;
    if (!(other instanceof QboFault)) throw other;
  }
  return new QboUnreachable(error.message, { ...(error.status === undefined ? {} : { status: error.status }), othersAnswered: true, cause: error.cause });
}
