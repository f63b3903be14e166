/** Health as probes of a container. */
import type { core } from "@pulumi/kubernetes/types/input.js";
import type { Health } from "../platform.ts";

/**
 * How long a start may take before the container is killed for it. On Docker nothing is ever killed for being slow; here
 * a killed start begins from nothing, so a long replay of a log would never end if this were short.
 */
const startAllowanceSeconds = 900;

/** Failed probes in a row after which a pod gets no more requests; a restart takes `retries`. */
const unreadyAfter = 3;

/**
 * Three probes of the same question: the start, whether requests are sent, and whether it must be restarted.
 * Kubernetes takes any status from 200 to 399 as success, and any certificate.
 */
export function probesOf(health: Health): Pick<core.v1.Container, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const handler: core.v1.Probe =
    "http" in health ? { httpGet: { path: health.http.path, port: health.http.port, ...(health.http.tls && { scheme: "HTTPS" }) } } : { tcpSocket: { port: health.tcp } };
  const periodSeconds = health.intervalSeconds ?? 5;
  const retries = health.retries ?? 5;
  const probe = { ...handler, timeoutSeconds: health.timeoutSeconds ?? 3 };
  const startPeriod = Math.min(periodSeconds, 5);
  return {
    startupProbe: { ...probe, periodSeconds: startPeriod, failureThreshold: Math.ceil(startAllowanceSeconds / startPeriod) },
    readinessProbe: { ...probe, periodSeconds, failureThreshold: Math.min(retries, unreadyAfter) },
    livenessProbe: { ...probe, periodSeconds, failureThreshold: retries },
  };
}
