/** The ways in which a call to QuickBooks fails. */
import { ZodError } from "zod";
import { oneLine } from "./text.ts";

const maxMessage = 500;

/** No usable answer: the network, a time-out, a 5xx, or something that is not JSON. Worth repeating. */
export class QboUnreachable extends Error {
  override readonly name = "QboUnreachable";
  /** Of the answer, if there was one. */
  readonly status: number | undefined;
  /** There was no usable answer, but one to another request right after. */
  readonly othersAnswered: boolean;

  /** @param options.othersAnswered default: not known */
  constructor(message: string, options: { readonly status?: number; readonly othersAnswered?: boolean; readonly cause?: unknown } = {}) {
    super(oneLine(message, maxMessage), { cause: options.cause });
    this.status = options.status;
    this.othersAnswered = options.othersAnswered ?? false;
  }

  /** QuickBooks answers, if not usably, or not for this request: what is asked for may be put off by itself. */
  get wasAnswered(): boolean {
    return this.status !== undefined || this.othersAnswered;
  }

  /** Something on the way refused this request, and would not refuse another: a 4xx that speaks neither of time nor of limits. */
  get concernsOneRequest(): boolean {
    const { status = 0 } = this;
    return status >= 400 && status < 500 && status !== 408 && status !== 429;
  }
}

/** Too many calls; the pause that QuickBooks asks for has been noted. Worth repeating after it. */
export class QboRateLimited extends Error {
  override readonly name = "QboRateLimited";
}

/** The connection is no longer accepted: a person has to connect the company again. */
export class QboNotAuthorised extends Error {
  override readonly name = "QboNotAuthorised";
}

/** QuickBooks understood and refused; it says so with HTTP 200 as well as with 400. */
export class QboFault extends Error {
  override readonly name = "QboFault";
  /** Intuit's error code, such as `5010` for a stale SyncToken. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(oneLine(`QuickBooks refused the request (${code}): ${message}`, maxMessage));
    this.code = code;
  }
}

/** QuickBooks answered, and no: by a refusal, or with something else than was asked for. */
export const isRefusal = (error: unknown): error is QboFault | ZodError => error instanceof QboFault || error instanceof ZodError;

/** Codes that callers treat apart. Source: Intuit's "Error codes" page. */
export const faultCodes = { staleSyncToken: "5010", notFound: "610", duplicateName: "6240" } as const;
