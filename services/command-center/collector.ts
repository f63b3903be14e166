/** Reads the sources for all pages at once: often while somebody looks, seldom while nobody does. */
import type { Logger } from "../shared/log.ts";
import { reasonOf } from "./sources/get-json.ts";
import type { Section, SectionUpdate, SourceName } from "./state.ts";

/** How one section gets its value. */
export interface Reader {
  readonly source: SourceName;
  readonly read: () => Promise<unknown>;
  /** Only every n-th round, for what changes slowly. @default 1 */
  readonly everyRounds?: number;
}

export interface CollectorOptions {
  readonly readers: Readonly<Record<string, Reader>>;
  readonly pollMs: number;
  /** Time between rounds while nobody looks. */
  readonly idleMs: number;
  readonly log: Logger;
  /** Told about every read. */
  readonly onRead?: (source: SourceName, ok: boolean) => void;
}

type Update = Record<string, SectionUpdate>;

export class Collector {
  readonly #options: CollectorOptions;
  readonly #sections: Map<string, Section<unknown>>;
  readonly #listeners = new Set<(update: Update) => void>();
  #timer: NodeJS.Timeout | undefined;
  #round = 0;
  #reading: Promise<void> | undefined;
  #lastRoundAt = 0;
  #stopped = false;

  constructor(options: CollectorOptions) {
    this.#options = options;
    const unread = (source: SourceName): Section<unknown> => ({ source, ok: false, readAt: null, problem: "was not read yet", value: null });
    this.#sections = new Map(Object.entries(options.readers).map(([name, reader]) => [name, unread(reader.source)]));
  }

  /** Reads once and goes on by itself. */
  start(): void {
    void this.#next();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#reading;
  }

  /** Every section with its value. */
  snapshot(): Update {
    return Object.fromEntries(this.#sections);
  }

  /**
   * @param listener gets every round's sections; values only where they changed
   * @returns a function that ends the subscription
   */
  subscribe(listener: (update: Update) => void): () => void {
    this.#listeners.add(listener);
    // The first one to look after a quiet time does not wait for the quiet time's next round.
    if (this.#listeners.size === 1) this.#hurry();
    return () => this.#listeners.delete(listener);
  }

  #hurry(): void {
    if (this.#stopped || this.#reading !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#next(), Math.max(0, this.#lastRoundAt + this.#options.pollMs - Date.now()));
  }

  async #next(): Promise<void> {
    if (this.#stopped) return;
    this.#lastRoundAt = Date.now();
    this.#reading = this.#readAll();
    await this.#reading;
    this.#reading = undefined;
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#next(), this.#listeners.size > 0 ? this.#options.pollMs : this.#options.idleMs);
  }

  async #readAll(): Promise<void> {
    const update: Update = {};
    const due = Object.entries(this.#options.readers).filter(([name, r]) => this.#round % (r.everyRounds ?? 1) === 0 || !this.#sections.get(name)?.ok);
    this.#round += 1;
    await Promise.all(
      due.map(async ([name, reader]) => {
        const before = this.#sections.get(name) as Section<unknown>;
        const after = await this.#read(reader, before);
        this.#sections.set(name, after);
        const { value, ...rest } = after;
        update[name] = value === before.value ? rest : after;
      }),
    );
    for (const listener of this.#listeners) listener(update);
  }

  async #read(reader: Reader, before: Section<unknown>): Promise<Section<unknown>> {
    const { source } = reader;
    try {
      const value = await reader.read();
      this.#options.onRead?.(source, true);
      // The same object where nothing changed, so that it need not be sent again.
      const same = JSON.stringify(value) === JSON.stringify(before.value);
      return { source, ok: true, readAt: new Date().toISOString(), problem: null, value: same ? before.value : value };
    } catch (error) {
      this.#options.onRead?.(source, false);
      const problem = reasonOf(error);
      if (before.ok) this.#options.log.warn({ source, problem }, "source lost");
      return { ...before, ok: false, problem };
    }
  }
}
