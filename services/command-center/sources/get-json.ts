/** Reads JSON from another service within a time and a size, and says in words what went wrong. */
import type { z } from "zod";
import { mayHoldHalfCharacter } from "../../shared/half-character.ts";

/** Most bytes of an answer: its values take several times as much memory. */
const maxBytes = 4 * 1024 * 1024;

/** A source did not give what it should; the message is for people. */
export class SourceProblem extends Error {
  override readonly name = "SourceProblem";
}

/** An answer has more than `maxBytes`. */
export class AnswerTooLarge extends SourceProblem {
  constructor() {
    super("answers more than can be read");
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "cut the connection",
  UND_ERR_SOCKET: "cut the connection",
  ENOTFOUND: "is not known by that name",
  EAI_AGAIN: "is not known by that name",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
  ETIMEDOUT: "does not answer",
  UND_ERR_CONNECT_TIMEOUT: "does not answer",
  EPROTO: "does not speak TLS",
  CERT_HAS_EXPIRED: "has a certificate that has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "has a certificate for another name",
  CERT_SIGNATURE_FAILURE: "has a certificate of an unknown authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "has a certificate of an unknown authority",
  SELF_SIGNED_CERT_IN_CHAIN: "has a certificate of an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT: "has a certificate of an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "has a certificate of an unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "has a certificate of an unknown authority",
};

/** @returns why a request failed, as the end of a sentence that begins with the source's name */
export function reasonOf(error: unknown): string {
  if (error instanceof SourceProblem) return error.message;
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError")) return "does not answer in time";
  // fetch wraps what went wrong, a plain request does not; several addresses of a name fail together.
  const cause = error instanceof AggregateError ? error.errors.at(-1) : error instanceof Error ? (error.cause ?? error) : undefined;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return reasons[code] ?? "cannot be read";
}

/** What is shown is sent on as JSON, which strict readers refuse as a whole for one half of a character. */
const wellFormed = (_key: string, value: unknown): unknown => (typeof value === "string" ? value.toWellFormed() : value);

/**
 * @param schema what the answer must look like; its texts have whole characters only
 * @throws SourceProblem or a fetch error; `reasonOf` puts either into words
 */
export async function getJson<S extends z.ZodType>(url: string, schema: S, timeoutMs: number): Promise<z.output<S>> {
  const response = await fetch(url, { headers: { accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
  const text = response.body === null ? "" : new TextDecoder().decode(await bytesOf(response.body));
  if (!response.ok) throw new SourceProblem(`answers ${response.status}`);
  let value: unknown;
  try {
    value = mayHoldHalfCharacter(text) ? JSON.parse(text, wellFormed) : JSON.parse(text);
  } catch {
    throw new SourceProblem("answers something that is not JSON");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new SourceProblem("answers something unexpected");
  return parsed.data;
}

/** The whole of a body. @throws AnswerTooLarge when it has more than `maxBytes` */
export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    // Leaving the loop ends the rest of the body.
    if (bytes > maxBytes) throw new AnswerTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
