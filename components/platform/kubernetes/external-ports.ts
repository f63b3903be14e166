/** Which ports outside the stack its settings name. */
import type { Settings } from "../../settings/schema.ts";
import { parts } from "../../topology.ts";

/** Ports, ascending, of every server outside the stack that a setting names: databases, brokers, scrape targets, receivers. */
export function externalPorts(s: Settings): number[] {
  const hostPorts = [...(s.kafka.builtIn ? [] : s.kafka.brokers), ...s.ragTargets.filter(isOutside), ...(s.mail ? [s.mail.smarthost] : [])];
  const urls = [...s.remoteWrite, ...s.httpsTargets].map(({ url }) => url).concat(s.grafana.url ?? []);
  const found = [...hostPorts.map((hostPort) => Number(hostPort.split(":").at(-1))), ...urls.map(portOf), ...(s.postgres ? [s.postgres.port] : [])];
  return [...new Set(found)].sort((a, b) => a - b);
}

const isOutside = (hostPort: string) => !((hostPort.split(":")[0] ?? "") in parts);

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}
