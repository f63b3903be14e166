/** Builds elements. Text only ever becomes text, and only http(s) addresses become links. */
import type { Span } from "../../shared/mrkdwn.ts";

export type Child = Node | string | null | undefined | false;

/** Attributes; `data-key` keeps an element's focus and open state when its panel is drawn anew. */
type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** @param attributes null, undefined and false leave one out, true gives an empty one */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((c): c is Node | string => c !== null && c !== undefined && c !== false));
  return element;
}

/** A link to another tool, in a tab of its own; plain text when the address is none that may be followed. */
export function externalLink(text: string, address: string | null, key: string): HTMLElement {
  if (address === null || !/^https?:\/\//i.test(address)) return el("span", {}, text);
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer", "data-key": key }, text);
}

/** A moment, shown as its age (`2 min ago`); `refreshAges` keeps it right. */
export function ago(iso: string | null, fallback = "never"): HTMLElement {
  return iso === null ? el("span", {}, fallback) : aged(iso, "ago");
}

/** What lasts since a moment, shown as its length (`for 2 min`); `refreshAges` keeps it right. */
export const since = (iso: string): HTMLElement => aged(iso, "for");

function aged(iso: string, form: "ago" | "for"): HTMLElement {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return el("span", {}, "at an unknown time");
  const time = el("time", { datetime: iso, "data-age": form, title: date.toLocaleString() });
  time.textContent = ageText(iso, form);
  return time;
}

/** Brings all ages on the page up to date. */
export function refreshAges(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-age]")) {
    const text = ageText(time.dateTime, time.dataset["age"]);
    if (time.textContent !== text) time.textContent = text;
  }
}

let clockOffset = 0;

/** Ages are measured by the server's clock, whatever this machine's says. */
export function setServerTime(iso: string): void {
  clockOffset = Date.parse(iso) - Date.now();
}

export const serverNow = (): number => Date.now() + clockOffset;

function ageText(iso: string, form: string | undefined): string {
  const seconds = Math.max(0, Math.round((serverNow() - Date.parse(iso)) / 1000));
  if (form === "for") return `for ${spanText(seconds)}`;
  return seconds < 2 ? "just now" : `${spanText(seconds)} ago`;
}

/** @param seconds 90 gives `1 min`, 7200 gives `2 h`, two days and more `2 d` */
export function spanText(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Draws a panel anew and keeps what a reader did: the focus, and which details are open. */
export function redraw(parent: Element, ...children: readonly Child[]): void {
  const focused = parent.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
  const toggled = new Map([...parent.querySelectorAll<HTMLDetailsElement>("details[data-key]")].map((d) => [d.dataset["key"], d.open]));
  const scrolled = parent.scrollTop;
  parent.replaceChildren(...children.filter((c): c is Node | string => c !== null && c !== undefined && c !== false));
  for (const details of parent.querySelectorAll<HTMLDetailsElement>("details[data-key]")) {
    details.open = toggled.get(details.dataset["key"]) ?? details.open;
  }
  parent.scrollTop = scrolled;
  if (focused) parent.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** How something stands: told by a shape, a word and a colour, so that each alone is enough. */
export type Tone = "ok" | "warning" | "critical" | "unknown";

const shapes: Readonly<Record<Tone, string>> = { ok: "●", warning: "▲", critical: "■", unknown: "◌" };

export function badge(tone: Tone, ...words: readonly Child[]): HTMLElement {
  return el("span", { class: `badge ${tone}` }, el("span", { class: "shape", "aria-hidden": "true" }, shapes[tone]), el("span", {}, ...words));
}

/** A name in PascalCase that may be broken before each of its words. */
export const breakable = (name: string): Child[] => name.split(/(?<=[a-z0-9])(?=[A-Z])/).flatMap((part, i) => (i === 0 ? [part] : [el("wbr"), part]));

/** A run of text with its look. */
export function spanOf({ text, bold, italic, code, link }: Span, key: string): Child {
  if (link !== undefined) return externalLink(text, link, key);
  return bold ? el("strong", {}, text) : italic ? el("em", {}, text) : code ? el("code", {}, text) : text;
}
