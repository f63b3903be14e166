import { describe, expect, it } from "vitest";
import { seconds } from "../../components/settings/timing.ts";
import { explain, listAlerts, listLatencies, parseAlert } from "../../rules/explain.ts";
import { alerts } from "../../rules/index.ts";
import { latency, worstCaseSeconds } from "../../rules/latency.ts";
import { dispatchStartDelaySeconds, resendDelay } from "../../rules/routing.ts";
import { caseSettings } from "./cases/case.ts";
import { sampleSettings } from "../support/settings.ts";

const s = sampleSettings();
const fast = sampleSettings({ timing: "fast" });
const one = (name: string, settings = s) => latency(settings, alerts(settings).find((a) => a.alert === name)!);

describe("worst-case latency", () => {
  it("is the sum of its parts", () => {
    expect(one("CrmApiDown")).toMatchObject({ scrape: 15, upstreamGroups: 0, evaluation: 30, hold: 300, groupWait: 30, send: 10, first: 15 + 30 + 300 + 30 + 10 });
  });

  it("counts recording groups upstream, and none for rules of the same group", () => {
    expect(one("InvoiceGenerationStalled")).toMatchObject({ upstreamGroups: 1, first: 15 + 2 * 30 + 300 + 30 + 10 });
    expect(one("CrmEventsHighLag")).toMatchObject({ upstreamGroups: 0, first: 385 });
    expect(one("CacheEffectivenessDrop").upstreamGroups).toBe(0);
  });

  it("rounds `for` up to evaluations", () => {
    expect(one("CrmEventsHotKeySkewHigh", fast)).toMatchObject({ scrape: 2, evaluation: 2, hold: 24, groupWait: 4 });
    expect(one("CrmEventsHighLag", fast).hold).toBe(10);
  });

  it("names the wait of an alert that joins an open group", () => {
    expect(one("CrmEventsPartitionStuck").joining - one("CrmEventsPartitionStuck").first).toBe(270);
    expect(one("LowConfidenceSpike").joining - one("LowConfidenceSpike").first).toBe(90);
  });

  it("takes the slowest of several causes", () => {
    expect(worstCaseSeconds(s, "CrmEventsServiceDown")).toBe(385);
    expect(() => worstCaseSeconds(s, "NoSuchAlert")).toThrow("the stack has no alert NoSuchAlert");
  });

  it("covers every alert", () => {
    for (const a of alerts(s)) expect(worstCaseSeconds(s, a)).toBeGreaterThan(10);
  });
});

describe("start delay", () => {
  it("outlasts the time until Prometheus has sent everything again", () => {
    for (const settings of [s, fast]) expect(dispatchStartDelaySeconds(settings)).toBeGreaterThanOrEqual(seconds(resendDelay(settings)));
    expect([dispatchStartDelaySeconds(s), dispatchStartDelaySeconds(fast)]).toEqual([90, 8]);
  });
});

describe("the command's answers", () => {
  it("list every alert", () => {
    const lines = listAlerts(s).split("\n");
    expect(lines).toHaveLength(alerts(s).length + 1);
    expect(lines.find((l) => l.startsWith("CrmApiDown"))).toMatch(/critical\s+crm\s+crm-api\s+5m\s+Slack #crm-alerts\s+385s/);
    expect(lines.find((l) => l.startsWith("UptimeProbeFailing"))).toContain("Slack #crm-alerts, Slack #ops-alerts");
    expect(listLatencies(s).split("\n")).toHaveLength(alerts(s).length + 1);
  });

  it("explain what is told and what is muted", () => {
    const text = explain(s, ["CrmApiDown", "RevenueZeroStreak"].map((name) => parseAlert(s, name)));
    expect(text).toContain('One message to Slack #crm-alerts by route "CRM" (team="crm")');
    expect(text).toContain('group: alertname="CrmApiDown" service="crm-api"; wait 30s');
    expect(text).toContain("at most 385s after the condition holds");
    expect(text).toContain("RevenueZeroStreak is muted by CrmApiDown (inhibition api-down-mutes-finance: equal service=crm-api)");
  });

  it("say what could mute a single alert", () => {
    const text = explain(s, [parseAlert(s, "RevenueZeroStreak")]);
    expect(text).toContain("Muted while CrmApiDown fires with the same service");
    expect(text).toContain("Muted while UptimeProbeFailing fires with the same service");
  });

  it("show the labels of one subject, the given one", () => {
    const labels = (text: string, settings = s) => parseAlert(settings, text);
    const grafana = { team: "ops", product: "observability", service: "grafana", job: "blackbox_http", instance: "http://grafana:3000/api/health" };
    expect(labels("alertname=UptimeProbeFailing,service=grafana")).toMatchObject(grafana);
    expect(labels("alertname=UptimeProbeFailing,instance=grafana:3000")).toMatchObject({ ...grafana, job: "blackbox_tcp", instance: "grafana:3000" });
    expect(labels("alertname=UptimeProbeFailing,team=ops")).toMatchObject({ team: "ops", product: "observability", service: "prometheus", instance: "http://prometheus:9090/-/ready" });
    expect(labels("alertname=UptimeProbeFailing,service=other")).toMatchObject({ team: "crm", service: "other" });
    expect(labels("UptimeProbeFailing")).toMatchObject({ team: "crm", product: "peakpro", service: "crm-api", job: "blackbox_http" });
    expect(explain(s, [labels("alertname=UptimeProbeFailing,service=grafana")])).toContain("One message to Slack #ops-alerts");
    expect(labels("alertname=ServiceReplicaDown,service=alertmanager")).toMatchObject({ team: "ops", product: "observability", job: "alertmanager" });
    expect(labels("alertname=ServiceReplicaDown,instance=crm-events-1:9010", caseSettings)).toMatchObject({ service: "crm-events-sse", product: "aetherlink", job: "crm-events" });
    expect(labels("alertname=CrmEventsServiceDown,cause=no-replica").cause).toBe("no-replica");
    expect(labels("alertname=ServiceReplicaDown,service=other")).toMatchObject({ service: "other", job: "crm_api" });
    const certificate = labels("alertname=TlsCertificateExpiring,service=shop.example.com", caseSettings);
    expect(certificate).toMatchObject({ service: "shop.example.com", team: "ops", product: "observability" });
    expect(certificate).not.toHaveProperty("job");
  });

  it("take labels", () => {
    expect(parseAlert(s, "alertname=LowConfidenceSpike,tenant=x")).toMatchObject({ team: "aetherlink", tenant: "x" });
    expect(parseAlert(s, "alertname=Other,team=crm")).toEqual({ alertname: "Other", team: "crm" });
    expect(() => parseAlert(s, "Other")).toThrow('the stack has no alert Other; "list" shows those that it has');
    expect(() => parseAlert(s, "alertname=A,b")).toThrow("neither an alert nor label=value");
  });
});
