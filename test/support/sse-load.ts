/** Many streams from one process, read as cheaply as possible: counts events and takes the time of each from the data. */
import { connect, type Socket } from "node:net";

/** An event's data begins with this, followed by the time of its publication in microseconds, 16 digits. */
export const timeMark = '{"t":"';
const mark = Buffer.from(timeMark);
const digits = 16;

/** Microseconds of a clock that is the same in all processes of the machine. */
export const microseconds = (): number => Number(process.hrtime.bigint() / 1_000n);

/** @param bytes length of the data. @returns one event's data */
export function eventData(bytes: number): string {
  const head = `${timeMark}${`${microseconds()}`.padStart(digits, "0")}","filler":"`;
  return `${head}${"x".repeat(Math.max(0, bytes - head.length - 2))}"}`;
}

export class StreamLoad {
  readonly #sockets: Socket[] = [];
  /** One buffer for all: what it holds is looked at before the next read. */
  readonly #buffer = Buffer.allocUnsafe(256 * 1024);
  deliveries = 0;
  /** Latencies in microseconds, while they are kept. */
  latencies: number[] | undefined;
  closed = 0;

  /** Opens streams, some at a time. @param request the whole text of the request */
  async open(port: number, count: number, request: string): Promise<void> {
    for (let opened = 0; opened < count; opened += 100) {
      await Promise.all(Array.from({ length: Math.min(100, count - opened) }, () => this.#openOne(port, request)));
    }
  }

  /** Reads no more. */
  pause(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #openOne(port: number, request: string): Promise<void> {
    return new Promise((resolve, reject) => {
      // The tail of a mark that a read has cut, with what is missing of it.
      let rest = "";
      let answered = false;
      const callback = (bytes: number, buffer: Uint8Array): boolean => {
        if (!answered) {
          answered = true;
          if (Buffer.from(buffer.subarray(0, 12)).toString("latin1") === "HTTP/1.1 200") resolve();
          else reject(new Error(`no stream: ${Buffer.from(buffer.subarray(0, Math.min(bytes, 200))).toString("latin1")}`));
        }
        rest = this.#count(rest, Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
        return true;
      };
      const socket = connect({ port, host: "127.0.0.1", onread: { buffer: this.#buffer, callback } }, () => socket.write(request));
      socket.setNoDelay(true).once("error", reject).once("close", () => this.closed++);
      this.#sockets.push(socket);
    });
  }

  #count(rest: string, bytes: Buffer): string {
    if (rest !== "") bytes = Buffer.concat([Buffer.from(rest, "latin1"), bytes]);
    const needed = mark.length + digits;
    let from = 0;
    for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, from)) {
      if (at + needed > bytes.length) return bytes.toString("latin1", at);
      this.deliveries++;
      if (this.latencies !== undefined) this.latencies.push(microseconds() - Number(bytes.toString("latin1", at + mark.length, at + needed)));
      from = at + needed;
    }
    // A mark may begin in the last bytes.
    const tail = Math.max(from, bytes.length - mark.length + 1);
    const begin = bytes.lastIndexOf(mark[0]!);
    return begin >= tail ? bytes.toString("latin1", begin) : "";
  }
}
