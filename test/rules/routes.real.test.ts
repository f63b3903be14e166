/** Routes and inhibitions: the real Alertmanager and the offline evaluator on the same cases. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { destinations, evaluate } from "../../rules/evaluate.ts";
import { alerts } from "../../rules/index.ts";
import { routedLabels, sampleLabels } from "../../rules/labels.ts";
import { routing } from "../../rules/routing.ts";
import type { Labels } from "../../rules/types.ts";
import { findAlertmanager, startAlertmanager, startSlack, type SeenAlert, type TestAlertmanager, type TestSlack } from "../support/alertmanager.ts";
import { sampleSettings } from "../support/settings.ts";

const found = await findAlertmanager();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);

/** Every receiver is there, so that the `page` route is judged too. */
const s = sampleSettings({ pagerduty: true, mail: { to: "ops@example.com", from: "crm@example.com", smarthost: "127.0.0.1:9" } });
const routes = routing(s);
const labelsOf = (name: string): Labels => sampleLabels(alerts(s).find((a) => a.alert === name)!);
const key = (labels: Labels): string => JSON.stringify(Object.entries(labels).sort());

describe.skipIf("missing" in found)("against the real Alertmanager", () => {
  let slack: TestSlack;
  let am: TestAlertmanager;
  let told: Labels[] = [];

  beforeAll(async () => {
    slack = await startSlack();
    const secrets = { "slack-crm": `${slack.url}/crm`, "slack-ops": `${slack.url}/ops`, "deadman-url": `${slack.url}/deadman`, "pagerduty-key": "0123456789abcdef0123456789abcdef" };
    const files = alertmanagerFiles(s);
    // Nothing may leave this machine.
    const local = files["alertmanager.yml"]!.replace("global:\n", `global:\n  pagerduty_url: ${slack.url}/pagerduty\n`);
    am = await startAlertmanager("program" in found ? found.program : "", { ...files, "alertmanager.yml": local }, secrets);
  });
  afterAll(async () => {
    await am?.stop();
    await slack?.stop();
  });

  /** Ends what fires and posts these instead; gives what Alertmanager makes of them. */
  async function fire(firing: readonly Labels[]): Promise<SeenAlert[]> {
    if (told.length > 0) await am.post(told, { resolved: true });
    await am.post(firing);
    told = [...firing];
    const wanted = new Set(firing.map(key));
    const muted = new Set(evaluate(routes, firing).muted.map((m) => key(m.alert)));
    let seen: SeenAlert[] = [];
    for (let tries = 0; tries < 100; tries++) {
      const all = await am.alerts();
      seen = all.filter((a) => wanted.has(key(a.labels)));
      const taken = seen.length === wanted.size && seen.length === all.length && seen.every((a) => a.status.state !== "unprocessed");
      // The inhibitor hears of alerts by itself, a moment after the API shows them.
      if (taken && seen.every((a) => a.status.inhibitedBy.length > 0 === muted.has(key(a.labels)))) return seen;
      await sleep(50);
    }
    if (seen.length !== wanted.size) throw new Error("Alertmanager did not take the alerts");
    return seen;
  }

  /** Receivers and sources of muting, as the evaluator and as Alertmanager see them. */
  function compare(firing: readonly Labels[], seen: readonly SeenAlert[]): void {
    const { muted } = evaluate(routes, firing);
    for (const labels of firing) {
      const alert = seen.find((a) => key(a.labels) === key(labels))!;
      expect(alert.receivers.map((r) => r.name).sort(), labels.alertname).toEqual([...new Set(destinations(routes.root, labels).map((d) => d.receiver))].sort());
      expect(alert.status.inhibitedBy.length > 0, `${labels.alertname} muted`).toBe(muted.some((m) => m.alert === labels));
    }
  }

  it("sends every alert of the stack where the table says", async () => {
    const table = alerts(s).flatMap((a) => routedLabels(a, routes));
    const all = [...new Map(table.map((labels) => [key(labels), labels])).values()];
    compare(all, await fire(all));
    const seen = await fire(["CrmApiDown", "LowConfidenceSpikeVIP", "TargetDown", "Watchdog"].map(labelsOf));
    expect(Object.fromEntries(seen.map((a) => [a.labels.alertname, a.receivers.map((r) => r.name).sort()]))).toEqual({
      CrmApiDown: ["page", "slack-crm"],
      LowConfidenceSpikeVIP: ["page", "slack-ops"],
      TargetDown: ["slack-ops"],
      Watchdog: ["dead-man"],
    });
  });

  it("groups as the evaluator does", async () => {
    const partitions = ["0", "1"].map((partition) => ({ ...labelsOf("CrmEventsPartitionStuck"), partition }));
    const tenants = ["a", "b"].map((tenant) => ({ ...labelsOf("LowConfidenceSpike"), tenant }));
    const firing = [...partitions, ...tenants, labelsOf("TargetDown"), { alertname: "Foreign", team: "crm" }];
    await fire(firing);
    const wanted = evaluate(routes, firing).notifications.map((n) => [n.destination.receiver, n.group, n.alerts.length] as const);
    const order = (list: readonly (readonly [string, Labels, number])[]) => list.map(([name, labels, count]) => JSON.stringify([name, Object.entries(labels).sort(), count])).sort();
    // The API shows alerts a moment before they are in their groups.
    await expect.poll(async () => order((await am.groups()).map((g) => [g.receiver.name, g.labels, g.alerts.length])), { timeout: 5_000 }).toEqual(order(wanted));
  });

  const pairs = routes.inhibitions.flatMap((rule) => rule.targets.map((target): [string, string, string[]] => [rule.source, target, [...rule.equal]]));

  it.each(pairs)("%s mutes %s, which does not mute it", async (source, target, equal) => {
    const common = Object.fromEntries(equal.map((label) => [label, labelsOf(target)[label]!]));
    const both = [{ ...labelsOf(source), ...common }, labelsOf(target)];
    const seen = await fire(both);
    compare(both, seen);
    const state = Object.fromEntries(seen.map((a) => [a.labels.alertname, a.status.state]));
    expect(state).toEqual({ [source]: "active", [target]: "suppressed" });
    const [sourceAlert, targetAlert] = [source, target].map((name) => seen.find((a) => a.labels.alertname === name)!) as [SeenAlert, SeenAlert];
    expect(targetAlert.status.inhibitedBy).toEqual([sourceAlert.fingerprint]);
  });

  it.each(pairs)("%s does not mute %s of something else, nor when it is over", async (source, target, equal) => {
    const other = Object.fromEntries(equal.map((label) => [label, "something-else"]));
    const both = [{ ...labelsOf(source), ...other }, labelsOf(target)];
    const seen = await fire(both);
    compare(both, seen);
    expect(seen.find((a) => a.labels.alertname === target)!.status.state).toBe("active");
    const alone = await fire([labelsOf(target)]);
    expect(alone.map((a) => a.status.state)).toEqual(["active"]);
  });

  it("agrees with the evaluator on random sets of alerts", { timeout: 300_000 }, async () => {
    let seed = 20260101;
    // Numerical Recipes' linear congruential generator: the same sets at every run.
    const random = (below: number) => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % below;
    const names = alerts(s).map((a) => a.alert);
    const inRules = [...new Set(routes.inhibitions.flatMap((i) => [i.source, ...i.targets]))];
    for (let round = 0; round < (process.env["LONG"] === "1" ? 300 : 30); round++) {
      const firing = Array.from({ length: 2 + random(10) }, () => {
        const pool = random(3) === 0 ? names : inRules;
        const labels: Record<string, string> = { ...labelsOf(pool[random(pool.length)]!) };
        for (const label of ["service", "team", "tenant"]) {
          const dice = random(6);
          if (dice === 0) labels[label] = ["crm-api", "crm-events-sse", "crm", "vip-a"][random(4)]!;
          if (dice === 1) delete labels[label];
        }
        return labels;
      });
      const distinct = [...new Map(firing.map((labels) => [key(labels), labels])).values()];
      compare(distinct, await fire(distinct));
    }
  });
});
