/** Reads an event stream as the HTML standard's "Server-sent events" interprets it, chunk by chunk, within a size. */

export interface SseMessage {
  /** `message` unless the stream says otherwise. */
  readonly event: string;
  readonly data: string;
}

/** A line or a message grew larger than allowed: the stream cannot be followed. */
export class SseTooLarge extends Error {
  override readonly name = "SseTooLarge";
}

export class SseParser {
  readonly #maxChars: number;
  #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];
  #size = 0;
  #event = "";
  #pendingId: string | undefined;
  /** The id to resume from: that of the last complete block, with or without data. */
  lastEventId: string;
  /** How long the server wants a reader to wait before it connects again, in milliseconds. */
  retryMs: number | undefined;

  /**
   * @param lastEventId where the stream was resumed
   * @param maxChars most characters of one line and of one message
   */
  constructor(lastEventId = "", maxChars = 4 * 1024 * 1024) {
    this.lastEventId = lastEventId;
    this.#maxChars = maxChars;
  }

  /**
   * @returns the messages that are complete with this chunk
   * @throws SseTooLarge
   */
  push(chunk: Uint8Array): SseMessage[] {
    const messages: SseMessage[] = [];
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    for (;;) {
      const line = this.#takeLine();
      if (line === undefined) break;
      const message = this.#read(line);
      if (message) messages.push(message);
    }
    if (this.#rest.length > this.#maxChars) throw new SseTooLarge(`a line is longer than ${this.#maxChars} characters`);
    return messages;
  }

  /** Lines end with CR LF, LF or CR; a CR at the very end may still become CR LF. */
  #takeLine(): string | undefined {
    const end = this.#rest.search(/[\r\n]/);
    if (end === -1 || (this.#rest[end] === "\r" && end === this.#rest.length - 1)) return undefined;
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
    return line;
  }

  #read(line: string): SseMessage | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#pendingId = value;
    else if (field === "retry" && /^\d{1,7}$/.test(value)) this.retryMs = Number(value);
    else if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
      if (this.#size > this.#maxChars) throw new SseTooLarge(`a message is longer than ${this.#maxChars} characters`);
    }
    return undefined;
  }

  #dispatch(): SseMessage | undefined {
    if (this.#pendingId !== undefined) this.lastEventId = this.#pendingId;
    const message = this.#data.length === 0 ? undefined : { event: this.#event || "message", data: this.#data.join("\n") };
    this.#pendingId = undefined;
    this.#data = [];
    this.#size = 0;
    this.#event = "";
    return message;
  }
}
