import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { alertmanagerFiles } from "../../../components/config/alertmanager.ts";
import type { Settings } from "../../../components/settings/schema.ts";
import { sampleSettings } from "../../support/settings.ts";

interface Route {
  receiver: string;
  matchers?: string[];
  group_by?: string[];
  group_wait?: string;
  group_interval?: string;
  repeat_interval?: string;
  continue?: boolean;
  routes?: Route[];
}
interface Config {
  global: Record<string, unknown>;
  route: Route;
  receivers: Record<string, unknown>[];
  inhibit_rules: { source_matchers: string[]; target_matchers: string[]; equal: string[] }[];
  templates: string[];
}
const config = (overrides: Partial<Settings> = {}): Config => parse(alertmanagerFiles(sampleSettings(overrides))["alertmanager.yml"]!) as Config;
const receiver = (c: Config, name: string) => c.receivers.find((r) => r.name === name) as Record<string, Record<string, unknown>[]>;

describe("alertmanager.yml", () => {
  it("routes by team", () => {
    const { route } = config();
    expect(route).toMatchObject({ receiver: "slack-ops", group_by: ["alertname", "service"], group_wait: "30s", group_interval: "5m", repeat_interval: "4h" });
    expect(route.routes).toEqual([
      { receiver: "dead-man", matchers: ['alertname="Watchdog"'], group_by: ["alertname"], group_wait: "0s", group_interval: "1m", repeat_interval: "50s" },
      { receiver: "slack-crm", matchers: ['team="crm"'], repeat_interval: "2h" },
      { receiver: "slack-ops", matchers: ['team="aetherlink"'], group_by: ["alertname", "tenant"], group_interval: "2m", repeat_interval: "2h" },
    ]);
  });

  it("has no RAG route or inhibition without RAG metrics", () => {
    const c = config({ ragTargets: [] });
    expect(JSON.stringify(c)).not.toMatch(/aetherlink|VIP/);
  });

  it("names Slack's addresses as files, one per channel", () => {
    const c = config();
    for (const [name, channel] of [["slack-crm", "#crm-alerts"], ["slack-ops", "#ops-alerts"]] as const) {
      const [slack] = receiver(c, name).slack_configs!;
      expect(slack).toMatchObject({ api_url_file: `/run/secrets/crm/${name}`, channel, send_resolved: true });
      expect(slack).not.toHaveProperty("api_url");
    }
  });

  it("has a dead-man receiver that goes nowhere when there is no address", () => {
    expect(receiver(config(), "dead-man").webhook_configs![0]).toMatchObject({ url_file: "/run/secrets/crm/deadman-url", send_resolved: false });
    expect(receiver(config({ deadMan: { standin: false, configured: false } }), "dead-man")).toEqual({ name: "dead-man" });
  });

  it("pages by PagerDuty and mail where configured", () => {
    const mail = { to: "ops@example.com", from: "crm@example.com", smarthost: "mail.example.com:587", username: "crm" };
    const c = config({ pagerduty: true, mail });
    expect(receiver(c, "page").pagerduty_configs![0]).toMatchObject({ routing_key_file: "/run/secrets/crm/pagerduty-key", send_resolved: true });
    expect(receiver(c, "page").email_configs![0]).toMatchObject({ to: mail.to, auth_username: "crm", auth_password_file: "/run/secrets/crm/mail-password" });
    expect(c.route.routes![1]).toMatchObject({ receiver: "page", matchers: ['severity="critical"'], continue: true });
    expect(config().receivers.map((r) => r.name)).not.toContain("page");
    const { username: _username, ...open } = mail;
    expect(JSON.stringify(config({ mail: open }))).not.toContain("mail-password");
  });

  it("mutes what follows", () => {
    const rules = config().inhibit_rules;
    const first = rules.find((r) => r.source_matchers[0] === 'alertname="CrmApiDown"')!;
    expect(first).toMatchObject({
      target_matchers: ['alertname=~"RevenueZeroStreak|InvoiceGenerationStalled|RevenueFlatlineFast|RevenueFlatlineSlow|PaymentRateSLOBurnFast|PaymentRateSLOBurnSlow"'],
      equal: ["service"],
    });
    for (const { equal } of rules) expect(equal.length).toBeGreaterThan(0);
    expect(JSON.stringify(rules)).not.toMatch(/source_match"|target_match_re"/);
  });

  it("scales times in the fast profile", () => {
    const { route } = config({ timing: "fast" });
    expect(route).toMatchObject({ group_wait: "4s", group_interval: "10s", repeat_interval: "8m" });
    // Each beat of the watchdog is sent: a repeat interval as long as the group's would leave out every second one.
    expect(route.routes![0]).toMatchObject({ group_interval: "4s", repeat_interval: "3s" });
  });

  it("holds no secret and expands no variable", () => {
    const text = Object.values(alertmanagerFiles(sampleSettings({ pagerduty: true }))).join("\n");
    expect(text).not.toMatch(/hooks\.slack\.com|\$\{[A-Z]|routing_key:/);
  });
});
