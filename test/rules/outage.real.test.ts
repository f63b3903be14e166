/**
 * What people are told in an outage of the API, by the real Alertmanager: one message where there are seven alerts,
 * however they arrive and however long it lasts, also when Alertmanager starts again meanwhile. `LONG=1` repeats more.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { routing } from "../../rules/routing.ts";
import { findAlertmanager, startAlertmanager, startSlack, type TestAlertmanager, type TestSlack } from "../support/alertmanager.ts";
import { sampleSettings } from "../support/settings.ts";

const found = await findAlertmanager();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const long = process.env["LONG"] === "1";
const s = sampleSettings();
const labelsOf = (name: string) => sampleLabels(alerts(s).find((a) => a.alert === name)!);
const targets = routing(s).inhibitions.filter((i) => i.source === "CrmApiDown").flatMap((i) => i.targets);
const seven = ["CrmApiDown", ...targets.slice(0, 6)];
/** The quick group wait, milliseconds. */
const groupWait = 2000;
/** Longer than the quick group interval, so that a late message would have come. */
const settled = 4500;

const shuffled = <T>(list: readonly T[]): T[] => list.map((value) => ({ value, at: Math.random() })).sort((a, b) => a.at - b.at).map(({ value }) => value);

describe.skipIf("missing" in found)("an outage of the API", () => {
  let slack: TestSlack;
  let am: TestAlertmanager;
  const program = "program" in found ? found.program : "";
  const start = (...args: string[]) => startAlertmanager(program, alertmanagerFiles(s), { "slack-crm": `${slack.url}/crm`, "slack-ops": `${slack.url}/ops`, "deadman-url": `${slack.url}/deadman` }, args);

  beforeEach(async () => void (slack = await startSlack()));
  afterEach(async () => {
    await am?.stop();
    await slack.stop();
  });

  it(`gives one message of seven alerts in any order, ${long ? 100 : 5} times`, { timeout: 1_200_000 }, async () => {
    for (let round = 0; round < (long ? 100 : 5); round++) {
      // A new one each time: it keeps the empty groups of an outage for up to 30 s, and flushes what comes into them at their
      // next interval instead of after the group wait. No alert is over and told again as soon as that.
      await am?.stop();
      am = await start();
      const before = slack.delivered().length;
      for (const name of shuffled(seven)) {
        await am.post([labelsOf(name)]);
        await sleep(Math.random() * (groupWait / seven.length) * 0.5);
      }
      await slack.wait(before + 1);
      await sleep(settled);
      const messages = slack.delivered().slice(before);
      expect(messages.map((m) => [m.path, m.attachment.title]), `round ${round}`).toEqual([["/crm", "[FIRING] CrmApiDown (crm-api)"]]);
      expect((await am.alerts()).filter((a) => a.status.state === "suppressed")).toHaveLength(6);
      // The others end first: what is over when the API comes back must not be told then.
      await am.post(seven.slice(1).map(labelsOf), { resolved: true });
      await am.post([labelsOf("CrmApiDown")], { resolved: true });
      await slack.wait(before + 2);
      await sleep(500);
      expect(slack.delivered().slice(before + 1).map((m) => m.attachment.title)).toEqual(["[RESOLVED] CrmApiDown (crm-api)"]);
    }
  });

  it("stays at one message when everything that follows from it fires too", async () => {
    am = await start();
    await am.post([labelsOf("CrmApiDown")]);
    await slack.wait(1);
    for (const name of shuffled(targets)) await am.post([labelsOf(name)]);
    await sleep(settled * 2);
    expect(slack.delivered().map((m) => m.attachment.title)).toEqual(["[FIRING] CrmApiDown (crm-api)"]);
    const state = Object.fromEntries((await am.alerts()).map((a) => [a.labels.alertname, a.status.state]));
    expect(state).toEqual({ CrmApiDown: "active", ...Object.fromEntries(targets.map((name) => [name, "suppressed"])) });
  });

  it("tells what still holds when the API is back", async () => {
    am = await start();
    await am.post(["CrmApiDown", "RevenueZeroStreak"].map(labelsOf));
    await slack.wait(1);
    await am.post([labelsOf("CrmApiDown")], { resolved: true });
    const messages = await slack.wait(3);
    expect(messages.map((m) => m.attachment.title).sort()).toEqual(["[FIRING] CrmApiDown (crm-api)", "[FIRING] RevenueZeroStreak (crm-api)", "[RESOLVED] CrmApiDown (crm-api)"]);
  });

  const probes = ["http://crm-api:8080/metrics", "crm-api:8080"].map((instance) => ({ ...labelsOf("UptimeProbeFailing"), instance }));
  const mutedByProbe = routing(s).inhibitions.find((i) => i.source === "UptimeProbeFailing")!.targets.map(labelsOf);
  const titles = () => slack.delivered().map((m) => m.attachment.title);

  it.each([
    ["scrape", ["CrmApiDown", "UptimeProbeFailing"]],
    ["probes", ["UptimeProbeFailing", "CrmApiDown"]],
  ])("tells of nothing else when it is seen by the probes first, with the %s first to recover", async (_first, order) => {
    am = await start();
    await am.post(probes);
    await slack.wait(1);
    await am.post(mutedByProbe);
    await sleep(settled);
    // The probes are still told when the scrape fails too, so that there is no time between the two causes.
    await am.post([labelsOf("CrmApiDown")]);
    await slack.wait(2);
    await sleep(settled);
    expect(titles()).toEqual(["[FIRING:2] UptimeProbeFailing (crm-api)", "[FIRING] CrmApiDown (crm-api)"]);
    await am.post(mutedByProbe, { resolved: true });
    for (const name of order) {
      await am.post(name === "CrmApiDown" ? [labelsOf(name)] : probes, { resolved: true });
      await sleep(300);
    }
    await slack.wait(4);
    await sleep(settled);
    expect(titles().slice(2).sort()).toEqual(["[RESOLVED] UptimeProbeFailing (crm-api)", "[RESOLVED] CrmApiDown (crm-api)"].sort());
  });

  it("would leak if the probes' alert ended when the scrape fails", async () => {
    am = await start();
    await am.post(probes);
    await slack.wait(1);
    await am.post(mutedByProbe);
    await sleep(settled);
    await am.post(probes, { resolved: true });
    await sleep(settled);
    expect(titles().some((title) => title.includes("RevenueZeroStreak"))).toBe(true);
  });

  it("leaks, as the rule says, when the cause comes later than the group wait", async () => {
    am = await start();
    await am.post([labelsOf("RevenueZeroStreak")]);
    await slack.wait(1);
    await am.post([labelsOf("CrmApiDown")]);
    await slack.wait(2);
    expect(slack.delivered().map((m) => m.attachment.title)).toEqual(["[FIRING] RevenueZeroStreak (crm-api)", "[FIRING] CrmApiDown (crm-api)"]);
  });

  const restarts = long ? 20 : 2;
  it(`leaks nothing when Alertmanager starts again, ${restarts} times`, { timeout: 1_200_000 }, async () => {
    // Prometheus sends a firing alert again within a resend delay: here 2 s, with the start delay well above it.
    am = await start("--dispatch.start-delay=6s");
    await am.post(seven.map(labelsOf));
    await slack.wait(1, 30);
    for (let round = 0; round < restarts; round++) {
      await (round % 2 === 0 ? am.restart() : am.restart(true));
      // The worst order: everything that is muted comes first, its cause at the end of the resend delay.
      await am.post(seven.slice(1).map(labelsOf));
      await sleep(2000);
      await am.post([labelsOf("CrmApiDown")]);
      await sleep(settled + 4_000);
      // A hard end loses the log of what was sent; the cause itself may be told again, nothing else.
      expect([...new Set(slack.delivered().map((m) => m.attachment.title))], `restart ${round}`).toEqual(["[FIRING] CrmApiDown (crm-api)"]);
    }
  });

  it("would leak without the start delay", async () => {
    am = await start();
    await am.post(seven.map(labelsOf));
    await slack.wait(1);
    await am.restart();
    await am.post(seven.slice(1).map(labelsOf));
    await expect.poll(() => titles().some((title) => title.includes("RevenueZeroStreak")), { timeout: 10_000 }).toBe(true);
  });

  it("leaks nothing when Alertmanager loads its configuration again", async () => {
    am = await start("--dispatch.start-delay=3s");
    await am.post(seven.map(labelsOf));
    await slack.wait(1, 30);
    for (let round = 0; round < (long ? 20 : 2); round++) {
      await am.reload();
      await sleep(settled);
    }
    expect([...new Set(slack.delivered().map((m) => m.attachment.title))]).toEqual(["[FIRING] CrmApiDown (crm-api)"]);
  });
});
