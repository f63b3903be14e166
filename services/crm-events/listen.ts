/**
 * The front door: HTTP/1.1 and HTTP/2 on one port.
 *
 * With TLS the protocol is agreed by ALPN. Without it, HTTP/2 is spoken to a client that begins with its preface (prior
 * knowledge). Plain requests for the stream are read here and never reach Node's HTTP server.
 */
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { App } from "./app.ts";
import { parseStreamHead } from "./stream-head.ts";

export interface FrontOptions {
  readonly app: App;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Certificate chain and key in PEM; undefined: no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** An HTTP/2 session that carries no stream for so long is closed. @default 15000 */
  readonly unusedHttp2Ms?: number;
}

/** A connection that has not sent a byte by then is closed. */
const firstByteMs = 10_000;
/** A `Last-Event-ID` of 64 KiB is nonsense, but it gets its answer. */
const maxHeaderBytes = 80 * 1024;
/** What a connection takes in Node's HTTP server beside the bytes of its head. */
const waitingBytes = 16 * 1024;
/** Of all connections that wait for a request or for its rest: about 1500 of the usual ones, 250 with the longest heads. */
const allWaitingBytes = 24 * 1024 * 1024;
/** HTTP/2 sessions without a stream. */
const maxUnused = 512;
/** Streams are written to far more often than that. */
const idleHttp2Ms = 120_000;
const preface = Buffer.from("PRI * HTTP/2.0\r\n");

export class Front {
  readonly #options: FrontOptions;
  readonly #server: Server;
  readonly #http: HttpServer;
  readonly #http2: Http2Server;
  /** Connections that have not sent anything yet. */
  readonly #silent = new Set<Socket>();
  /** Connections that are between two requests or in the middle of a head, and what each takes; oldest first. */
  readonly #waiting = new Map<Socket, number>();
  #waitingBytes = 0;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Those without a stream, oldest first. */
  readonly #unused = new Set<ServerHttp2Session>();

  constructor(options: FrontOptions) {
    this.#options = options;
    const { app, tls } = options;
    const times = { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 65_000, connectionsCheckingInterval: 2_000 };
    this.#http = createHttpServer({ maxHeaderSize: maxHeaderBytes, ...times }, (request, response) => {
      this.#forget(request.socket);
      response.once("close", () => this.#wait(request.socket, 0));
      app.handle(request, response);
    });
    this.#http2 = createHttp2Server({ settings: { maxConcurrentStreams: 256, maxHeaderListSize: maxHeaderBytes } }, (request, response) => app.handle(request, response));
    this.#http2.on("session", (session) => this.#keep(session));
    const sockets = { allowHalfOpen: true, noDelay: true };
    this.#server =
      tls === undefined
        ? createTcpServer(sockets, (socket) => this.#sniff(socket))
        : createTlsServer({ ...sockets, ...tls, ALPNProtocols: ["h2", "http/1.1"], minVersion: "TLSv1.2", handshakeTimeout: 10_000 }, (socket) => this.#accept(socket));
    // A failed handshake is the client's affair.
    this.#server.on("tlsClientError", (_error: Error, socket: TLSSocket) => socket.destroy());
  }

  /** Starts to accept connections. @returns where */
  async listen(): Promise<AddressInfo> {
    const { host, port } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject).listen({ host, port, backlog: 4_096 }, resolve);
    await promise;
    // Its connections come from here, yet it must watch their time-outs like a server that listens by itself.
    this.#http.emit("listening");
    return this.#server.address() as AddressInfo;
  }

  /** Stops to accept connections; those that are open go on. */
  stopAccepting(): void {
    this.#server.close();
    for (const socket of this.#silent) socket.destroy();
    this.#http.closeIdleConnections();
    for (const session of this.#sessions) session.close();
  }

  /** Ends what is still open. */
  destroy(): void {
    this.#http.closeAllConnections();
    this.#http.close();
    for (const session of this.#sessions) session.destroy();
  }

  /** Takes a renewed certificate for new connections. @throws Error when certificate and key do not fit */
  renew(tls: { readonly cert: string; readonly key: string }): void {
    if ("setSecureContext" in this.#server) (this.#server as ReturnType<typeof createTlsServer>).setSecureContext({ ...tls, minVersion: "TLSv1.2" });
  }

  #accept(socket: TLSSocket): void {
    if (socket.alpnProtocol === "h2") this.#http2.emit("connection", socket);
    else this.#sniff(socket);
  }

  /** Looks at the first bytes to learn who shall answer. */
  #sniff(socket: Socket): void {
    this.#silent.add(socket);
    const settled = () => {
      this.#silent.delete(socket);
      socket.off("data", onData).off("timeout", gone).off("error", gone).off("end", gone).off("close", settled).setTimeout(0);
    };
    const gone = () => socket.destroy();
    const onData = (bytes: Buffer) => {
      settled();
      this.#dispatch(socket, bytes);
    };
    socket.setTimeout(firstByteMs).on("data", onData).on("timeout", gone).on("error", gone).on("end", gone).on("close", settled);
  }

  #dispatch(socket: Socket, bytes: Buffer): void {
    const head = parseStreamHead(bytes);
    if (head !== undefined) return this.#options.app.handleStream(socket, head);
    const isHttp2 = bytes.subarray(0, preface.length).equals(preface);
    socket.pause();
    socket.unshift(bytes);
    (isHttp2 ? this.#http2 : this.#http).emit("connection", socket);
    if (isHttp2) return;
    // Counted before the HTTP server reads them, which then says when a request is complete.
    socket.prependListener("data", ({ length }: Buffer) => this.#wait(socket, length)).once("close", () => this.#forget(socket));
    socket.resume();
  }

  /**
   * The limits of admission are for complete requests, but anybody can begin many: those that wait longest give way.
   * By bytes, not by number, so that many honest clients at once are not cut while their short heads come in.
   * What is more than a head can have belongs to a body, which nobody keeps.
   */
  #wait(socket: Socket, bytes: number): void {
    if (socket.destroyed) return;
    const before = this.#waiting.get(socket) ?? 0;
    const now = Math.min((before || waitingBytes) + bytes, waitingBytes + maxHeaderBytes);
    this.#waiting.set(socket, now);
    this.#waitingBytes += now - before;
    for (const [oldest] of this.#waiting) {
      if (this.#waitingBytes <= allWaitingBytes) break;
      this.#forget(oldest);
      oldest.destroy();
    }
  }

  #forget(socket: Socket): void {
    this.#waitingBytes -= this.#waiting.get(socket) ?? 0;
    this.#waiting.delete(socket);
  }

  #keep(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.setTimeout(idleHttp2Ms, () => session.destroy());
    this.#endUnused(session, this.#options.unusedHttp2Ms ?? 15_000);
    session.on("error", () => undefined).once("close", () => {
      this.#sessions.delete(session);
      this.#unused.delete(session);
    });
  }

  /** Pings alone do not keep a session; and it is not ended in order, which would wait for a client that keeps its side open. */
  #endUnused(session: ServerHttp2Session, ms: number): void {
    let streams = 0;
    const unused = setTimeout(() => {
      if (streams === 0) session.destroy();
    }, ms).unref();
    const wait = () => {
      if (session.destroyed) return;
      unused.refresh();
      this.#unused.add(session);
      const [oldest] = this.#unused;
      if (this.#unused.size > maxUnused && this.#unused.delete(oldest!)) oldest!.destroy();
    };
    wait();
    session.on("stream", (stream) => {
      streams++;
      this.#unused.delete(session);
      stream.once("close", () => {
        streams--;
        if (streams === 0) wait();
      });
    });
  }
}
