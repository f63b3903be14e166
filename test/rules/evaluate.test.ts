import { describe, expect, it } from "vitest";
import { destinations, evaluate, matches, mutedBy } from "../../rules/evaluate.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { routing, type Matcher, type RootRoute } from "../../rules/routing.ts";
import { sampleSettings } from "../support/settings.ts";

const s = sampleSettings();
const routes = routing(s);
const labelsOf = (name: string, more: Record<string, string> = {}) => ({ ...sampleLabels(alerts(s).find((a) => a.alert === name)!), ...more });
const receivers = (labels: Record<string, string>) => destinations(routes.root, labels).map((d) => d.receiver);

describe("matchers", () => {
  const cases: [Matcher["op"], string, string | undefined, boolean][] = [
    ["=", "crm", "crm", true],
    ["=", "crm", "crm2", false],
    ["=", "", undefined, true],
    ["!=", "crm", undefined, true],
    ["!=", "crm", "crm", false],
    ["=~", "a|b", "b", true],
    ["=~", "a|b", "ab", false],
    ["=~", "a.*", undefined, false],
    ["=~", ".*", undefined, true],
    ["!~", "a|b", "ab", true],
    ["!~", "a|b", "a", false],
  ];
  it.each(cases)('team%s"%s" on %s is %s', (op, value, actual, expected) => {
    expect(matches(actual === undefined ? {} : { team: actual }, { label: "team", op, value })).toBe(expected);
  });
});

describe("destinations", () => {
  it("go by team", () => {
    expect(receivers(labelsOf("CrmApiDown"))).toEqual(["slack-crm"]);
    expect(receivers(labelsOf("CrmEventsHighLag"))).toEqual(["slack-crm"]);
    expect(receivers(labelsOf("LowConfidenceSpike"))).toEqual(["slack-ops"]);
    expect(receivers(labelsOf("TargetDown"))).toEqual(["slack-ops"]);
    expect(receivers(labelsOf("Watchdog"))).toEqual(["dead-man"]);
    expect(receivers({ alertname: "FromSomewhereElse" })).toEqual(["slack-ops"]);
  });

  it("inherit times and grouping", () => {
    const [crm] = destinations(routes.root, labelsOf("CrmApiDown"));
    expect(crm).toMatchObject({ groupBy: ["alertname", "service"], groupWait: "30s", groupInterval: "5m", repeatInterval: "2h" });
    const [rag] = destinations(routes.root, labelsOf("LowConfidenceSpike"));
    expect(rag).toMatchObject({ groupBy: ["alertname", "tenant"], groupWait: "30s", groupInterval: "2m", repeatInterval: "2h" });
    const [ops] = destinations(routes.root, labelsOf("TargetDown"));
    expect(ops).toMatchObject({ groupBy: ["alertname", "service"], groupWait: "30s", groupInterval: "5m", repeatInterval: "4h" });
    const [watchdog] = destinations(routes.root, labelsOf("Watchdog"));
    expect(watchdog).toMatchObject({ groupWait: "0s", groupInterval: "1m", repeatInterval: "50s" });
  });

  it("page critical alerts too, where a page is configured", () => {
    const { root } = routing(sampleSettings({ pagerduty: true }));
    expect(destinations(root, labelsOf("CrmApiDown")).map((d) => d.receiver)).toEqual(["page", "slack-crm"]);
    expect(destinations(root, labelsOf("LowConfidenceSpikeVIP")).map((d) => d.receiver)).toEqual(["page", "slack-ops"]);
    expect(destinations(root, labelsOf("LowConfidenceSpikeVIP"))[0]!.groupBy, "two tenants are two incidents").toEqual(["alertname", "service", "tenant"]);
    expect(destinations(root, labelsOf("AlertmanagerNotificationsFailing")).map((d) => d.receiver)).toEqual(["page", "slack-ops"]);
    expect(destinations(root, labelsOf("TargetDown")).map((d) => [d.receiver, d.repeatInterval])).toEqual([["slack-ops", "4h"]]);
    expect(destinations(root, labelsOf("CrmEventsHighLag")).map((d) => d.receiver)).toEqual(["slack-crm"]);
  });

  it("go down a nested tree, and on after `continue`", () => {
    const root: RootRoute = {
      ...routes.root,
      routes: [
        { name: "a", matchers: [{ label: "x", op: "=", value: "1" }], receiver: "slack-crm", continue: true, routes: [{ name: "a1", matchers: [{ label: "y", op: "=", value: "1" }], receiver: "page", groupBy: ["y"] }] },
        { name: "b", matchers: [{ label: "x", op: "=", value: "1" }], receiver: "dead-man" },
        { name: "c", matchers: [{ label: "x", op: "=", value: "1" }], receiver: "slack-ops" },
      ],
    };
    expect(destinations(root, { x: "1" }).map((d) => d.route.name)).toEqual(["a", "b"]);
    expect(destinations(root, { x: "1", y: "1" }).map((d) => [d.route.name, d.groupBy])).toEqual([["a1", ["y"]], ["b", ["alertname", "service"]]]);
    expect(destinations(root, { y: "1" }).map((d) => d.route.name)).toEqual(["everything else"]);
  });
});

describe("inhibition", () => {
  const outage = ["CrmApiDown", "RevenueZeroStreak", "InvoiceGenerationStalled", "RevenueFlatlineFast", "RevenueFlatlineSlow", "PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"].map((n) => labelsOf(n));

  it("makes one message of an API outage's seven alerts", () => {
    const { notifications, muted } = evaluate(routes, outage);
    expect(notifications.map((n) => [n.destination.receiver, n.alerts.map((a) => a.alertname)])).toEqual([["slack-crm", ["CrmApiDown"]]]);
    expect(muted.map((m) => m.source.alertname)).toEqual(Array(6).fill("CrmApiDown"));
  });

  it("needs equal labels", () => {
    expect(mutedBy(routes.inhibitions, [labelsOf("CrmApiDown", { service: "other" })], labelsOf("RevenueZeroStreak"))).toBeUndefined();
    expect(mutedBy(routes.inhibitions, [labelsOf("CrmApiDown", { service: "other" })], labelsOf("CrmEventsNoMessages"))?.source.service).toBe("other");
    expect(mutedBy(routes.inhibitions, [labelsOf("CacheEffectivenessDropVIP", { tenant: "vip-a" })], labelsOf("CacheEffectivenessDrop", { tenant: "vip-b" }))).toBeUndefined();
  });

  it("treats a label that both lack as equal", () => {
    expect(mutedBy(routes.inhibitions, [{ alertname: "CrmApiDown" }], { alertname: "OutboxStuck" })).toBeDefined();
    expect(mutedBy(routes.inhibitions, [{ alertname: "CrmApiDown" }], { alertname: "OutboxStuck", service: "crm-api" })).toBeUndefined();
  });

  it("lets no alert mute itself", () => {
    const self = [{ name: "self", source: "A", targets: ["A", "B"], equal: [] }];
    expect(mutedBy(self, [{ alertname: "A" }], { alertname: "A" })).toBeUndefined();
    expect(mutedBy(self, [{ alertname: "A" }], { alertname: "B" })).toBeDefined();
  });
});

describe("grouping", () => {
  it("joins alerts of one name and service, and parts tenants", () => {
    const stuck = ["0", "1"].map((partition) => labelsOf("CrmEventsPartitionStuck", { partition }));
    const tenants = ["a", "b"].map((tenant) => labelsOf("LowConfidenceSpike", { tenant }));
    const { notifications } = evaluate(routes, [...stuck, ...tenants]);
    expect(notifications.map((n) => n.alerts.length)).toEqual([2, 1, 1]);
    expect(notifications[0]!.group).toEqual({ alertname: "CrmEventsPartitionStuck", service: "crm-events-sse" });
    expect(notifications[1]!.group).toEqual({ alertname: "LowConfidenceSpike", tenant: "a" });
  });
});
