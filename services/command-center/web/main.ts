/** The page: takes what the server sends and draws the parts that changed. */
import "uplot/dist/uPlot.min.css";
import "./style.css";
import type { Section, Sections, StateMessage } from "../state.ts";
import { Connection } from "./connection.ts";
import { ago, el, externalLink, redraw, refreshAges, setServerTime, type Child } from "./dom.ts";
import { alertsPanel } from "./panels/alerts.ts";
import { freshnessPanel, sourceTitles } from "./panels/freshness.ts";
import { inboxPanel } from "./panels/inbox.ts";
import { budgetPanel, qboPanel } from "./panels/money.ts";
import { partitionsPanel } from "./panels/pipeline.ts";
import { StreamPanel } from "./panels/stream.ts";
import { tiles } from "./panels/tiles.ts";
import { TrendsPanel } from "./panels/trends.ts";
import { verdictOf } from "./verdict.ts";

type Known = { -readonly [K in keyof Sections]?: Sections[K] };

const known: Known = {};
let build = "";

const byId = (id: string): HTMLElement => {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page lacks #${id}`);
  return element;
};
const bodyOf = (id: string): HTMLElement => byId(id).querySelector(".body") as HTMLElement;

const stream = new StreamPanel(bodyOf("stream"));
const trends = new TrendsPanel(bodyOf("trends"));

/** Draws a panel, and above it what is wrong with its source. */
function panel<T>(id: string, section: Section<T> | undefined, draw: (value: T) => Child[], changed: boolean): void {
  if (section === undefined) return;
  notice(id, section);
  if (changed && section.value !== null) redraw(bodyOf(id), ...draw(section.value));
}

function notice(id: string, { source, ok, problem, readAt }: Section<unknown>): void {
  const element = byId(id);
  const text = ok ? "" : `${sourceTitles[source]} ${problem ?? "does not answer"}.`;
  let line = element.querySelector<HTMLElement>(":scope > .notice");
  element.classList.toggle("stale", !ok);
  if (ok) return line?.remove();
  if (line?.dataset["text"] === `${text}${readAt}`) return;
  line?.remove();
  line = el("p", { class: "notice" }, el("span", { class: "shape", "aria-hidden": "true" }, "▲ "), text, readAt === null ? " Nothing was read yet." : " Shown as it was ", readAt !== null && ago(readAt), readAt !== null && ".");
  line.dataset["text"] = `${text}${readAt}`;
  element.querySelector("h2")?.after(line);
}

function onState(message: StateMessage): void {
  setServerTime(message.at);
  const changed = new Set<string>();
  for (const [name, update] of Object.entries(message.sections)) {
    const before = known[name as keyof Sections];
    if ("value" in update) changed.add(name);
    Object.assign(known, { [name]: { value: before?.value ?? null, ...update } });
  }
  if (build !== "" && build !== message.build) byId("newer").hidden = false;
  if (build === "") redraw(byId("links"), ...Object.entries(message.links).map(([name, address]) => externalLink(name, address, `link-${name}`)));
  build ||= message.build;
  draw(changed);
}

/** A server that restarts is back sooner; until then the last verdict stands. */
const offlineAfterMs = 5000;
let offlineSince: number | null = null;

function drawVerdict(): void {
  const verdict = verdictOf(known, offlineSince !== null && Date.now() - offlineSince > offlineAfterMs);
  const sentence = byId("verdict");
  // Set only on change: a screen reader speaks each time.
  if (sentence.textContent !== verdict.text) sentence.textContent = verdict.text;
  sentence.title = verdict.text;
  sentence.className = `verdict ${verdict.tone}`;
  const title = verdict.tone === "ok" ? "CRM events" : `${verdict.tone === "critical" ? "■" : verdict.tone === "warning" ? "▲" : "?"} ${verdict.text} – CRM events`;
  if (document.title !== title) document.title = title;
  const icon = `/assets/icon-${verdict.tone}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function draw(changed: ReadonlySet<string>): void {
  drawVerdict();
  redraw(byId("tiles"), ...tiles(known));
  panel("alerts", known.alerts, alertsPanel, changed.has("alerts"));
  panel("partitions", known.pipeline, partitionsPanel, changed.has("pipeline"));
  panel("budget", known.budget, budgetPanel, changed.has("budget"));
  panel("qbo", known.qbo, qboPanel, changed.has("qbo"));
  byId("inbox").hidden = known.inbox === undefined;
  panel("inbox", known.inbox, inboxPanel, changed.has("inbox"));
  if (known.trends) notice("trends", known.trends);
  if (known.trends?.value) trends.update(known.trends.value);
  if (known.feed) notice("stream", known.feed);
  redraw(bodyOf("freshness"), ...freshnessPanel(known));
  refreshAges();
}

function onStatus(connected: boolean, since: number | null): void {
  const line = byId("connection");
  offlineSince = connected ? null : (offlineSince ?? Date.now());
  document.body.classList.toggle("offline", !connected);
  if (connected === line.hidden) return;
  line.hidden = connected;
  redraw(line, ...(connected ? [] : ["▲ No connection to the command center", since === null ? "." : "; what is shown is from ", since !== null && ago(new Date(since).toISOString()), ". Trying again."]));
}

new Connection({ onState, onEvents: (message) => stream.add(message), onStatus }).open();
setInterval(() => {
  refreshAges();
  drawVerdict();
}, 1000);
