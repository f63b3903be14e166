/** Answers requests: the stream, its history, health and metrics. Knows neither ports nor Kafka. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import { methodLabel } from "../shared/metrics.ts";
import { originForm } from "../shared/request-target.ts";
import { errorAnswer, headText, type Admission, type Answer, type Headers } from "./admission.ts";
import { HistoryAnswers, type HistoryLimits } from "./history-answers.ts";
import type { Hub } from "./hub.ts";
import type { EventsMetrics } from "./metrics.ts";
import { formatPosition } from "./position.ts";
import type { TrustedProxies } from "./rate-limit.ts";
import { openingFrame } from "./sse.ts";
import { lastEventIdOf, type StreamHead } from "./stream-head.ts";
import { BodyTransport, SocketTransport, type Transport } from "./transport.ts";

export interface AppOptions {
  readonly hub: Hub;
  readonly metrics: EventsMetrics;
  readonly admission: Admission;
  readonly proxies: TrustedProxies;
  /** Most events that one answer holds. */
  readonly historyEvents: number;
  /** Of all answers of history together. */
  readonly historyLimits?: HistoryLimits;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;
/** A whole text, or pieces that are sent one after the other. */
type AnyAnswer = Answer<string | readonly Buffer[]>;

/** A request without what only its protocol knows. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: string | undefined;
  readonly origin: string | undefined;
  readonly address: string;
}

const streamPath = "/crm-events";
const historyPath = "/crm-events/history";
const paths = new Set([streamPath, historyPath, "/healthz", "/metrics"]);
const allow = "GET, HEAD, OPTIONS";

/** A client that already has its stream has nothing more to say. */
const maxStrayBytes = 16_384;
/** A client that was refused and does not end its side is not waited for longer. */
const lingerMs = 5_000;

const one = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header[0] : header);

export class App {
  readonly #options: AppOptions;
  /** Connections whose response is a stream. */
  readonly #streaming = new WeakSet<object>();
  readonly #histories: HistoryAnswers;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#histories = new HistoryAnswers(options.metrics, options.historyLimits);
  }

  /** Answers a request of any HTTP version; never throws. */
  handle(request: Request, response: Response): void {
    // Requests that are pipelined behind a stream would wait in memory for ever.
    if (request.httpVersionMajor === 1 && this.#streaming.has(request.socket)) return void request.socket.destroy();
    // After an error of the connection nobody is left to be answered.
    response.on("error", () => undefined);
    const asked = this.#asked(request);
    if (asked.path === streamPath && asked.method === "GET") return this.#stream(request, response, asked);
    this.#answer(asked).then(
      (answer) => this.#send(response, asked, answer),
      (error: unknown) => this.#send(response, asked, errorAnswer(500, error instanceof Error ? error.message : "failed")),
    );
  }

  /** Opens a stream on a connection whose request was read by `parseStreamHead`. */
  handleStream(socket: Socket, head: StreamHead): void {
    const address = this.#options.proxies.clientOf(socket.remoteAddress ?? "", head.forwardedFor);
    const refusal = this.#refuse(address, head.origin);
    socket.on("error", destroy);
    if (refusal !== undefined) {
      this.#count(streamPath, "GET", refusal.status);
      endWithin(socket, lingerMs);
      return void socket.end(headText(refusal.status, { ...refusal.headers, "Content-Length": `${Buffer.byteLength(refusal.body)}`, Connection: "close" }) + refusal.body);
    }
    this.#count(streamPath, "GET", 200);
    socket.write(headText(200, { ...this.#options.admission.streamHeaders(head.origin), "Transfer-Encoding": "chunked", Connection: "close" }));
    this.#take(socket);
    this.#open(new SocketTransport(socket), head.lastEventId);
  }

  #asked(request: Request): Asked {
    const [path = "", ...query] = originForm(request.url ?? "").split("?");
    return {
      method: request.method ?? "",
      path,
      query: query.length > 0 ? query.join("?") : undefined,
      origin: one(request.headers.origin),
      address: this.#options.proxies.clientOf(request.socket?.remoteAddress ?? "", one(request.headers["x-forwarded-for"])),
    };
  }

  #stream(request: Request, response: Response, asked: Asked): void {
    const refusal = this.#refuse(asked.address, asked.origin);
    if (refusal !== undefined) return this.#send(response, asked, refusal);
    this.#count(streamPath, "GET", 200);
    const headers = this.#options.admission.streamHeaders(asked.origin);
    const lastEventId = lastEventIdOf(one(request.headers["last-event-id"]), asked.query);
    if ("stream" in response) {
      response.writeHead(200, headers);
      return this.#open(new BodyTransport(response.stream), lastEventId);
    }
    const { socket } = request;
    this.#streaming.add(socket);
    socket.setTimeout(0);
    if (request.httpVersion !== "1.1") {
      response.writeHead(200, headers).flushHeaders();
      return this.#open(new BodyTransport(response), lastEventId);
    }
    response.writeHead(200, { ...headers, "Transfer-Encoding": "chunked", Connection: "close" }).flushHeaders();
    this.#take(socket);
    this.#open(new SocketTransport(socket), lastEventId);
  }

  /** From here on the connection only carries the stream; a client that ends its side is gone. */
  #take(socket: Socket): void {
    socket.setTimeout(0).setKeepAlive(true, 60_000);
    socket.on("end", destroy).on("data", destroyWhenTalkative);
  }

  #open(transport: Transport, lastEventId: string | undefined): void {
    const { hub } = this.#options;
    if (!hub.draining) return void hub.open(transport, lastEventId);
    // Not an error, which would make an EventSource give up: it is told when to come back.
    transport.write(openingFrame(hub.retry()));
    transport.end();
  }

  #refuse(address: string, origin: string | undefined): Answer | undefined {
    const { admission, hub, metrics } = this.#options;
    if (hub.draining) return undefined;
    const limited = admission.limited(address, origin);
    if (limited !== undefined) metrics.dropped.inc({ reason: "rate" });
    return limited ?? admission.full(hub.clients, origin);
  }

  async #answer(asked: Asked): Promise<AnyAnswer> {
    const { admission } = this.#options;
    const { method, origin, path } = asked;
    if (!paths.has(path)) return errorAnswer(404, `no such path; there are ${[...paths].join(", ")}`, admission.cors(origin));
    if (method === "OPTIONS") return { status: 204, headers: admission.preflight(origin, allow), body: "" };
    if (method !== "GET" && method !== "HEAD") return errorAnswer(405, `${path} takes ${allow}`, { ...admission.cors(origin), Allow: allow });
    if (path === streamPath) return { status: 200, headers: admission.streamHeaders(origin), body: "" };
    if (path === historyPath) return admission.limited(asked.address, origin) ?? this.#history(asked);
    if (path === "/healthz") return { status: 200, headers: { "Content-Type": "application/json" }, body: `${JSON.stringify({ status: "ok" })}\n` };
    const { registry } = this.#options.metrics;
    return { status: 200, headers: { "Content-Type": registry.contentType }, body: await registry.metrics() };
  }

  #history(asked: Asked): AnyAnswer {
    const { admission, historyEvents, hub } = this.#options;
    const headers: Headers = { ...admission.cors(asked.origin), "Content-Type": "application/json", "Cache-Control": "no-store" };
    const text = new URLSearchParams(asked.query).get("n") ?? "100";
    const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (count < 1 || count > historyEvents) return errorAnswer(400, `n: a whole number from 1 to ${historyEvents} is expected`, headers);
    const { history } = hub;
    if (history === undefined) return errorAnswer(503, "this replica has not reached Kafka yet", { ...headers, "Retry-After": "2" });
    const events = history.newest(count).map(({ json }) => json);
    const comma = Buffer.from(",");
    const list = events.flatMap((json, i) => (i === 0 ? [json] : [comma, json]));
    const head = `{"last_event_id":${JSON.stringify(formatPosition(history.position))},"events":[`;
    return { status: 200, headers, body: [Buffer.from(head), ...list, Buffer.from("]}\n")] };
  }

  #send(response: Response, asked: Asked, answer: AnyAnswer): void {
    const { body, status } = answer;
    const bytes = typeof body === "string" ? Buffer.byteLength(body) : body.reduce((sum, piece) => sum + piece.length, 0);
    const withBody = asked.method !== "HEAD";
    if (typeof body !== "string" && withBody && !this.#histories.fits(bytes)) {
      const headers = { ...this.#options.admission.cors(asked.origin), "Retry-After": "2" };
      return this.#send(response, asked, errorAnswer(503, "too much history is being read from this replica", headers));
    }
    this.#count(asked.path, asked.method, status);
    // A stream's length is not known, so HEAD does not tell one either.
    const lengthless = status === 204 || answer.headers["Content-Type"] === "text/event-stream";
    const length = lengthless ? {} : { "Content-Length": `${bytes}` };
    const closing = this.#options.hub.draining && !("stream" in response) ? { Connection: "close" } : {};
    // One signature for both kinds of response: headers, then the whole body, except for HEAD.
    const either = response as ServerResponse;
    either.writeHead(status, { ...answer.headers, ...length, ...closing });
    if (!withBody || typeof body === "string") either.end(withBody ? body : undefined);
    else this.#histories.send("stream" in response ? response.stream : response, body, bytes);
  }

  #count(path: string, method: string, status: number): void {
    this.#options.metrics.requests.inc({ path: paths.has(path) ? path : "other", method: methodLabel(method), status: `${status}` });
  }
}

function destroy(this: Socket): void {
  this.destroy();
}

/** Whatever the client goes on to send: its activity must not keep it here. */
function endWithin(socket: Socket, ms: number): void {
  const end = setTimeout(() => socket.destroy(), ms).unref();
  socket.once("close", () => clearTimeout(end));
}

function destroyWhenTalkative(this: Socket): void {
  if (this.bytesRead > maxStrayBytes) this.destroy();
}

