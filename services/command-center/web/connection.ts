/**
 * The page's one stream from its server. An EventSource comes back by itself only while it is connecting; after an answer
 * other than 200, or when the connection is dead without anyone saying so, a new one is made here.
 */
import type { FeedMessage, StateMessage } from "../state.ts";

export interface ConnectionEvents {
  readonly onState: (message: StateMessage) => void;
  readonly onEvents: (message: FeedMessage) => void;
  /** `since` is when the server was last heard of, null when it never was. */
  readonly onStatus: (connected: boolean, since: number | null) => void;
}

const firstWaitMs = 1000;
const longestWaitMs = 15_000;
/** Without a word for so many state messages' time, the connection counts as dead. */
const missedStates = 4;

export class Connection {
  readonly #events: ConnectionEvents;
  #source: EventSource | undefined;
  #position = "";
  #waitMs = firstWaitMs;
  #everyMs = 5000;
  #heardAt: number | null = null;
  #retry: number | undefined;

  constructor(events: ConnectionEvents) {
    this.#events = events;
    window.setInterval(() => this.#check(), 1000);
    // A laptop that wakes up or a network that returns need not wait for the next attempt.
    window.addEventListener("online", () => this.#reopen(0));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.#source?.readyState !== EventSource.OPEN) this.#reopen(0);
    });
  }

  open(): void {
    this.#source?.close();
    const source = new EventSource(this.#position === "" ? "/api/live" : `/api/live?after=${encodeURIComponent(this.#position)}`);
    this.#source = source;
    source.addEventListener("state", (event) => {
      const message = JSON.parse((event as MessageEvent<string>).data) as StateMessage;
      this.#heard(message.everySeconds);
      this.#events.onState(message);
    });
    source.addEventListener("events", (event) => {
      const { data, lastEventId } = event as MessageEvent<string>;
      this.#position = lastEventId;
      this.#events.onEvents(JSON.parse(data) as FeedMessage);
    });
    source.addEventListener("error", () => {
      this.#events.onStatus(false, this.#heardAt);
      if (source === this.#source && source.readyState === EventSource.CLOSED) this.#reopen(this.#nextWait());
    });
  }

  #heard(everySeconds: number): void {
    this.#heardAt = Date.now();
    this.#everyMs = everySeconds * 1000;
    this.#waitMs = firstWaitMs;
    this.#events.onStatus(true, this.#heardAt);
  }

  #nextWait(): number {
    const wait = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, longestWaitMs);
    return wait;
  }

  #reopen(afterMs: number): void {
    window.clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.open(), afterMs);
  }

  #check(): void {
    const limit = Math.max(this.#everyMs * missedStates, 5000);
    if (this.#heardAt === null || Date.now() - this.#heardAt < limit || this.#source?.readyState !== EventSource.OPEN) return;
    this.#events.onStatus(false, this.#heardAt);
    this.#heardAt = Date.now();
    this.#reopen(0);
  }
}
