/** The newest feed items with positions to resume from. Positions of another process are told apart by their epoch. */
import type { FeedItem } from "./state.ts";

export interface Resumed {
  readonly items: readonly FeedItem[];
  /** True when the position is unknown here, so that items before these may be missing. */
  readonly restarted: boolean;
}

export class EventRing {
  readonly #epoch: string;
  readonly #capacity: number;
  #items: FeedItem[] = [];
  /** Number of items ever added; the last one's number. */
  #last = 0;

  /** @param epoch letters and digits, different for each process */
  constructor(epoch: string, capacity: number) {
    this.#epoch = epoch;
    this.#capacity = capacity;
  }

  add(item: FeedItem): void {
    this.#items.push(item);
    this.#last += 1;
    if (this.#items.length > this.#capacity) this.#items.shift();
  }

  /** Position behind the newest item. */
  get position(): string {
    return `${this.#epoch}-${this.#last}`;
  }

  /** @param position where a reader stopped; absent for a new reader, who gets all that is kept */
  resume(position: string | undefined): Resumed {
    if (position === undefined) return { items: [...this.#items], restarted: false };
    const [epoch, text = ""] = position.split("-");
    const seen = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    const first = this.#last - this.#items.length;
    if (epoch !== this.#epoch || !(seen >= first && seen <= this.#last)) return { items: [...this.#items], restarted: true };
    return { items: this.#items.slice(seen - first), restarted: false };
  }
}
