/** A client that a test may cut off, and that comes back by itself as a browser does. */
import { SseClient } from "./support.ts";

/** Comes back after each cut with the last id that it saw, to whatever replica it is given. */
export class ReturningUser {
  /** Of the events about one aggregate, in the order of their arrival. */
  readonly sequences: number[] = [];
  readonly gaps: unknown[] = [];
  readonly started: Promise<unknown>;
  readonly #portOf: () => number;
  readonly #about: string;
  #client: SseClient | undefined;
  #stopped = false;
  #cuts = 0;

  /** @param about id of the aggregate whose events are noted */
  constructor(portOf: () => number, about: string) {
    this.#portOf = portOf;
    this.#about = about;
    this.started = this.#connect(undefined);
  }

  /** How often it was cut off while its stream was open. */
  get cuts(): number {
    return this.#cuts;
  }

  /** Resets its connection, wherever in an event that is. */
  cut(): void {
    if (this.#client === undefined || this.#client.closed) return;
    this.#cuts++;
    this.#client.cut();
  }

  stop(): void {
    this.#stopped = true;
    this.#client?.socket.destroy();
  }

  async #connect(lastEventId: string | undefined): Promise<void> {
    const client = (this.#client = new SseClient(this.#portOf(), { lastEventId }));
    let seen = 0;
    const take = () => {
      for (const { event, data } of client.received.slice(seen)) {
        if (event === "gap") this.gaps.push(JSON.parse(data));
        else if (JSON.parse(data).aggregate.id === this.#about) this.sequences.push(JSON.parse(data).data.sequence as number);
      }
      seen = client.received.length;
    };
    client.socket.on("data", take);
    client.socket.once("close", () => {
      take();
      const last = client.parser.firstId === undefined ? lastEventId : client.parser.lastEventId;
      if (!this.#stopped) setTimeout(() => void this.#connect(last), 50 + Math.random() * 200);
    });
    if (lastEventId === undefined) await client.until(({ parser }) => parser.firstId !== undefined);
  }
}
