/** Thresholds that could never fire or in the wrong order, and windows that are not kept. */
import type { Fixes } from "./fixes.ts";
import type { Plain } from "./keys.ts";
import { streamsPerReplica } from "./own-parts.ts";
import type { Check, Problem } from "./problem.ts";
import { seconds, timingOf } from "./timing.ts";

/** Three digits are enough for a suggestion, and hide what binary fractions add. */
const rounded = (value: number) => Number(value.toPrecision(3));

/** The largest lag is at most the partition count times the average: one partition allows no threshold at all. */
function skew({ thresholds: t, kafkaPartitions }: Plain, fixes: Fixes): Problem[] {
  if (t.skew < kafkaPartitions) return [];
  if (kafkaPartitions === 1)
    return [{ key: "kafkaPartitions", message: "of 1 lets CrmEventsHotKeySkewHigh never fire: one partition has no skew", fix: fixes.set("kafkaPartitions") }];
  const message = `of ${t.skew} can never fire: the largest lag is at most ${kafkaPartitions} times the average with ${kafkaPartitions} partitions`;
  return [{ key: "thresholds.skew", message, fix: fixes.set(["thresholds", "skew"], kafkaPartitions > 4 ? 4 : (1 + kafkaPartitions) / 2) }];
}

/** Percent of due invoices that may be overdue under a target in percent; 99.9 leaves 0.1, not 0.09999999999999432. */
export const budgetPct = (targetPct: number): number => Number((100 - targetPct).toFixed(9));

/** With all invoices overdue the budget burns at 100 / (100 - target in percent). */
function burn({ thresholds: t }: Plain, fixes: Fixes): Problem[] {
  // In percent: whole numbers stay exact.
  const budget = budgetPct(t.paymentSloPct);
  const usual = { paymentBurnFast: 3, paymentBurnSlow: 1 } as const;
  return (["paymentBurnFast", "paymentBurnSlow"] as const)
    .filter((key) => t[key] * budget >= 100)
    .map((key) => ({
      key: `thresholds.${key}`,
      message: `of ${t[key]} can never fire: a target of ${t.paymentSloPct} % burns at most ${(100 / budget).toFixed(2)} times its budget`,
      fix: fixes.set(["thresholds", key], Math.min(usual[key], Math.floor(900 / budget) / 10)),
    }));
}

function floor({ thresholds: { paymentFloorPct, paymentSloPct } }: Plain, fixes: Fixes): Problem[] {
  if (paymentFloorPct < paymentSloPct) return [];
  const lower = rounded(paymentSloPct > 10 ? paymentSloPct - 10 : paymentSloPct / 2);
  return [{ key: "thresholds.paymentFloorPct", message: `must be below the target of ${paymentSloPct} %`, fix: fixes.set(["thresholds", "paymentFloorPct"], lower) }];
}

/** The warning comes first: fewer days are left when it is critical. */
function certificates({ thresholds: { certWarningDays: warning, certCriticalDays: critical } }: Plain, fixes: Fixes): Problem[] {
  if (critical < warning) return [];
  const fewer = warning > 3 ? 3 : rounded(warning / 2);
  return [{ key: "thresholds.certCriticalDays", message: `must be below thresholds.certWarningDays, ${warning}`, fix: fixes.set(["thresholds", "certCriticalDays"], fewer) }];
}

/** Rules look back 30 d and the few minutes of one recorded copy (rules/checks.ts compares each of them). */
function retention({ retention: kept }: Plain, fixes: Fixes): Problem[] {
  if (seconds(kept) < seconds("30d1h")) return [{ key: "retention", message: `of ${kept} is less than 30d1h: rules look back 30 d and some minutes`, fix: fixes.set("retention", "33d") }];
  if (seconds(kept) > seconds("10y")) return [{ key: "retention", message: `of ${kept} is longer than 10 years`, fix: fixes.set("retention", "33d") }];
  return [];
}

/** More clients than the replicas take are refused and never counted. */
function clients({ thresholds: t, replicas }: Plain, fixes: Fixes): Problem[] {
  const most = streamsPerReplica * replicas.crmEvents;
  if (t.maxClients < most) return [];
  return [{ key: "thresholds.maxClients", message: `of ${t.maxClients} can never fire: ${replicas.crmEvents} replicas hold at most ${most} streams`, fix: fixes.set(["thresholds", "maxClients"], 50) }];
}

/** A restart is seen where one scrape differs from the last. */
function restarts(plain: Plain, fixes: Fixes): Problem[] {
  const { thresholds: t } = plain;
  const most = Math.ceil(seconds("15m") / timingOf(plain).scrapeSeconds) - 1;
  if (t.restarts < most) return [];
  return [{ key: "thresholds.restarts", message: `of ${t.restarts} can never fire: 15 minutes of scrapes show at most ${most} restarts`, fix: fixes.set(["thresholds", "restarts"], 3) }];
}

/** A poll that takes longer than a fifth of the window begins it anew (services/crm-events-health/verdict.ts). */
function healthProbe({ healthProbe: { windowMinutes, promTimeoutMs, promRetries } }: Plain, fixes: Fixes): Problem[] {
  const hole = (windowMinutes * 60) / 5;
  const poll = ((promRetries + 1) * (promTimeoutMs + 100)) / 1000;
  if (poll <= hole) return [];
  const message = `of ${promTimeoutMs} with ${promRetries} retries lets a poll take ${rounded(poll)} s, but samples may be missing for a fifth of the ${windowMinutes} min window only`;
  return [{ key: "healthProbe.promTimeoutMs", message, fix: fixes.set(["healthProbe", "promTimeoutMs"], Math.floor((hole * 1000) / (promRetries + 1)) - 100) }];
}

export const reachable: Check = (plain, _present, fixes) => [skew, burn, floor, certificates, retention, clients, restarts, healthProbe].flatMap((check) => check(plain, fixes));
