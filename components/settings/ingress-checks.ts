/** Addresses that people and QuickBooks open, beside those that the Ingress serves. */
import { hostAt, urlAt } from "./ingress-address.ts";
import type { Check } from "./problem.ts";

/** Told only: something before the Ingress may serve the other address. */
export const ingressAddresses: Check = ({ ingress, urls, qboRedirectUrl, grafana }, _present, fixes) => {
  if (ingress === undefined) return [];
  const served = [
    ["prometheus", urls.prometheus, ["urls", "prometheus"]],
    ["alertmanager", urls.alertmanager, ["urls", "alertmanager"]],
    ["grafana", grafana === "built-in" ? urls.grafana : undefined, ["urls", "grafana"]],
    ["command-center", urls.commandCenter, ["urls", "commandCenter"]],
    ["crm-api", qboRedirectUrl, ["qboRedirectUrl"]],
  ] as const;
  return served.flatMap(([part, url, path]) => {
    const host = hostAt(ingress, part);
    if (url === undefined || new URL(url).hostname === host) return [];
    const address = `${urlAt(ingress, part)}${new URL(url).pathname.replace(/\/$/, "")}`;
    return [{ key: path.join("."), message: `leads to ${new URL(url).hostname}, but the ingress serves this part at ${host}`, fix: fixes.set([...path], address), warning: true }];
  });
};
