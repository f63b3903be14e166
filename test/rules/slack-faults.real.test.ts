/** A Slack that fails: what Alertmanager delivers, and when. The runbook of AlertmanagerNotificationsFailing says the same. */
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { findAlertmanager, startAlertmanager, startSlack, type TestAlertmanager, type TestSlack } from "../support/alertmanager.ts";
import { sampleSettings } from "../support/settings.ts";

const found = await findAlertmanager();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const s = sampleSettings();
const down = sampleLabels(alerts(s).find((a) => a.alert === "CrmApiDown")!);
/** The quick group interval. */
const groupInterval = 3000;

describe.skipIf("missing" in found)("when Slack", () => {
  let slack: TestSlack;
  let am: TestAlertmanager;

  beforeEach(async () => {
    slack = await startSlack();
    const files = alertmanagerFiles(s);
    // The time limit of a request, in quick time as well.
    const config = files["alertmanager.yml"]!.replaceAll("timeout: 10s", "timeout: 1s");
    am = await startAlertmanager("program" in found ? found.program : "", { ...files, "alertmanager.yml": config }, { "slack-crm": `${slack.url}/crm`, "slack-ops": `${slack.url}/ops`, "deadman-url": `${slack.url}/deadman` });
  });
  afterEach(async () => {
    await am.stop();
    await slack.stop();
  });

  const failed = async () => {
    const text = await (await fetch(`${am.url}/metrics`)).text();
    return [...text.matchAll(/^alertmanager_notifications_failed_total\{.*integration="slack".*\} (\d+)/gm)].reduce((sum, m) => sum + Number(m[1]), 0);
  };

  it("answers 500 three times, the message comes by the fourth attempt and once", async () => {
    slack.misbehave("500", "500", "500");
    await am.post([down]);
    await slack.wait(1, 30);
    await sleep(groupInterval + 1000);
    expect(slack.delivered()).toHaveLength(1);
    expect(slack.requests.length).toBe(4);
  });

  it("answers 429, the message comes with the next group interval", async () => {
    slack.misbehave("429");
    await am.post([down]);
    const [message] = await slack.wait(1, 30);
    const [refused] = slack.requests;
    expect(refused!.answer).toBe("429");
    expect(message!.at - refused!.at).toBeGreaterThan(groupInterval * 0.8);
    expect(slack.requests).toHaveLength(2);
    expect(await failed()).toBe(1);
  });

  it("hangs, the attempt ends and is repeated", async () => {
    slack.misbehave("hang");
    await am.post([down]);
    const [message] = await slack.wait(1, 30);
    expect(message!.at - slack.requests[0]!.at).toBeGreaterThan(900);
    expect(slack.delivered()).toHaveLength(1);
  });

  it("closes the connection, the attempt is repeated", async () => {
    slack.misbehave("reset");
    await am.post([down]);
    await slack.wait(1, 30);
    await sleep(1000);
    expect(slack.delivered()).toHaveLength(1);
  });

  it.each(["404", "invalid_token"] as const)("answers %s, it is asked once per group interval and the failure is counted", async (answer) => {
    slack.misbehave(...Array<typeof answer>(100).fill(answer));
    await am.post([down]);
    // Between two attempts, so that none is counted here and not yet there.
    await sleep(2000 + 2.5 * groupInterval);
    expect(slack.delivered()).toHaveLength(0);
    expect(slack.requests.length).toBeGreaterThanOrEqual(2);
    expect(slack.requests.length).toBeLessThanOrEqual(4);
    expect(await failed()).toBe(slack.requests.length);
    slack.misbehave();
    await slack.wait(1, 20);
  });

  it("was away until the alert was over, nobody is told of either", async () => {
    slack.misbehave(...Array<"429">(100).fill("429"));
    await am.post([down]);
    await sleep(3500);
    expect(slack.requests.length).toBeGreaterThan(0);
    await am.post([down], { resolved: true });
    await sleep(groupInterval + 1000);
    slack.misbehave();
    await sleep(groupInterval + 1000);
    expect(slack.delivered()).toHaveLength(0);
  });

  it("has a new address, the next message goes there without a reload", async () => {
    await am.post([down]);
    await slack.wait(1);
    const { config } = (await (await fetch(`${am.url}/api/v2/status`)).json()) as { config: { original: string } };
    const file = /api_url_file: (\S+slack-crm)/.exec(config.original)![1]!;
    writeFileSync(file, `${slack.url}/moved\n`);
    await am.post([down], { resolved: true });
    const messages = await slack.wait(2);
    expect(messages.map((m) => m.path)).toEqual(["/crm", "/moved"]);
  });
});
