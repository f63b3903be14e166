/** Values of the finance windows, and of the leads, proposals and payments that use the same ones. */
import { at, by, one, valueCase, type RuleCase, type Sample, type Series } from "./case.ts";

const series = (metric: string, org: string, replica = 1) => `${metric}{org_id="${org}",job="crm_api",instance="crm-api-${replica}:8080"}`;

/**
 * A counter that gains in two organisations, seen by two replicas of which one is behind; the second organisation comes
 * into being after 2 h. Samples and rules every minute.
 */
const gaining = (metric: string, a: number, b: number, minutes: number): Series => ({
  [series(metric, "a", 1)]: `5000+${a}x${minutes}`,
  [series(metric, "a", 2)]: `4000+${a}x${minutes}`,
  [series(metric, "b", 1)]: `_x120 0+${b}x${minutes}`,
});

function window(rule: string, total: string | undefined, metric: string, hours: number, factor: number): RuleCase[] {
  const minutes = hours * 60;
  const times = { step: "1m", evaluation: "1m" };
  const later = minutes + 180;
  const byOrg = (a: number, b: number): Sample[] => by("org_id", { a: a * factor, b: b * factor });
  const grown = Math.min(minutes, later - 120);
  const cases = [valueCase(rule, `gains of ${hours} h: old history does not count, a new organisation counts from 0`, gaining(metric, 3, 7, later), at(rule, { "30m": [by("org_id", { a: 90 * factor })[0]!], "3h": byOrg(540, 420), [`${later}m`]: byOrg(3 * minutes, 7 * grown) }), times)];
  if (total) cases.push(valueCase(total, "over all organisations", gaining(metric, 3, 7, later), at(total, { "3h": one(960 * factor), [`${later}m`]: one((3 * minutes + 7 * grown) * factor) }), times));
  return cases;
}

function finance(): RuleCase[] {
  const generated = "crm_invoices_generated_total";
  const paid = "crm_invoices_paid_total";
  const cents = "crm_invoice_payments_cents_total";
  const minute = { step: "1m", evaluation: "1m" };
  return [
    ...["crm:invoices_generated", "crm:invoices_paid", "crm:payments_cents", "crm:invoices_due", "crm:invoices_overdue"].flatMap((stem, i) => counters(stem, [generated, paid, cents, "crm_invoices_due_total", "crm_invoices_overdue_total"][i]!)),
    ...window("crm:invoices_created_24h:by_org", "crm:invoices_created_24h", generated, 24, 1),
    ...window("crm:invoices_paid_24h:by_org", "crm:invoices_paid_24h", paid, 24, 1),
    ...window("crm:revenue_usd:by_org", "crm:revenue_usd", cents, 24, 0.01),
    valueCase("crm:revenue_usd:2h", "USD", gaining(cents, 3, 7, 400), at("crm:revenue_usd:2h", { "90m": one(2.7), "6h": one(12) }), minute),
    ...long(generated, paid, cents),
    ...edges(generated, minute),
    ...everyGap(),
  ];
}

/**
 * What every window does where nothing was scraped, in one counter at 5-minute steps: a gap in which the window starts,
 * a second one inside it, and an outage that is longer than the window.
 * @param value what the rule gives for a gain
 */
function gaps(rule: string, metrics: readonly string[], hours: number, label: string, value: (gain: number) => Sample[]): RuleCase[] {
  const coarse = { step: "5m", evaluation: "5m" };
  // Samples until 50 minutes; from 90 to 105; from 130 on. The window starts at 60.
  const text = `100+1x10 _x7 500+3x3 _x4 600+1x${hours * 12}`;
  const end = 60 + hours * 60;
  const gain = 600 + (end - 130) / 5 - 500;
  return [
    valueCase(rule, "starts with the first sample after the gap that it starts in", Object.fromEntries(metrics.map((m) => [series(m, label), text])), at(rule, { [`${end}m`]: value(gain) }), coarse),
    valueCase(rule, "nothing is known to happen in a long outage", Object.fromEntries(metrics.map((m) => [series(m, label), "100+1x3 stale"])), at(rule, { [`${end}m`]: value(0) }), coarse),
  ];
}

const everyGap = (): RuleCase[] => {
  const org = (factor: number) => (gain: number) => by("org_id", { a: gain * factor });
  const total = (factor: number) => (gain: number) => one(gain * factor);
  const cents = "crm_invoice_payments_cents_total";
  // As many overdue as due; without any due there is no ratio.
  const ratio = (gain: number) => (gain === 0 ? [] : one(1));
  const due = ["crm_invoices_due_total", "crm_invoices_overdue_total"];
  return [
    ...gaps("crm:invoices_created_24h:by_org", ["crm_invoices_generated_total"], 24, "a", org(1)),
    ...gaps("crm:invoices_paid_24h:by_org", ["crm_invoices_paid_total"], 24, "a", org(1)),
    ...gaps("crm:revenue_usd:by_org", [cents], 24, "a", org(0.01)),
    ...gaps("crm:invoices_created_30d:by_org", ["crm_invoices_generated_total"], 720, "a", org(1)),
    ...gaps("crm:invoices_paid_30d:by_org", ["crm_invoices_paid_total"], 720, "a", org(1)),
    ...gaps("crm:revenue_usd:2h", [cents], 2, "a", total(0.01)),
    ...gaps("crm:revenue_usd:48h", [cents], 48, "a", total(0.01)),
    ...gaps("crm:revenue_usd:7d", [cents], 168, "a", total(0.01)),
    ...gaps("crm:overdue_ratio:2h", due, 2, "a", ratio),
    ...gaps("crm:overdue_ratio:6h", due, 6, "a", ratio),
    ...gaps("crm:overdue_ratio:1d", due, 24, "a", ratio),
    ...gaps("crm:overdue_ratio:3d", due, 72, "a", ratio),
  ];
};

/** Windows of days, at 5-minute steps. */
function long(generated: string, paid: string, cents: string): RuleCase[] {
  const coarse = { step: "5m", evaluation: "5m" };
  const days = (n: number) => n * 288;
  const both = { [series(generated, "a")]: `100+10x${days(31)}`, [series(paid, "a")]: `100+8x${days(31)}`, [series(generated, "b")]: `0+2x${days(31)}`, [series(paid, "b")]: `0+1x${days(31)}`, [series(generated, "none")]: `3x${days(31)}`, [series(paid, "none")]: `3x${days(31)}` };
  const end = "30d12h";
  const due = (overdue: string): Series => ({ [series("crm_invoices_due_total", "a")]: "0+10x1200", [series("crm_invoices_overdue_total", "a")]: overdue, [series("crm_invoices_due_total", "b")]: "50+10x1200", [series("crm_invoices_overdue_total", "b")]: "7+1x1200" });
  const ratio = (window: string, early: number, late: number): RuleCase =>
    valueCase(`crm:overdue_ratio:${window}`, "overdue over due, of all organisations", due("0+4x900 3600+2x300"), at(`crm:overdue_ratio:${window}`, { "1h": one(0.25), "75h": one(early), "100h": one(late) }), coarse);
  return [
    valueCase("crm:invoices_created_30d:by_org", "30 d", both, at("crm:invoices_created_30d:by_org", { [end]: by("org_id", { a: 86_400, b: 17_280, none: 0 }) }), coarse),
    valueCase("crm:invoices_created_30d", "30 d", both, at("crm:invoices_created_30d", { [end]: one(103_680) }), coarse),
    valueCase("crm:invoices_paid_30d:by_org", "30 d", both, at("crm:invoices_paid_30d:by_org", { [end]: by("org_id", { a: 69_120, b: 8640, none: 0 }) }), coarse),
    valueCase("crm:invoices_paid_30d", "30 d", both, at("crm:invoices_paid_30d", { [end]: one(77_760) }), coarse),
    valueCase("crm:payment_rate_30d_pct:by_org", "percent; absent without invoices", both, at("crm:payment_rate_30d_pct:by_org", { [end]: by("org_id", { a: 80, b: 50 }) }), coarse),
    valueCase("crm:payment_rate_30d_pct:by_org:sparse", "the same, less often", both, at("crm:payment_rate_30d_pct:by_org:sparse", { [end]: by("org_id", { a: 80, b: 50 }) }), coarse),
    valueCase("crm:payment_rate_30d_pct", "weighed by invoices", both, at("crm:payment_rate_30d_pct", { [end]: one(75) }), coarse),
    valueCase("crm:payment_rate_30d_pct:by_org:sparse", "a copy", both, at("crm:payment_rate_30d_pct:by_org:sparse", { "20h": by("org_id", { a: 80, b: 50 }) }), coarse),
    valueCase("crm:payment_rate_30d_pct", "no invoices, no rate", { [series(generated, "a")]: "7x300", [series(paid, "a")]: "7x300" }, at("crm:payment_rate_30d_pct", { "20h": [] }), coarse),
    valueCase("crm:revenue_usd:48h", "USD", { [series(cents, "a")]: "1000+5x900", [series(cents, "b")]: "0+1x900" }, at("crm:revenue_usd:48h", { "1h": one(0.72), "60h": one(34.56) }), coarse),
    valueCase("crm:revenue_usd:7d", "USD", { [series(cents, "a")]: "1000+5x2400", [series(cents, "b")]: "0+1x2400" }, at("crm:revenue_usd:7d", { "1h": one(0.72), "180h": one(120.96) }), coarse),
    ratio("2h", 0.25, 0.15),
    ratio("6h", 0.25, 0.15),
    ratio("1d", 0.25, 0.15),
    ratio("3d", 0.25, (4 * (900 - 336) + 2 * (1200 - 901) + 864) / (864 * 20)),
    ...["2h", "6h", "1d", "3d"].map((window) =>
      valueCase(`crm:overdue_ratio:${window}`, "a single invoice, late", { [series("crm_invoices_due_total", "a")]: "5x10 6x300", [series("crm_invoices_overdue_total", "a")]: "2x10 3x300" }, at(`crm:overdue_ratio:${window}`, { "2h": one(1) }), coarse),
    ),
    valueCase("crm:overdue_ratio:2h", "nothing due, no ratio", { [series("crm_invoices_due_total", "a")]: "5x300", [series("crm_invoices_overdue_total", "a")]: "5x300" }, at("crm:overdue_ratio:2h", { "20h": [] }), coarse),
  ];
}

/** The three series of a counter. */
function counters(stem: string, metric: string): RuleCase[] {
  const minute = { step: "1m", evaluation: "1m" };
  const values = { [series(metric, "a", 1)]: "100+1x30 _x20 200+1x60", [series(metric, "a", 2)]: "90+1x30 _x20 190+1x60", [series(metric, "b", 1)]: "_x10 0+2x20 _x20 60x60" };
  return [
    valueCase(`${stem}:by_org`, "the newest of the replicas; bridges 5 minutes", values, at(`${stem}:by_org`, { "5m": by("org_id", { a: 105 }), "34m": by("org_id", { a: 130, b: 40 }), "36m": [], "51m": by("org_id", { a: 200, b: 60 }) }), minute),
    valueCase(`${stem}:first:by_org`, "only when it comes into sight", values, at(`${stem}:first:by_org`, { "0m": by("org_id", { a: 100 }), "1m": [], "10m": by("org_id", { b: 0 }), "11m": [], "51m": by("org_id", { a: 200, b: 60 }), "52m": [] }), minute),
    valueCase(`${stem}:first:by_org`, "after 13 minutes", { [series(metric, "a")]: "100+1x9 _x12 200+1x30" }, at(`${stem}:first:by_org`, { "22m": by("org_id", { a: 200 }), "23m": [] }), minute),
    valueCase(`${stem}:first:by_org`, "its first sample, not the one at the evaluation", { [series(metric, "a")]: "_x2 0+1x60" }, at(`${stem}:first:by_org`, { "1m": by("org_id", { a: 0 }), "2m": [] }), { step: "15s", evaluation: "1m" }),
    valueCase(`${stem}:last:by_org`, "also while nothing is scraped", values, at(`${stem}:last:by_org`, { "5m": by("org_id", { a: 105 }), "49m": by("org_id", { a: 130, b: 40 }), "55m": by("org_id", { a: 204, b: 60 }) }), minute),
    valueCase(`${stem}:last:by_org`, "an organisation that is gone while others are scraped ends", { [series(metric, "a", 1)]: "1x60", [series(metric, "b", 1)]: "1x10 stale" }, at(`${stem}:last:by_org`, { "14m": by("org_id", { a: 1, b: 1 }), "20m": by("org_id", { a: 1 }) }), minute),
  ];
}

/** What happens at the edges of a window. */
function edges(metric: string, minute: { step: string; evaluation: string }): RuleCase[] {
  const rule = "crm:invoices_created_24h:by_org";
  const a = (value: number): Sample[] => by("org_id", { a: value });
  const values = (text: string): Series => ({ [series(metric, "a")]: text });
  return [
    valueCase(rule, "a gap inside the window loses nothing", values("100+1x599 _x120 820+1x1500"), at(rule, { "24h": a(1440), "33h": a(1440) }), minute),
    valueCase(rule, "a window that starts in a gap starts with the first sample after it", values("100+1x599 _x120 820+1x1600"), at(rule, { "35h": a(1380), "37h": a(1440) }), minute),
    valueCase(rule, "a failed scrape at the edge does not matter", values("100+1x599 _x3 703+1x1600"), at(rule, { "34h1m": a(1443 - 1) }), minute),
    valueCase(rule, "while nothing is scraped the last value holds and leaves the window in time", values("100+1x599 stale"), at(rule, { "20h": a(599), "30h": a(239), "40h": a(0) }), minute),
    valueCase(rule, "a store put back from a backup is no loss", values("100+1x599 300+1x1000"), at(rule, { "11h": a(260) }), minute),
    valueCase(rule, "what is gained after a store was put back counts", values("1000+1x1500 300+1x1000"), at(rule, { "25h": a(1440), "26h": a(59), "41h": a(959) }), minute),
    valueCase(
      rule,
      "the first gain of a new organisation counts, whichever replica shows it first",
      { [series(metric, "old", 1)]: "5x100", [series(metric, "old", 2)]: "5x100", [series(metric, "new", 1)]: "_x41 0 3x50", [series(metric, "new", 2)]: "_x42 3x50" },
      at(rule, { "10m30s": by("org_id", { old: 0, new: 3 }), "20m": by("org_id", { old: 0, new: 3 }) }),
      { step: "15s", evaluation: "30s" },
    ),
    valueCase(rule, "many gaps, one window", values(`0+1x99 ${"_x20 1000+0x20 ".repeat(3).trim()} 2000+1x1500`), at(rule, { "24h": a(2000 + 1440 - 223) }), minute),
  ];
}

/** Leads, proposals and payments: the same windows. */
const activity = (): RuleCase[] =>
  ["crm:leads", "crm:proposals", "crm:payments"].flatMap((stem) => {
    const metric = `${stem.replace(":", "_")}_total`;
    return [...counters(stem, metric), ...window(`${stem}_24h:by_org`, undefined, metric, 24, 1)];
  });

export const financeValueCases: RuleCase[] = [...finance(), ...activity()];
