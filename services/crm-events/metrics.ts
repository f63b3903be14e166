/** The instruments of crm-events. */
import { crmEvents } from "../../rules/metrics.ts";
import { counter, createRegistry, gauge, histogram, type Registry } from "../shared/metrics.ts";
import { rejections } from "./event.ts";

/** Seconds; the goal is a delivery within 0.1. */
const latencyBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** The fan-out has an answer about each partition every two seconds at the latest; one that is late by more is missing. */
const answerMs = 5_000;

export type EventsMetrics = ReturnType<typeof createMetrics>;

/** @param registry default: one of its own, with the metrics of the process */
export function createMetrics(registry: Registry = createRegistry()) {
  /** When the fan-out had the last answer about each of its partitions, by `performance.now`. */
  const fanoutAnswers = new Map<number, number>();
  const metrics = {
    registry,
    fanoutAnswers,
    clients: gauge(registry, crmEvents.sseClients),
    messages: counter(registry, crmEvents.messages),
    requests: counter(registry, crmEvents.httpRequests),
    latency: histogram(registry, crmEvents.deliveryLatency, latencyBuckets),
    dropped: counter(registry, crmEvents.droppedClients),
    deadLetters: counter(registry, crmEvents.deadLetters),
    bytes: counter(registry, crmEvents.sseBytes),
    fanoutLag: gauge(registry, crmEvents.fanoutLag),
    fanoutSilent: gauge(registry, crmEvents.fanoutSilent, (silent) => {
      silent.reset();
      for (const [partition, at] of fanoutAnswers) {
        const ms = performance.now() - at;
        silent.set({ partition: `${partition}` }, ms < answerMs ? 0 : ms / 1_000);
      }
    }),
    circuitOpen: gauge(registry, crmEvents.circuitOpen),
  };
  // From 0 on, so that the first drop or dead letter is an increase that a rule can see.
  for (const reason of ["slow", "rate", "drain"]) metrics.dropped.inc({ reason }, 0);
  for (const reason of rejections) metrics.deadLetters.inc({ reason }, 0);
  metrics.circuitOpen.set(0);
  return metrics;
}
