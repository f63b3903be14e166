import { beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import { partsOf, replicaNames, replicasOf } from "../../components/topology.ts";
import { ruleGroups } from "../../rules/index.ts";
import { states } from "../../tools/health.ts";
import { at, getJson, inbox, prefix, query, runningSettings, until } from "../support/stack.ts";

let settings: Settings;
beforeAll(async () => {
  settings = await runningSettings();
});

describe("the stack that make up started", () => {
  it("has every part healthy", async () => {
    const expected = partsOf(settings).flatMap((part) => replicaNames(part, replicasOf(settings, part)));
    const now = await states(prefix);
    expect(now.map((p) => p.name).sort()).toEqual(expected.sort());
    expect(now.filter((p) => p.state !== "healthy")).toEqual([]);
  });

  it("has every scrape target up", async () => {
    const targets = await until("all targets up", 60, async () => {
      const active = (await getJson(at("prometheus", "/api/v1/targets"))).data.activeTargets as { health: string; scrapePool: string; lastError: string }[];
      return active.length > 0 && active.every((t) => t.health === "up") ? active : undefined;
    });
    const jobs = new Set(targets.map((t) => t.scrapePool));
    for (const job of ["crm_api", "crm-events", "crm-events-health", "kafka-exporter", "alertmanager", "blackbox", "blackbox_http", "blackbox_tcp", "prometheus"]) expect(jobs).toContain(job);
  });

  it("has every rule group loaded, and each rule evaluates", async () => {
    const groups = (await getJson(at("prometheus", "/api/v1/rules"))).data.groups as { name: string; rules: { name: string; health: string; lastError?: string }[] }[];
    expect(groups.map((g) => g.name).sort()).toEqual(ruleGroups(settings).map((g) => g.name).sort());
    // Two groups keep sparse copies every 2 minutes, in a phase that their names' hash gives.
    await until("all rules evaluated", 150, async () => {
      const now = (await getJson(at("prometheus", "/api/v1/rules"))).data.groups as typeof groups;
      const bad = now.flatMap((g) => g.rules).filter((r) => r.health === "err");
      expect(bad).toEqual([]);
      return now.flatMap((g) => g.rules).every((r) => r.health === "ok");
    });
  });

  it("has every probe succeed: 9, or 7 without Grafana", async () => {
    const expected = settings.grafana.mode === "none" ? 7 : 9;
    const good = await until("all probes", 60, async () => {
      const samples = await query("probe_success == 1");
      return samples.length >= expected ? samples : undefined;
    });
    expect(good).toHaveLength(expected);
  });

  it("has a beating dead man's switch", async () => {
    await until("a beat", 60, async () => (await getJson(at("slack-standin", "/deadman"))).state === "alive");
  });

  it("is connected to QuickBooks", async () => {
    await until("connected", 90, async () => (await query("crm_qbo_connected == 1")).length > 0);
  });

  it("fires nothing but the Watchdog once it has settled, and stays silent", async () => {
    const firing = async () => (await query('ALERTS{alertstate="firing",alertname!="Watchdog"}')).map((s) => s.metric.alertname);
    // The fast profile scales `for` and not the windows: a rate over 5 minutes is low at first, and is told here.
    let since = Date.now();
    let told: number | undefined;
    await until("30 s of silence", 240, async () => {
      const now = await firing();
      if (now.length > 0 || told === undefined) [since, told] = [Date.now(), (await inbox()).length];
      return now.length === 0 && Date.now() - since > 30_000;
    });
    expect((await inbox()).slice(told).map((m) => m.payload.attachments?.[0]?.title).filter((t) => !t?.includes("RESOLVED"))).toEqual([]);
  });
});
