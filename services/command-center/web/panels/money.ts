/** The payment SLO's error budget, in all and by organisation, and the QuickBooks connections. */
import type { Budget, Qbo, QboCompany, QboState } from "../../state.ts";
import { ago, badge, el, serverNow, spanText, type Child, type Tone } from "../dom.ts";
import { money, percent, plural, points, setPercent } from "../format.ts";

const shownOrgs = 8;

export function budgetPanel({ target, rate, revenue24hUsd, orgs }: Budget): Child[] {
  const revenue = revenue24hUsd !== null && el("p", { class: "soft" }, `Revenue of the last 24 hours: ${money(revenue24hUsd * 100)}`);
  if (rate === null) return [el("p", { class: "soft" }, "No invoices in the last 30 days, so there is no payment rate."), revenue];
  const left = rate - target;
  const share = Math.max(0, Math.min(100, (left / (100 - target)) * 100));
  const bar = el("span", { class: left < 0 ? "bar spent" : "bar" });
  bar.style.width = `${share}%`;
  return [
    el("p", {}, left < 0 ? badge("critical", "Spent") : badge("ok", "Left"), ` ${percent(rate)} of invoices paid, ${points(left)} against the target of ${setPercent(target)}`),
    el("div", { class: "track", role: "img", "aria-label": `${Math.round(share)} percent of the error budget is left` }, bar),
    el("p", { class: "soft" }, `${Math.round(share)}\u00a0% of the budget is left (30 days).`),
    revenue,
    orgs.length > 1 && orgTable(target, orgs),
  ];
}

function orgTable(target: number, orgs: Budget["orgs"]): HTMLElement {
  const rows = orgs.slice(0, shownOrgs).map(({ org, rate }) => el("tr", {}, el("th", { scope: "row" }, org), el("td", { class: "number" }, percent(rate)), el("td", { class: "number" }, points(rate - target)), el("td", {}, rate < target ? badge("warning", "Below") : badge("ok", "Above"))));
  const caption = orgs.length > shownOrgs ? `The ${shownOrgs} lowest of at least ${orgs.length} organisations` : "By organisation, lowest first";
  return el("table", { class: "list" }, el("caption", { class: "soft" }, caption), el("tbody", {}, ...rows));
}

const qboWords: Readonly<Record<QboState, [Tone, string]>> = {
  connected: ["ok", "Connected"],
  importing: ["ok", "Importing"],
  rate_limited: ["warning", "Rate limited"],
  reauthorise: ["critical", "Needs reconnecting"],
  not_connected: ["unknown", "Not connected"],
  not_configured: ["unknown", "Not configured"],
  unknown: ["unknown", "Unknown"],
};

export function qboPanel({ state, environment, companies }: Qbo): Child[] {
  const where = environment !== null && el("span", { class: "soft" }, ` ${environment}`);
  if (companies.length === 0) return [el("p", {}, badge(...qboWords[state]), where)];
  return [el("ul", { class: "plain" }, ...companies.map((c) => company(c, where)))];
}

function company({ name, state, lastSyncAt, refreshTokenExpiresAt, waiting, problem }: QboCompany, where: Child): HTMLElement {
  const expires = refreshTokenExpiresAt === null ? null : (Date.parse(refreshTokenExpiresAt) - serverNow()) / 1000;
  return el(
    "li",
    {},
    el("p", {}, badge(...qboWords[state]), " ", el("strong", {}, name), where instanceof Node && where.cloneNode(true)),
    el("p", { class: "soft" }, "Last good sync ", ago(lastSyncAt), expires !== null && (expires > 0 ? `; access can be renewed for ${spanText(expires)}` : "; access has expired"), waiting > 0 && `; ${plural(waiting, "change")} waiting`),
    problem !== null && el("p", {}, problem),
  );
}
