/** Windows of time: open on the left and closed on the right, like a range selector of Prometheus 3. */

/** From (not included) to (included), in milliseconds since 1970. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export const dayMs = 24 * 60 * 60 * 1000;

/** The window of `length` milliseconds that ends at `to`. */
export const windowEnding = (to: number, length: number): Window => ({ from: to - length, to });
