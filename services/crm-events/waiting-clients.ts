/** Clients that catch up and have not read yet what was written to them. */
import type { Client } from "./hub.ts";

export interface WaitingClientsOptions {
  /** With more bytes than this held for all of them, those that wait longest are dropped. */
  readonly totalBytes: number;
  /** Closes a client that is too slow. */
  readonly drop: (client: Client) => void;
}

export class WaitingClients {
  readonly #options: WaitingClientsOptions;
  /** Bytes held for each, in the order in which they began to wait. */
  readonly #held = new Map<Client, number>();
  #total = 0;

  constructor(options: WaitingClientsOptions) {
    this.#options = options;
  }

  /** Waits until a client has read, or is gone. @param bytes what is held in memory for it meanwhile */
  async wait(client: Client, bytes: number): Promise<void> {
    if (client.closed) return;
    this.#held.set(client, bytes);
    this.#total += bytes;
    // Who reads does not wait for long, so these are the ones that have stopped.
    for (const oldest of this.#held.keys()) {
      if (this.#total <= this.#options.totalBytes) break;
      this.#release(oldest);
      this.#options.drop(oldest);
    }
    await client.transport.writable();
    this.#release(client);
  }

  #release(client: Client): void {
    this.#total -= this.#held.get(client) ?? 0;
    this.#held.delete(client);
  }
}
