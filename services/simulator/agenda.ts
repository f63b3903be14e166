/** What is still to be done, soonest first, and never more than a limit. */

interface Entry<T> {
  readonly at: number;
  readonly task: T;
}

export class Agenda<T> {
  readonly #limit: number;
  #entries: Entry<T>[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get full(): boolean {
    return this.#entries.length >= this.#limit;
  }

  /**
   * @param at when, in milliseconds; of two at the same time the one added first comes first
   * @returns false when the agenda is full: the task is not kept
   */
  add(at: number, task: T): boolean {
    if (this.full) return false;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry<T>).at <= at) low = middle + 1;
      else high = middle;
    }
    this.#entries.splice(low, 0, { at, task });
    return true;
  }

  /** @returns the soonest task, taken off, unless its time is still to come */
  takeDue(now: number): T | undefined {
    const first = this.#entries[0];
    if (first === undefined || first.at > now) return undefined;
    this.#entries.shift();
    return first.task;
  }
}
