import { describe, expect, it } from "vitest";
import { prometheusFiles } from "../../components/config/prometheus.ts";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { problems } from "../../rules/checks.ts";
import { ruleGroups } from "../../rules/index.ts";
import { routing, type Routing } from "../../rules/routing.ts";
import type { Alert, RuleGroup } from "../../rules/types.ts";
import { sampleSettings } from "../support/settings.ts";

const s = sampleSettings();
const sound = { settings: s, groups: ruleGroups(s), routing: routing(s) };

/** The stack's rules with one alert changed. */
const withAlert = (name: string, change: Partial<Alert>): RuleGroup[] =>
  sound.groups.map((g) => ({ ...g, rules: g.rules.map((r) => (r.kind === "alert" && r.alert === name ? { ...r, ...change } : r)) }));
const withRouting = (change: Partial<Routing>) => ({ ...sound, routing: { ...sound.routing, ...change } });
const inhibition = (change: Partial<Routing["inhibitions"][number]>) => withRouting({ inhibitions: [{ name: "test", source: "CrmApiDown", targets: ["OutboxStuck"], equal: ["service"], ...change }] });

describe("what is refused", () => {
  it("nothing in the shipped stacks", () => {
    expect(problems(sound)).toEqual([]);
    const production = sampleSettings({ target: "kubernetes", pagerduty: true, ragTargets: [], tenants: [], replicas: { crmApi: 2, crmEvents: 2, alertmanager: 3 }, grafana: { mode: "none" } });
    expect(problems({ settings: production, groups: ruleGroups(production), routing: routing(production) })).toEqual([]);
  });

  it.each([
    [{ paymentBurnFast: 14.4 }, "PaymentRateSLOBurnFast can never fire: thresholds.paymentBurnFast is 14.4, but the value is at most 6.67"],
    [{ paymentBurnSlow: 7 }, "PaymentRateSLOBurnSlow can never fire"],
    [{ skew: 6 }, "CrmEventsHotKeySkewHigh can never fire: thresholds.skew is 6, but the value is at most 6"],
    [{ cacheHitPct: 0 }, "CacheEffectivenessDrop can never fire: thresholds.cacheHitPct is 0, but the value is at least 0"],
    [{ lowConfidencePct: 100 }, "LowConfidenceSpike can never fire"],
    [{ errorRatioPct: 100 }, "CrmEventsHighErrorRate can never fire"],
    [{ paymentRatePct: 0 }, "LowInvoicePaymentRate can never fire"],
  ])("a threshold that cannot be reached: %j", (change, message) => {
    // As they are where nobody has read them by the schema, which refuses most of these.
    const settings = { ...s, thresholds: { ...s.thresholds, ...change } };
    expect(problems({ settings, groups: ruleGroups(settings), routing: routing(settings) }).join("\n")).toContain(message);
    expect(() => prometheusFiles(settings)).toThrow(message);
    expect(() => alertmanagerFiles(settings)).toThrow(message);
  });

  it("fewer partitions than the skew threshold needs", () => {
    const settings = sampleSettings({ kafka: { ...s.kafka, partitions: 3 } });
    expect(() => prometheusFiles(settings)).toThrow("the largest of 3 partitions has at most 3 times the average");
  });

  it("an alert without a runbook, a dashboard or words", () => {
    expect(problems({ ...sound, groups: withAlert("CrmApiDown", { runbookUrl: "" }) })).toEqual(["CrmApiDown has no runbook: its link must end in /CrmApiDown.md"]);
    expect(problems({ ...sound, groups: withAlert("CrmApiDown", { dashboardUrl: "http://grafana" }) })).toEqual(["CrmApiDown has no dashboard link"]);
    expect(problems({ ...sound, groups: withAlert("CrmApiDown", { description: " " }) })).toEqual(["CrmApiDown has no description: its message would say nothing"]);
    expect(problems({ ...sound, groups: withAlert("CrmApiDown", { description: "No replica of {{ $labels.job }} answers." }) })).toEqual(["CrmApiDown has no value in its description: put {{ $value | printf … }} into it"]);
  });

  it("an alert without a label that routes, or an inhibition, need", () => {
    const { service: _service, ...labels } = (sound.groups.flatMap((g) => g.rules).find((r) => r.kind === "alert" && r.alert === "OutboxStuck") as Alert).labels;
    expect(problems({ ...sound, groups: withAlert("OutboxStuck", { labels }) })).toEqual([
      "OutboxStuck has no label service: routes and inhibitions decide by it",
      "inhibition api-down-mutes-what-follows compares service, which OutboxStuck does not have: absent labels count as equal",
    ]);
    expect(problems(inhibition({ equal: ["instance", "service"] }))[0]).toBe("inhibition test compares instance, which CrmApiDown does not have: absent labels count as equal");
  });

  it("an inhibition that names no alert, mutes itself, or goes both ways", () => {
    expect(problems(inhibition({ source: "CrmApiGone" }))).toEqual(["inhibition test names CrmApiGone, which is no alert of this stack"]);
    expect(problems(inhibition({ targets: ["OutboxStack"] }))).toEqual(["inhibition test names OutboxStack, which is no alert of this stack"]);
    expect(problems(inhibition({ targets: ["CrmApiDown"] }))).toContain("inhibition test would let CrmApiDown mute itself");
    const both = [
      { name: "a", source: "CrmApiDown", targets: ["OutboxStuck"], equal: ["service"] },
      { name: "b", source: "OutboxStuck", targets: ["CrmApiDown"], equal: ["service"] },
    ];
    expect(problems(withRouting({ inhibitions: both }))[0]).toContain("mute each other");
  });

  it("a route that matches nothing, or comes too late", () => {
    const route = { name: "finance", matchers: [{ label: "team", op: "=" as const, value: "finance" }], receiver: "slack-crm" as const };
    const { root } = sound.routing;
    expect(problems(withRouting({ root: { ...root, routes: [...root.routes!, route] } }))).toEqual(['route "finance" matches no alert of this stack: nothing would ever take it']);
    const late = { ...route, name: "late", matchers: [{ label: "service", op: "=" as const, value: "crm-api" }, { label: "team", op: "=" as const, value: "crm" }] };
    expect(problems(withRouting({ root: { ...root, routes: [...root.routes!, late] } }))).toEqual(['route "late" matches no alert of this stack: nothing would ever take it']);
  });

  it("a route to a receiver that is not there", () => {
    expect(problems(withRouting({ receivers: sound.routing.receivers.filter((r) => r.name !== "slack-crm") }))).toEqual(['route "CRM" sends to slack-crm, which is no receiver']);
  });

  it("a metric that nobody exports", () => {
    expect(problems({ ...sound, groups: withAlert("OutboxStuck", { expr: "max(crm_outbox_oldest_seconds) > 300" }) })).toEqual([
      "OutboxStuck uses crm_outbox_oldest_seconds, which no service or exporter exports and no rule records",
    ]);
  });

  it("one name with two severities on one subject, unless it is meant", () => {
    const alert = sound.groups.flatMap((g) => g.rules).find((r) => r.kind === "alert" && r.alert === "OutboxStuck") as Alert;
    const second = (change: Partial<Alert>): RuleGroup[] => [...sound.groups, { name: "second", file: "second", rules: [{ ...alert, ...change }] }];
    const warning = { labels: { ...alert.labels, severity: "warning" } };
    expect(problems({ ...sound, groups: second(warning) })).toEqual(["OutboxStuck can fire on the same subject as critical and as warning: declare it with otherSeverities on both, or give one another name"]);
    const declared = withAlert("OutboxStuck", { otherSeverities: ["warning"] });
    expect(problems({ ...sound, groups: [...declared, { name: "second", file: "second", rules: [{ ...alert, ...warning, otherSeverities: ["critical"] }] }] })).toEqual([]);
    expect(problems({ ...sound, groups: second({}) })).toEqual(["OutboxStuck stands twice with the same labels: Prometheus could not tell the two apart"]);
    expect(problems({ ...sound, groups: second({ labels: { ...alert.labels, severity: "warning", service: "other" } }) })).toEqual([]);
  });

  it("a window that is not kept", () => {
    const settings = sampleSettings({ retention: "14d" });
    expect(problems({ settings, groups: ruleGroups(settings), routing: routing(settings) }).join("\n")).toMatch(/crm:invoices_created_30d:by_org looks back 30\.\d+ d, but only 14d are kept/);
  });

  it("all mistakes at once", () => {
    const settings = sampleSettings({ thresholds: { ...s.thresholds, skew: 6, paymentBurnFast: 9 } });
    expect(() => prometheusFiles(settings)).toThrow(/PaymentRateSLOBurnFast[^]*CrmEventsHotKeySkewHigh/);
  });
});
