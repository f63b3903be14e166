import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import { alerts } from "../../rules/index.ts";
import { worstCaseSeconds } from "../../rules/latency.ts";
import { docker, emptyInbox, getJson, at, inbox, messagesOf, prefix, query, runningSettings, sleep, textOf, until } from "../support/stack.ts";

let settings: Settings;
beforeAll(async () => {
  settings = await runningSettings();
  // On a stack that has just started, alerts of the CRM may still be pending.
  const quiet = ["alertname=~\"Crm.*\"", "alertstate=\"firing\",alertname!=\"Watchdog\""];
  await until("silence before the outage", 240, async () => (await query("up")).length > 0 && (await Promise.all(quiet.map((matchers) => query(`ALERTS{${matchers}}`)))).every((found) => found.length === 0));
  await emptyInbox();
});
afterAll(() => docker("start", `${prefix}-crm-api`));

/** What an outage of crm-api sets off besides; their windows are hours and days. */
const following = ["RevenueZeroStreak", "InvoiceGenerationStalled", "RevenueFlatlineFast", "RevenueFlatlineSlow", "PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"];

/** Titles of all messages that say that something fires. */
const firing = async () => (await inbox()).filter((m) => textOf(m).includes("[FIRING")).map((m) => m.payload.attachments?.map((a) => a.title).join(", "));

describe("crm-api stops", () => {
  // Of the first try: at a second one the message has long been there.
  let stoppedAt: number | undefined;

  it("gives one Slack message within the computed worst case", async () => {
    const alert = alerts(settings).find((a) => a.alert === "CrmApiDown")!;
    await docker("stop", "--time", "5", `${prefix}-crm-api`);
    stoppedAt ??= Date.now();
    const [message] = await until("CrmApiDown in Slack", worstCaseSeconds(settings, alert) + 5, async () => {
      const found = await messagesOf("CrmApiDown", "FIRING");
      return found.length > 0 ? found : undefined;
    });
    expect(message!.channel).toBe("#crm-alerts");
    expect((Date.parse(message!.at) - stoppedAt) / 1000).toBeLessThanOrEqual(worstCaseSeconds(settings, alert));
    expect(textOf(message!)).toContain(`${settings.urls.runbooks}/CrmApiDown.md`);
  });

  it("is joined by the six that follow from it, which need hours by themselves", async () => {
    const posted = following.map((name) => ({ labels: { alertname: name, ...alerts(settings).find((a) => a.alert === name)!.labels }, annotations: { summary: name }, endsAt: new Date(Date.now() + 300_000).toISOString() }));
    const response = await fetch(at("alertmanager", "/api/v2/alerts"), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(posted) });
    expect(response.status).toBe(200);
  });

  it("still gives exactly one after everything that follows from it had its time to fire", async () => {
    await sleep(75);
    expect(await firing()).toHaveLength(1);
  });

  it("mutes what follows from it, and says so in Alertmanager", async () => {
    const all = (await getJson(at("alertmanager", "/api/v2/alerts?active=true&inhibited=true"))) as { labels: Record<string, string>; status: { state: string; inhibitedBy: string[] } }[];
    const root = all.filter((a) => a.labels.alertname === "CrmApiDown");
    expect(root.map((a) => a.status.state)).toEqual(["active"]);
    const followers = all.filter((a) => following.includes(a.labels.alertname!));
    expect(followers.map((a) => a.labels.alertname).sort()).toEqual([...following].sort());
    for (const follower of followers) expect(follower.status.inhibitedBy.length, follower.labels.alertname).toBeGreaterThan(0);
  });

  it("sends the resolved message when it is back, and nothing late", async () => {
    // Nobody repeats the six, so they end as well.
    const ended = following.map((name) => ({ labels: { alertname: name, ...alerts(settings).find((a) => a.alert === name)!.labels }, endsAt: new Date().toISOString() }));
    await fetch(at("alertmanager", "/api/v2/alerts"), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(ended) });
    await docker("start", `${prefix}-crm-api`);
    const [resolved] = await until("resolved in Slack", 120, async () => {
      const found = await messagesOf("CrmApiDown", "RESOLVED");
      return found.length > 0 ? found : undefined;
    });
    expect(resolved!.payload.attachments?.[0]?.color).toBe("good");
    await sleep(20);
    // What really still holds may be told once its cause no longer mutes it, such as a rate that has to rise again.
    const titles = await firing();
    expect(titles.filter((t) => t?.includes("CrmApiDown"))).toHaveLength(1);
    for (const name of following) expect(titles.join()).not.toContain(name);
  });
});
