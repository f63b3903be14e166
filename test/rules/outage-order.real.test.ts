/**
 * An outage of the API in every order in which scrape and probes can notice its begin and its end: which alerts fire at
 * each moment by promtool, and of which of them people are told by the offline evaluator.
 */
import { describe, expect, it } from "vitest";
import { duration } from "../../components/settings/timing.ts";
import { evaluate } from "../../rules/evaluate.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { routing } from "../../rules/routing.ts";
import { caseSettings, type Series } from "./cases/case.ts";
import { findPromtool, followAlerts } from "./support/promtool.ts";

/** From and to, in minutes from the begin of the scenario; `to` is no longer part of it. */
type Span = readonly [from: number, to: number];

interface Scenario {
  readonly scrapeFails: Span;
  readonly probesFail: Span;
  /** When the money stops coming in; it comes back with the API. */
  readonly noRevenueFrom: number;
  /** When each alert fires. */
  readonly firing: Readonly<Record<string, Span>>;
  /** Whom people hear of, in order; each set stays until the next one. */
  readonly told: readonly (readonly string[])[];
}

const promtool = await findPromtool();
if ("missing" in promtool) console.warn(`skipped: ${promtool.missing}`);

/** Hours of history before a scenario: RevenueZeroStreak asks for 48. */
const historyHours = 49;
const minutes = 80;
const routes = routing(caseSettings);
const probes = ["http://crm-api:8080/metrics", "http://crm-api:8080/qbo/status"];
const followed = ["CrmApiDown", "UptimeProbeFailing", "RevenueZeroStreak", "CrmMetricsScrapeStale", "CrmEventsNoMessages", "CrmEventsSLOThroughputDegraded"];

/** A series that has one value inside of a span and another one around it. */
function changing([from, to]: Span, inside: string, outside: string): string {
  const times = (value: string, samples: number) => (value === "stale" ? `stale ${"_ ".repeat(samples - 1)}` : `${value}x${samples - 1}`);
  return [times(outside, historyHours * 120 + from * 2), times(inside, (to - from) * 2), times(outside, (minutes - to) * 2 + 1)].join(" ");
}

function seriesOf({ scrapeFails, probesFail, noRevenueFrom }: Scenario): Series {
  const noEvents: Span = [scrapeFails[0] + 5, scrapeFails[1] + 4];
  return {
    'up{job="crm_api",instance="crm-api-1:8080"}': changing(scrapeFails, "0", "1"),
    'crm_invoices_generated_total{org_id="1"}': changing(scrapeFails, "stale", "7"),
    ...Object.fromEntries(probes.map((instance) => [`probe_success{job="blackbox_http",instance="${instance}",service="crm-api"}`, changing(probesFail, "0", "1")])),
    "crm:revenue_usd": changing([0, 1], "5", "5"),
    "crm:revenue_usd:48h": changing([noRevenueFrom, scrapeFails[1]], "0", "5"),
    // The window of the rate still holds the outage for some minutes after it.
    "crm_events:slo:throughput:5m": changing(noEvents, "0", "2"),
    "crm_events:sse_clients:current": changing([0, 1], "3", "3"),
  };
}

/** Alerts of a name that fire together. */
const countOf = (name: string): number => (name === "UptimeProbeFailing" ? probes.length : 1);

/** Every half minute of a scenario with the names of what fires then. */
function timeline({ firing }: Scenario): { at: number; names: string[] }[] {
  return Array.from({ length: minutes * 2 }, (_, i) => i / 2).map((at) => ({
    at,
    names: Object.entries(firing).flatMap(([name, [from, to]]) => (at >= from && at < to ? Array<string>(countOf(name)).fill(name) : [])),
  }));
}

/** Names of what is told when these fire. */
function told(names: readonly string[]): string[] {
  const labels = names.map((name, i) => ({ ...sampleLabels(alerts(caseSettings).find((a) => a.alert === name)!), ...(countOf(name) > 1 ? { instance: probes[i % probes.length]! } : {}) }));
  return evaluate(routes, labels).notifications.map((n) => n.alerts[0]!.alertname!);
}

/** What an outage sets off; the last sample came half a minute before it. */
const follows = { CrmMetricsScrapeStale: [19.5, 60], CrmEventsNoMessages: [25, 60], CrmEventsSLOThroughputDegraded: [25, 60] } as const;
const outage = [[], ["CrmApiDown"], []];

const scenarios: Readonly<Record<string, Scenario>> = {
  "scrape and probes fail at one time": { scrapeFails: [10, 60], probesFail: [10, 60], noRevenueFrom: 12, firing: { CrmApiDown: [15, 60], RevenueZeroStreak: [17, 60], ...follows }, told: outage },
  "the scrape fails first, and recovers first": { scrapeFails: [10, 60], probesFail: [11.5, 61.5], noRevenueFrom: 12, firing: { CrmApiDown: [15, 60], RevenueZeroStreak: [17, 60], ...follows }, told: outage },
  "the scrape fails first, and recovers last": { scrapeFails: [10, 60], probesFail: [11.5, 58], noRevenueFrom: 12, firing: { CrmApiDown: [15, 60], RevenueZeroStreak: [17, 60], ...follows }, told: outage },
  "the probes fail first, too short to be told": { scrapeFails: [10, 60], probesFail: [8.5, 60], noRevenueFrom: 12, firing: { CrmApiDown: [15, 60], RevenueZeroStreak: [17, 60], ...follows }, told: outage },
  // Before the scrape fails too, nobody can know that this becomes an outage of the whole API.
  "the probes are told, then the scrape fails; the scrape recovers first": {
    scrapeFails: [10, 60],
    probesFail: [5, 65],
    noRevenueFrom: 3,
    firing: { UptimeProbeFailing: [7, 65], RevenueZeroStreak: [8, 60], CrmApiDown: [15, 60], ...follows },
    told: [[], ["UptimeProbeFailing"], ["UptimeProbeFailing", "CrmApiDown"], ["UptimeProbeFailing"], []],
  },
  "the probes are told, then the scrape fails; the probes recover first": {
    scrapeFails: [10, 60],
    probesFail: [5, 55],
    noRevenueFrom: 3,
    firing: { UptimeProbeFailing: [7, 55], RevenueZeroStreak: [8, 60], CrmApiDown: [15, 60], ...follows },
    told: [[], ["UptimeProbeFailing"], ["UptimeProbeFailing", "CrmApiDown"], ["CrmApiDown"], []],
  },
};

describe.skipIf("missing" in promtool)("an outage of the API", () => {
  const program = "program" in promtool ? promtool.program : "";

  it.each(Object.entries(scenarios))("%s", { timeout: 120_000 }, async (_what, scenario) => {
    const steps = timeline(scenario);
    const firing = new Map(steps.map(({ at, names }) => [duration(historyHours * 3600 + at * 60), names]));
    const differences = await followAlerts(program, followed, { series: seriesOf(scenario), firing });
    expect(differences.split("\n").slice(0, 12).join("\n")).toBe("");
    const sets = steps.map(({ names }) => told(names));
    expect(sets.filter((set, i) => JSON.stringify(set) !== JSON.stringify(sets[i - 1]))).toEqual(scenario.told);
  });
});
