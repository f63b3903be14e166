/** The live list of events, newest first: bounded, filtered, and still while somebody reads it. */
import type { FeedItem, FeedMessage } from "../../state.ts";
import { ago, el } from "../dom.ts";
import { clock, count, money, plural, shortId } from "../format.ts";

/** Events that are kept, and those that are on the page at most. */
const kept = 300;
const shown = 100;
/** Scrolled further than this from the top, a reader is reading. */
const scrollSlack = 8;

const gapReasons: Readonly<Record<string, string>> = {
  expired: "Kafka no longer keeps them",
  epoch: "the topic was made anew",
  too_far: "too many were missed",
  too_large: "one was too large",
  lost: "crm-events lost them",
  restarted: "the command center was restarted",
};

export class StreamPanel {
  /** Newest first. */
  #items: FeedItem[] = [];
  readonly #ids = new Set<string>();
  #paused = false;
  #unseen = 0;
  #filter = "";
  readonly #list = el("ol", { class: "events scroll", tabindex: 0, "aria-label": "Events, newest first" });
  readonly #status = el("span", { class: "soft", "aria-live": "off" });
  readonly #pause = el("button", { type: "button", "aria-pressed": "false" }, "Pause");
  readonly #fresh = el("button", { type: "button", class: "fresh", hidden: true });

  constructor(body: Element) {
    const filter = el("input", { type: "search", placeholder: "Filter by type, org or id", "aria-label": "Filter events by type, organisation or id", maxlength: 80, spellcheck: "false", autocomplete: "off" });
    filter.addEventListener("input", () => {
      this.#filter = filter.value.trim().toLowerCase();
      this.#draw();
    });
    this.#pause.addEventListener("click", () => {
      this.#paused = !this.#paused;
      this.#pause.setAttribute("aria-pressed", String(this.#paused));
      this.#pause.textContent = this.#paused ? "Resume" : "Pause";
      if (!this.#paused) this.#toTop();
      this.#describe();
    });
    this.#fresh.addEventListener("click", () => this.#toTop());
    this.#list.addEventListener("scroll", () => {
      if (this.#unseen > 0 && !this.#held()) this.#draw();
    });
    body.replaceChildren(el("div", { class: "toolbar" }, this.#pause, filter, this.#status), el("div", { class: "stream-box" }, this.#fresh, this.#list));
    this.#draw();
  }

  /** Takes a message in; events that are here already come twice after a resume and count once. */
  add({ items, skipped, restarted }: FeedMessage): void {
    const known = items.some((item) => this.#ids.has(item.id));
    const fresh = items.filter((item) => !this.#ids.has(item.id));
    const notes: FeedItem[] = [];
    const at = items[0]?.at ?? new Date().toISOString();
    if (restarted && !known && this.#items.length > 0 && fresh.length > 0) notes.push({ kind: "gap", id: `restarted-${at}`, at, reason: "restarted" });
    if (skipped > 0) notes.push({ kind: "gap", id: `skipped-${at}-${skipped}`, at, reason: `${plural(skipped, "event")} came too fast to list` });
    const added = [...notes, ...fresh];
    if (added.length === 0) return;
    this.#items = [...added.reverse(), ...this.#items].slice(0, kept);
    this.#ids.clear();
    for (const item of this.#items) this.#ids.add(item.id);
    if (this.#held()) {
      this.#unseen += added.length;
      this.#describe();
    } else this.#draw(new Set(added.map((item) => item.id)));
  }

  #held(): boolean {
    return this.#paused || this.#list.scrollTop > scrollSlack || (this.#list !== document.activeElement && this.#list.contains(document.activeElement));
  }

  #toTop(): void {
    this.#list.scrollTop = 0;
    if (this.#list.contains(document.activeElement)) this.#list.focus();
    this.#draw();
  }

  #draw(added: ReadonlySet<string> = new Set()): void {
    this.#unseen = 0;
    const rows = this.#items.filter((item) => this.#matches(item)).slice(0, shown);
    const old = new Map([...this.#list.children].map((row) => [(row as HTMLElement).dataset["id"], row]));
    // Rows that stay keep their element, so that an open one stays open and only new ones light up.
    const elements = rows.map((item) => old.get(item.id) ?? draw(item, added.has(item.id)));
    this.#list.replaceChildren(...elements);
    this.#describe();
  }

  #matches(item: FeedItem): boolean {
    if (this.#filter === "" || item.kind === "gap") return true;
    return `${item.type} ${item.org} ${item.aggregate} ${item.id}`.toLowerCase().includes(this.#filter);
  }

  #describe(): void {
    const rows = this.#list.querySelectorAll(".event").length;
    this.#fresh.hidden = this.#unseen === 0;
    this.#fresh.textContent = `${count(this.#unseen)} new above: show`;
    const newest = this.#items[0];
    const about = `${this.#paused ? "Paused. " : ""}Newest ${rows}${this.#filter === "" ? "" : " that match"}`;
    this.#status.replaceChildren(...(newest === undefined ? ["No events yet."] : [`${about}, the last one `, ago(newest.at)]));
  }
}

function draw(item: FeedItem, fresh: boolean): HTMLElement {
  if (item.kind === "gap") return el("li", { class: "gap", "data-id": item.id }, `Events are missing here: ${gapReasons[item.reason] ?? item.reason}.`);
  return el(
    "li",
    { class: `event${fresh ? " new" : ""}`, "data-id": item.id },
    el(
      "details",
      {},
      el(
        "summary",
        {},
        el("time", { datetime: item.at }, clock(item.at)),
        el("span", { class: "type" }, item.type),
        el("span", { class: "org" }, item.org),
        el("span", { class: "soft aggregate", title: item.aggregate }, item.aggregate.split(" ").map(shortId).join(" ")),
        el("span", { class: "number" }, item.amountCents === null ? "" : money(item.amountCents)),
      ),
      el("p", { class: "soft" }, `Event ${item.id} of ${item.aggregate}`),
      el("pre", {}, item.data),
    ),
  );
}
