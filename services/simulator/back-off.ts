/** Whether the CRM is there, and when to try again while it is not. */

const firstMs = 500;

export class BackOff {
  readonly #longestMs: number;
  readonly #onChange: (reachable: boolean) => void;
  readonly #now: () => number;
  #waitMs = firstMs;
  #retryAt = 0;
  #reachable: boolean | undefined;

  /** @param onChange told when the CRM goes away and when it is back; first at the first answer or failure */
  constructor(onChange: (reachable: boolean) => void, now: () => number = Date.now, longestMs = 15_000) {
    this.#onChange = onChange;
    this.#longestMs = longestMs;
    this.#now = now;
  }

  /** Whether a call may be made now. */
  get ready(): boolean {
    return this.#now() >= this.#retryAt;
  }

  /** Whether the last call was answered. */
  get reachable(): boolean {
    return this.#reachable === true;
  }

  succeed(): void {
    this.#waitMs = firstMs;
    this.#retryAt = 0;
    this.#change(true);
  }

  fail(): void {
    this.#retryAt = this.#now() + this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, this.#longestMs);
    this.#change(false);
  }

  #change(reachable: boolean): void {
    if (this.#reachable === reachable) return;
    this.#reachable = reachable;
    this.#onChange(reachable);
  }
}
