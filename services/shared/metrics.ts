/** Instruments made from the shared names, in a registry of the caller's own, so that tests never share state. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";
import type { MetricSpec } from "../../rules/metrics.ts";

export { Registry } from "@prometheus-io/client";

/** Defaults of the client whose names break the rules that `promtool check metrics` checks; nothing here uses them. */
const misnamed = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
  "nodejs_eventloop_utilization_histogram",
  "nodejs_eventloop_utilization_summary",
];

/** A registry with the process's own metrics. */
export function createRegistry(defaults = true): Registry {
  const registry = new Registry();
  if (!defaults) return registry;
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  return registry;
}

const methods = new Set(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]);

/** Value of a label for a request's method. Values must stay few, and Node reads some thirty methods: the rest is `other`. */
export const methodLabel = (method: string): string => (methods.has(method) ? method : "other");

const options = (registry: Registry, spec: MetricSpec) => ({ name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] });

export const counter = (registry: Registry, spec: MetricSpec): Counter<string> => new Counter(options(registry, spec));

/** @param collect sets the gauge at each scrape, for what is known only by looking */
export const gauge = (registry: Registry, spec: MetricSpec, collect?: (gauge: Gauge<string>) => void | Promise<void>): Gauge<string> =>
  new Gauge({ ...options(registry, spec), ...(collect && { collect(this: Gauge<string>) { return collect(this); } }) });

/** @param buckets upper bounds, in the metric's unit */
export const histogram = (registry: Registry, spec: MetricSpec, buckets: readonly number[]): Histogram<string> =>
  new Histogram({ ...options(registry, spec), buckets: [...buckets] });
