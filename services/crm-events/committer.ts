/** Commits what was handled: always the newest offset of each partition, one request at a time, the next as soon as one is done. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Handled {
  /** Next offset of the partition. */
  readonly next: number;
  /** Messages handled since the last mark. */
  readonly count: number;
}

export interface CommitterOptions {
  /** Commits next offsets by partition. */
  readonly commit: (offsets: ReadonlyMap<number, number>) => Promise<void>;
  /** Told how many messages a commit covered. */
  readonly onCommitted: (count: number) => void;
  /** Told why a commit failed, once until one succeeds; it is repeated. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between a failure and the next attempt. @default 250 */
  readonly retryMs?: number;
}

export class Committer {
  readonly #options: CommitterOptions;
  #waiting = new Map<number, Handled>();
  #running: Promise<void> | undefined;
  #closed = false;
  #failing = false;
  /** Rises with each `forget`. */
  #term = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Messages of a partition were handled. */
  mark(partition: number, { next, count }: Handled): void {
    this.#waiting.set(partition, { next, count: count + (this.#waiting.get(partition)?.count ?? 0) });
    this.#running ??= this.#run();
  }

  /** Waits until everything marked is committed, or could not be at the first attempt from now on. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  /** Forgets what is not committed yet: the partitions may be another member's now, who handles it again. */
  forget(): void {
    this.#waiting.clear();
    this.#term++;
  }

  async #run(): Promise<void> {
    // Marks of the same turn share a request.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const batch = this.#waiting;
      const term = this.#term;
      this.#waiting = new Map();
      try {
        await this.#options.commit(new Map([...batch].map(([partition, { next }]) => [partition, next])));
        this.#failing = false;
        this.#options.onCommitted([...batch.values()].reduce((sum, { count }) => sum + count, 0));
      } catch (error) {
        if (!this.#failing) this.#options.onError(error);
        this.#failing = true;
        if (this.#closed) break;
        await sleep(this.#options.retryMs ?? 250);
        if (term === this.#term) this.#putBack(batch);
      }
    }
    this.#running = undefined;
  }

  /** Newer marks stay, with the older ones' messages counted in. */
  #putBack(batch: ReadonlyMap<number, Handled>): void {
    for (const [partition, { next, count }] of batch) {
      const newer = this.#waiting.get(partition);
      this.#waiting.set(partition, { next: newer?.next ?? next, count: count + (newer?.count ?? 0) });
    }
  }
}
