/** Instruments made from the shared names, in a registry of the caller's own, so that tests never share state. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";
import type { MetricSpec } from "../../rules/metrics.ts";

export { Registry } from "@prometheus-io/client";

/** A registry with the process's own metrics. */
export function createRegistry(defaults = true): Registry {
  const registry = new Registry();
  if (defaults) collectDefaultMetrics({ register: registry });
  return registry;
}

const options = (registry: Registry, spec: MetricSpec) => ({ name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] });

export const counter = (registry: Registry, spec: MetricSpec): Counter<string> => new Counter(options(registry, spec));

/** @param collect sets the gauge at each scrape, for what is known only by looking */
export const gauge = (registry: Registry, spec: MetricSpec, collect?: (gauge: Gauge<string>) => void | Promise<void>): Gauge<string> =>
  new Gauge({ ...options(registry, spec), ...(collect && { collect(this: Gauge<string>) { return collect(this); } }) });

/** @param buckets upper bounds, in the metric's unit */
export const histogram = (registry: Registry, spec: MetricSpec, buckets: readonly number[]): Histogram<string> =>
  new Histogram({ ...options(registry, spec), buckets: [...buckets] });
