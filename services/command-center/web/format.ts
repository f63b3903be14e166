/** Numbers as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const one = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });

/** Shown where there is no value. */
export const none = "–";

/** @returns a count; large ones short, such as `12.3K` */
export const count = (value: number | null): string => (value === null ? none : Math.abs(value) < 100_000 ? whole.format(value) : compact.format(value));

/** @returns a rate or ratio: more places the smaller it is */
export const ratio = (value: number | null): string => (value === null ? none : value >= 100 ? whole.format(value) : value >= 10 ? tenths.format(value) : fine.format(value));

/** @returns a percentage that somebody set: no more places than it has */
export const setPercent = (value: number): string => `${fine.format(value)}\u00a0%`;

export const percent = (value: number | null): string => (value === null ? none : `${one.format(value)}\u00a0%`);

/** @returns percentage points with their sign */
export const points = (value: number): string => `${value < 0 ? "−" : "+"}${one.format(Math.abs(value))}\u00a0pts`;

export const money = (cents: number): string => dollars.format(cents / 100);

/** @returns `1 event`, `2 events` */
export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** @returns an id short enough for a list: its end, since ids made one after the other begin alike */
export const shortId = (id: string): string => (id.length > 16 ? `…${id.slice(-8)}` : id);

/** @returns local time of day to the second */
export const clock = (iso: string): string => {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? none : date.toLocaleTimeString([], { hour12: false });
};
