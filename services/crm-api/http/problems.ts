/** Turns whatever goes wrong into one JSON answer: what is wrong, with which field. Causes stay in the log. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import { answerUnserved } from "../../shared/http.ts";
import { Refusal } from "../crm/errors.ts";

/** Body of every answer of 400 and above. */
export interface Problem {
  /** Stable and short, for programs. */
  readonly error: string;
  /** For people. */
  readonly message: string;
  /** The input that has to change. */
  readonly field?: string | undefined;
  /** All of them, when there are several. */
  readonly issues?: readonly { readonly field: string; readonly message: string }[] | undefined;
}

type Place = "body" | "query" | "path";

/** Input that its schema refuses. */
class Invalid extends Refusal {
  readonly issues: readonly { field: string; message: string }[];

  constructor(issues: readonly { field: string; message: string }[]) {
    const [first] = issues;
    super(400, "invalid", `${first?.field ?? "input"}: ${first?.message ?? "is wrong"}`, first?.field);
    this.issues = issues;
  }
}

function describe(issue: z.core.$ZodIssue, place: Place): { field: string; message: string }[] {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => ({ field: key.slice(0, 64), message: "is not known here" }));
  const field = issue.path.join(".") || place;
  const missing = issue.code === "invalid_type" && issue.input === undefined;
  return [{ field, message: missing ? "is required" : issue.message }];
}

/**
 * Reads input by its schema.
 * @throws Refusal 400 that names every field that is wrong
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, place: Place): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw new Invalid(result.error.issues.flatMap((issue) => describe(issue, place)));
}

const plain: Readonly<Record<string, [code: string, message: string, field: string]>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["unsupported_media_type", "send the body as application/json", "content-type"],
  FST_ERR_BAD_URL: ["invalid", "the path is not properly percent-encoded", "path"],
};

/** SQLite's words for a disk that is full or fails. */
const diskTrouble = new Set<unknown>([10, 13]);

/**
 * The database cannot be reached or takes no more: not this request's fault, and worth repeating. Beside the network's codes
 * those of PostgreSQL: it shuts down or lacks something, a statement or an idle transaction took too long, a lock or a
 * serialisation was not to be had, it became a read-only standby, its password is being swapped.
 */
const unavailable = /^(ECONN|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EPIPE|EAI_|57P0|57014|53|08|55P03|25P03|25006|40001|40P01|28P01)/;
/** The driver's own words, which have no code. */
const unavailableWords = /Connection terminated|timeout exceeded when trying to connect|is not queryable|Query read timeout/;

export function problemOf(error: FastifyError | Refusal | Error): { status: number; problem: Problem } {
  if (error instanceof Invalid) return { status: 400, problem: { error: error.code, message: error.message, field: error.field, issues: error.issues.length > 1 ? error.issues : undefined } };
  if (error instanceof Refusal) return { status: error.status, problem: { error: error.code, message: error.field === undefined ? error.message : `${error.field}: ${error.message}`, field: error.field } };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const status = "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : 500;
  const known = plain[code];
  if (known !== undefined) return { status, problem: { error: known[0], message: known[1], field: known[2] } };
  if (status >= 400 && status < 500) return { status, problem: { error: "invalid", message: error.message } };
  const disk = "errcode" in error && typeof error.errcode === "number" && diskTrouble.has(error.errcode & 0xff);
  if (disk || unavailable.test(code) || unavailableWords.test(error.message)) return { status: 503, problem: { error: "unavailable", message: "the store cannot be used now; try again" } };
  return { status: 500, problem: { error: "internal", message: "something went wrong here; the log has the details" } };
}

/** Makes every refusal and failure of an app answer with a `Problem`. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply) => {
    const { status, problem } = problemOf(error);
    if (status >= 500) request.log.error({ err: error, method: request.method, route: request.routeOptions.url }, "request failed");
    return reply.code(status).send(problem);
  });
  app.server.on("checkExpectation", (_request, response: ServerResponse) => {
    const problem: Problem = { error: "invalid", message: "nothing but 100-continue can be expected here" };
    const body = JSON.stringify(problem);
    response.writeHead(417, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(body), connection: "close" }).end(body);
  });
  answerUnserved(app, (_path, allowed): Problem =>
    allowed.length > 0 ? { error: "method_not_allowed", message: `this path takes ${allowed.join(", ")}` } : { error: "not_found", message: "there is nothing at this path" },
  );
}

/** Answers bytes that are no request of HTTP, or too long a head of one, and ends the connection. */
export function answerNonsense(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, problem]: [string, Problem] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", { error: "too_large", message: "address and headers are too long" }]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", { error: "timeout", message: "the request came too slowly" }]
        : ["400 Bad Request", { error: "invalid", message: "this is no well-formed request of HTTP/1.1" }];
  const body = JSON.stringify(problem);
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}
