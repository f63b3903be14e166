/** Settings that name, or collide with, the stack's own parts. */
import type { Plain, SecretKey } from "./keys.ts";
import { ownPorts, partAt, type OwnPart } from "./own-parts.ts";
import type { Check, Problem } from "./problem.ts";

/** Only the simulator exports RAG metrics; another part would lose its own scrape job to them. */
const ragTargets: Check = (plain, _present, fixes) =>
  plain.ragTargets.flatMap((target, i): Problem[] => {
    const part = partAt(target.slice(0, target.lastIndexOf(":")));
    const path = ["ragTargets", i];
    const key = `ragTargets[${i}]`;
    if (part === undefined) return [];
    if (part !== "simulator") return [{ key, message: `names ${part} of this stack, which exports no RAG metrics`, fix: fixes.remove(path) }];
    if (target !== `simulator:${ownPorts.simulator}`) return [{ key, message: "names the simulator at an address that it does not have", fix: fixes.set(path, `simulator:${ownPorts.simulator}`) }];
    if (plain.simulator) return [];
    return [{ key, message: "names the simulator, which this stack does not run", fix: plain.environment === "production" ? fixes.remove(path) : fixes.set("simulator", true) }];
  });

/** Parts whose port is published on the engine's loopback address. */
function published(plain: Plain, present: ReadonlySet<SecretKey>): OwnPart[] {
  const slackStandin = plain.environment === "development" && !present.has("slackWebhook") && !present.has("slackWebhooks");
  return [
    "prometheus", "alertmanager", "crm-api", "crm-events", "command-center",
    ...(plain.grafana === "built-in" ? (["grafana"] as const) : []),
    ...(plain.simulator ? (["simulator"] as const) : []),
    ...(slackStandin ? (["slack-standin"] as const) : []),
  ];
}

const externalPort: Check = (plain, present, fixes) => {
  const [host, port] = plain.kafkaExternal?.split(":") ?? [];
  const taken = published(plain, present).find((name) => ownPorts[name] + plain.portOffset === Number(port));
  if (taken === undefined) return [];
  return [{ key: "kafkaExternal", message: `has the port at which ${taken} is published`, fix: fixes.set("kafkaExternal", `${host}:${ownPorts.kafka + plain.portOffset}`) }];
};

export const ownParts: Check = (...all) => [...ragTargets(...all), ...externalPort(...all)];
