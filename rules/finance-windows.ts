/**
 * What a durable counter gained in a window, exactly and at a cost that does not grow with the window.
 *
 * `increase()` extrapolates and reads every sample of the window. The counters of crm-api come from its store: they
 * survive restarts and agree between replicas, so a window's gain is its last value minus its first. Three recorded
 * series per organisation make both ends a short lookup:
 *
 * - `<name>:by_org`, the counter as scraped, whatever the replicas; bridges failed scrapes.
 * - `<name>:first:by_org`, its first value after a time without samples: a new organisation's exported 0, or what
 *   Prometheus found when it started or when the API came back. A 0 of any replica counts, for another one may show
 *   the first gain already. Also its value after it went back, when an older copy of the store was restored. It has a few
 *   samples per appearance, so that a scan of 30 d reads next to none.
 * - `<name>:last:by_org`, the counter as last known. While no replica answers it repeats itself, so that an alert
 *   neither resolves nor fires for lack of data.
 *
 * A window ends at `last`. It starts at the sample of that time; where there was none, or a greater one than now because
 * the counter went back since, at the least first sample inside the window; and where that has none either, nothing is
 * known to have happened in it. So the edges are sample times, and a gap loses nothing unless the window starts in it.
 */
import type { MetricSpec } from "./metrics.ts";
import { promql } from "./promql.ts";
import { record } from "./alert.ts";
import type { RecordingRule } from "./types.ts";

/** A durable counter with one series per organisation (and replica). */
export interface DurableCounter {
  readonly metric: MetricSpec;
  /** Stem of the recorded names, such as `crm:invoices_generated`. */
  readonly stem: string;
}

/**
 * The recorded series of a counter. They must stand in this order in one group, before any rule that uses them.
 *
 * The look-backs fit together: `first` is recorded while there was no sample between 6 and 1 minutes ago, and a window's
 * start looks 7 minutes back, so that every start without a sample has a `first` after it, at any rule interval up to 1
 * minute.
 */
export function counterSeries({ metric, stem }: DurableCounter): RecordingRule[] {
  return [
    record(`${stem}:by_org`, `${metric.name} as scraped, one series per organisation whatever the replicas.`, promql`max by (org_id) (last_over_time(${metric}[5m]))`),
    record(
      `${stem}:first:by_org`,
      `${metric.name} when the organisation came into sight; only recorded then.`,
      promql`
        (min by (org_id) (min_over_time(${metric}[5m])) == 0 or max by (org_id) (min_over_time(${metric}[5m])))
          unless last_over_time(${stem}:by_org[5m] offset 1m) <= ${stem}:by_org`,
    ),
    record(
      `${stem}:last:by_org`,
      `${metric.name} as last known, also while nothing is scraped.`,
      promql`${stem}:by_org or (last_over_time(${stem}:last:by_org[10m]) unless on () group(${metric}))`,
    ),
  ];
}

/**
 * Gain of a counter per organisation, in the counter's unit.
 * @param window a Prometheus duration, such as `24h`; never scaled
 * @returns an expression with the label `org_id` alone; at least 0, because a store put back from a backup must not
 *   show a loss
 */
export const gainByOrg = ({ stem }: DurableCounter, window: string): string =>
  promql`
    clamp_min(
      ${stem}:last:by_org - (
        last_over_time(${stem}:by_org[7m] offset ${window}) <= ${stem}:last:by_org
          or min_over_time(${stem}:first:by_org[${window}])
          or ${stem}:last:by_org
      ),
      0)`;
