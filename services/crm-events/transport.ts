/** The ways in which a stream's bytes reach its client; what they have in common is that none of them ever waits. */
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { lastChunk, type Frame } from "./sse.ts";

export interface Transport {
  /** Bytes handed over and not yet taken by the kernel. */
  readonly pending: number;
  /** Bytes that the kernel has taken. */
  readonly sent: number;
  /** @returns false when the client should be given time to read */
  write(frame: Frame): boolean;
  /** Ends the response in order, once what is pending is out. */
  end(): void;
  /** Ends the connection (over HTTP/2: the stream) now. */
  destroy(): void;
  /** Called once, whichever way it ends; at once when it already has. */
  onClose(listener: () => void): void;
  /** Waits until the client has read what was pending, or is gone. */
  writable(): Promise<void>;
}

function untilWritable(stream: Writable): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  // A client that disappears drains nothing: `close` ends the wait as well.
  const done = () => {
    stream.off("drain", done).off("close", done).off("error", done);
    resolve();
  };
  stream.on("drain", done).on("close", done).on("error", done);
  return promise;
}

function whenClosed(stream: Writable, listener: () => void): void {
  if (stream.closed || stream.destroyed) listener();
  else stream.once("close", listener);
}

/** HTTP/1.1: the response's head is out and the socket is ours; each frame goes out as the one chunk made for all clients. */
export class SocketTransport implements Transport {
  readonly #socket: Socket;
  #written = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get pending(): number {
    return this.#socket.writableLength;
  }

  get sent(): number {
    return this.#written - this.#socket.writableLength;
  }

  write(frame: Frame): boolean {
    this.#written += frame.chunk.length;
    return this.#socket.write(frame.chunk);
  }

  end(): void {
    this.#socket.end(lastChunk);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onClose(listener: () => void): void {
    whenClosed(this.#socket, listener);
  }

  writable(): Promise<void> {
    return untilWritable(this.#socket);
  }
}

/** HTTP/2, and HTTP/1.0 where the end of the connection is the end of the body. */
export class BodyTransport implements Transport {
  readonly #stream: Writable;
  #written = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  get pending(): number {
    return this.#stream.writableLength;
  }

  get sent(): number {
    return this.#written - this.#stream.writableLength;
  }

  write(frame: Frame): boolean {
    this.#written += frame.body.length;
    return this.#stream.write(frame.body);
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  onClose(listener: () => void): void {
    whenClosed(this.#stream, listener);
  }

  writable(): Promise<void> {
    return untilWritable(this.#stream);
  }
}
