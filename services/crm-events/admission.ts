/** Whether a stream may be opened, and with which headers; the same for every protocol. */
import { STATUS_CODES } from "node:http";
import type { RateLimit } from "./rate-limit.ts";

export type Headers = Record<string, string>;

/** An answer that is complete. */
export interface Answer<Body = string> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface AdmissionOptions {
  readonly limit: RateLimit;
  readonly maxClients: number;
  /** Origins that pages may come from; `*` for any. */
  readonly corsOrigins: readonly string[];
}

const streamHeaders: Headers = {
  "Content-Type": "text/event-stream",
  // Neither stored nor compressed nor held back by anything on the way.
  "Cache-Control": "no-cache, no-transform",
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
};

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Headers of every answer to a page's request. */
  cors(origin: string | undefined): Headers {
    const { corsOrigins } = this.#options;
    if (corsOrigins.length === 0) return {};
    if (corsOrigins.includes("*")) return { "Access-Control-Allow-Origin": "*" };
    const vary = { Vary: "Origin" };
    return origin !== undefined && corsOrigins.includes(origin) ? { ...vary, "Access-Control-Allow-Origin": origin } : vary;
  }

  /** Answer to an OPTIONS request. @param allow methods, such as `GET, HEAD, OPTIONS` */
  preflight(origin: string | undefined, allow: string): Headers {
    const cors = this.cors(origin);
    if (!("Access-Control-Allow-Origin" in cors)) return { ...cors, Allow: allow };
    return { ...cors, Allow: allow, "Access-Control-Allow-Methods": allow, "Access-Control-Allow-Headers": "Last-Event-ID, Cache-Control", "Access-Control-Max-Age": "600" };
  }

  streamHeaders(origin: string | undefined): Headers {
    return { ...streamHeaders, ...this.cors(origin) };
  }

  /** Counts a request of an address. @returns undefined when it may go on */
  limited(address: string, origin: string | undefined): Answer | undefined {
    const seconds = this.#options.limit.take(address);
    if (seconds === 0) return undefined;
    return errorAnswer(429, `too many connections from ${address}: try again in ${seconds} s`, { ...this.cors(origin), "Retry-After": `${seconds}` });
  }

  /** @param clients streams that are open */
  full(clients: number, origin: string | undefined): Answer | undefined {
    const { maxClients } = this.#options;
    if (clients < maxClients) return undefined;
    return errorAnswer(503, `all ${maxClients} streams of this replica are taken`, { ...this.cors(origin), "Retry-After": "5" });
  }
}

export function errorAnswer(status: number, error: string, headers: Headers = {}): Answer {
  return { status, headers: { ...headers, "Content-Type": "application/json" }, body: `${JSON.stringify({ error })}\n` };
}

/** Head of an HTTP/1.1 response, for a connection that Node's HTTP server does not see. */
export function headText(status: number, headers: Headers): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nDate: ${new Date().toUTCString()}\r\n`;
  for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}
