import { describe, expect, it } from "vitest";
import { readAlerts, toAlerts } from "../../../services/command-center/sources/alertmanager.ts";
import { apiAlert, fakeAlertmanager, watchdog } from "./fakes.ts";

const names = (alerts: readonly { name: string }[]) => alerts.map((a) => a.name);

describe("toAlerts", () => {
  it("puts what is muted under what mutes it, also through one that is muted itself", () => {
    const { roots, muted, orphans, heartbeat } = toAlerts([
      watchdog(),
      apiAlert("OutboxStuck", "critical", { inhibitedBy: ["CrmApiDown"] }),
      apiAlert("CrmApiDown", "critical"),
      apiAlert("PaymentRateSLOBurnSlow", "warning", { inhibitedBy: ["PaymentRateSLOBurnFast"] }),
      apiAlert("PaymentRateSLOBurnFast", "critical", { inhibitedBy: ["CrmApiDown"] }),
    ]);
    expect(names(roots)).toEqual(["CrmApiDown"]);
    expect(names(roots[0]!.mutes).sort()).toEqual(["OutboxStuck", "PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"]);
    expect([muted, orphans, heartbeat]).toEqual([3, [], true]);
  });

  it("lists what is muted by an alert that is gone, and does not follow circles", () => {
    const { roots, orphans } = toAlerts([apiAlert("A", "warning", { inhibitedBy: ["gone"] }), apiAlert("B", "warning", { inhibitedBy: ["C"] }), apiAlert("C", "warning", { inhibitedBy: ["B"] })]);
    expect(roots).toEqual([]);
    expect(names(orphans)).toEqual(["A", "B", "C"]);
  });

  it("orders by silence, severity, what it mutes and age", () => {
    const { roots } = toAlerts([
      apiAlert("Silenced", "critical", { silencedBy: ["s"] }),
      apiAlert("WarningNew", "warning", { minutes: 1 }),
      apiAlert("WarningOld", "warning", { minutes: 9 }),
      apiAlert("Lone", "critical", { minutes: 90 }),
      apiAlert("Cause", "critical", { minutes: 2 }),
      apiAlert("Muted", "warning", { inhibitedBy: ["Cause"] }),
    ]);
    expect(names(roots)).toEqual(["Cause", "Lone", "WarningOld", "WarningNew", "Silenced"]);
    expect(roots.at(-1)?.silenced).toBe(true);
  });

  it("follows no link but http(s), makes one for a silence, and cuts long texts", () => {
    const [alert] = toAlerts([apiAlert("A", "odd", { labels: { service: 'a"b', tenant: "vip-x" }, annotations: { runbook_url: "javascript:alert(1)", description: "x".repeat(5000) } })], "http://am.example.com/").roots;
    expect(alert).toMatchObject({ severity: "none", runbook: null, dashboard: "https://grafana.example.com/d/peakpro_crm_slo", scope: "vip-x" });
    expect(alert?.description).toHaveLength(601);
    expect(decodeURIComponent(alert?.silence ?? "")).toBe('http://am.example.com/#/silences/new?filter={alertname="A",service="a\\"b",tenant="vip-x"}');
  });

  it("has whole characters only, wherever a text is cut and whatever it holds", async () => {
    const alertmanager = await fakeAlertmanager({ alerts: [apiAlert("A\ud800", "warning", { labels: { service: "\udc00" }, annotations: { summary: "a\ud800b", description: `${"x".repeat(599)}😀` } })] }).start();
    const [alert] = (await readAlerts(alertmanager.url, "http://am.example.com", 2_000)).roots;
    await alertmanager.stop();
    expect(JSON.stringify(alert)).not.toMatch(/\\ud[89a-f]/);
    expect(alert).toMatchObject({ summary: "a\ufffdb", description: `${"x".repeat(599)}\ufffd…` });
  });

  it("says when the heartbeat is missing and keeps the list within bounds", () => {
    const { heartbeat, roots, more } = toAlerts(Array.from({ length: 130 }, (_, i) => apiAlert(`A${i}`, "warning")));
    expect([heartbeat, roots.length, more]).toEqual([false, 100, 30]);
  });
});
