/**
 * Alerts of the CRM, the RAG service and the stack itself, each from its cause to its message in Slack. Causes that need
 * minutes are begun first and looked at last.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import { prometheusFiles } from "../../components/config/prometheus.ts";
import { alerts } from "../../rules/index.ts";
import { expectMessage, expectMuted, expectNoMessage, expectResolved, mark, messagesSince, silence } from "../support/alert-messages.ts";
import { byHistory, proofGaps, proofLines, stackCauses } from "../support/alert-proofs.ts";
import { changeConfig, currentFile, restoreConfig } from "../support/drill-config.ts";
import { allUp, cutOff, freshPrometheus, putRight, reconnect, scenario, slackFault, start, stop } from "../support/drill.ts";
import { makeCertificate, otherProgram, serveCertificate } from "../support/drill-services.ts";
import { startHistory, type History } from "../support/history.ts";
import { at, emptyInbox, getJson, postJson, runningSettings, sleep, until } from "../support/stack.ts";

/** The certificate's host inside the stack. */
const tlsHost = "drill-tls";

/** Rules that pass every check: one matches many to many when it is evaluated, one takes longer than its interval. */
const badRules = `groups:
- name: drill.failing
  rules:
  - {record: "drill:failing", expr: "up + on () up"}
- name: drill.heavy
  interval: 1ms
  rules:
  - {record: "drill:heavy", expr: 'count(rate({__name__=~".+"}[5m]))'}
`;

let settings: Settings;
let since: number;
let history: History | undefined;
const removals: (() => Promise<unknown>)[] = [];
const certificate = makeCertificate(tlsHost, 2);

/** Looks for every alert of a cause, in the order of the list. */
async function seen(names: readonly string[], options: Parameters<typeof expectMessage>[3] = {}): Promise<void> {
  for (const name of names) await expectMessage(settings, name, since, options);
}

beforeAll(async () => {
  settings = await runningSettings({ httpsTargets: [{ url: `https://${tlsHost}:8443/`, insecure: true }] });
  await putRight(settings);
  await freshPrometheus();
  await allUp();
  await silence();
  await emptyInbox();
  since = await mark();
  if (certificate) removals.push(await serveCertificate(tlsHost, certificate));
  // The stack's own configuration with an HTTPS target, and rules of somebody's own.
  expect(await changeConfig("prometheus", { ...prometheusFiles(settings), "rules/drill.yml": badRules })).toBe(200);
  // Windows then hold nothing but the troubles, however long a machine took until here.
  await freshPrometheus(async () => {
    await cutOff("crm-api");
    for (const name of ["cache-misses", "low-confidence", "burn"]) await scenario(name, true);
  });
});

afterAll(async () => {
  await history?.stop();
  await slackFault("ok");
  for (const name of ["cache-misses", "low-confidence", "burn", "silence"]) await scenario(name, false);
  for (const remove of removals) await remove();
  await restoreConfig("alertmanager");
  await restoreConfig("prometheus");
  await putRight(settings);
  // Windows of minutes would tell of the last minutes' troubles for as long as they last.
  await freshPrometheus();
  await allUp();
  await silence();
});

describe("every alert", () => {
  it("has a proof, and one kind of it", () => {
    console.log(proofLines().join("\n"));
    expect(proofGaps([...new Set(alerts(settings).map((a) => a.alert))])).toEqual([]);
  });
});

describe("causes that show at once", () => {
  it("rules that fail, rules that are slow", async () => {
    await seen(stackCauses["rules that fail, rules that are slow"]);
  });

  it.skipIf(certificate === undefined)("a certificate that is about to expire", async () => {
    await seen(stackCauses["a certificate that is about to expire"]);
  });

  it("configuration broken by hand is refused, and the old one runs on", async () => {
    expect(await changeConfig("prometheus", { ...prometheusFiles(settings), "rules/drill.yml": "groups: []\n" })).toBe(200);
    for (const part of ["prometheus", "alertmanager"] as const) {
      expect(await changeConfig(part, { [`${part}.yml`]: `${await currentFile(part, `${part}.yml`)}\nno_such_field: 1\n` })).toBe(500);
    }
  });

  it("crm-api is cut off from its network, but scraped", async () => {
    const [probe, throughput] = stackCauses["crm-api is cut off from its network, but scraped"];
    await expectMessage(settings, probe, since, { about: "/qbo/status", channel: "#crm-alerts" });
    await until("all three probes in one message", 60, async () => (await messagesSince(since)).some((m) => m.payload.attachments?.[0]?.title === `[FIRING:3] ${probe} (crm-api)`));
    await expectMessage(settings, throughput, since);
  });

  it("invoices fall due unpaid: the fast burn mutes the slow one, until only that is left", async () => {
    const [fast, onlySlow] = stackCauses["invoices fall due unpaid"];
    await expectMessage(settings, fast, since, { windowSeconds: 60 });
    await expectMuted(onlySlow, fast);
    await expectNoMessage(onlySlow, since);
    await scenario("burn", false);
    // Invoices paid in time bring the share of overdue ones under the fast factor (45 %), but not under the slow one (15 %).
    const overdue = Number((await sumOf("crm_invoices_overdue_total")) ?? 0);
    await burst(Math.ceil(overdue * 2));
    await expectResolved(fast, since);
    await expectMessage(settings, onlySlow, since);
    await burst(Math.ceil(overdue * 6));
    await expectResolved(onlySlow, since);
  });

  it("tenants miss the cache and get unsure answers: a VIP tenant's alert mutes the plain one", async () => {
    const [cacheVip, cache, confidenceVip, confidence] = stackCauses["tenants miss the cache and get unsure answers"];
    for (const vip of [cacheVip, confidenceVip]) await expectMessage(settings, vip, since, { about: "vip-initech", windowSeconds: 120 });
    for (const plain of [cache, confidence]) await expectMessage(settings, plain, since, { about: "acme-corp", windowSeconds: 120 });
    await expectMuted(cache, cacheVip, { tenant: "vip-initech" });
    await expectMuted(confidence, confidenceVip, { tenant: "premium-umbrella" });
    for (const plain of [cache, confidence]) for (const vip of ["vip-initech", "premium-umbrella"]) await expectNoMessage(plain, since, vip);
    for (const name of ["cache-misses", "low-confidence"]) await scenario(name, false);
  });

  it("kafka-exporter stops while Slack answers 429: the refused message comes after all, and an alert of its own", async () => {
    await slackFault("429", 1);
    await stop("kafka-exporter");
    const [probe, target, failing] = stackCauses["kafka-exporter stops while Slack answers 429"];
    await expectMessage(settings, target, since, { about: "kafka-exporter:9308" });
    await seen([probe, failing]);
    await start("kafka-exporter");
    await expectResolved("TargetDown", since);
    await expectResolved("HealthProbeUnknown", since);
  });
});

describe("history", () => {
  /** Muted while the probe of crm-api fails; the probe still does. */
  const muted = ["RevenueZeroStreak", "InvoiceGenerationStalled", "CrmRecordingRulesStale"];
  /** Begin when crm-api is down. */
  const later = ["CrmFinanceDrift", "QboSyncStale"];
  const rest = Object.keys(byHistory).filter((name) => !muted.includes(name) && !later.includes(name));
  /** Id of the last message before crm-api stopped, at the first try: at a second one that has long been told. */
  let before: number | undefined;

  it("makes alerts fire that need days of it, but for those that the failing probe mutes", async () => {
    await history?.stop();
    history = await startHistory(settings);
    await seen(rest);
    for (const name of muted) await expectMuted(name, "UptimeProbeFailing");
    for (const name of muted) await expectNoMessage(name, since);
  });

  it("crm-api stops: one message, and what follows from it is muted and not sent", async () => {
    before ??= await mark();
    await stop("crm-api");
    await seen(stackCauses["crm-api stops"]);
    Object.assign(history!.present, { drift: true, syncStale: true });
    for (const name of [...later, "RevenueFlatlineFast", "RevenueFlatlineSlow", "RevenueZeroStreak", "InvoiceGenerationStalled"]) await expectMuted(name, "CrmApiDown");
    await expectMuted("CrmEventsSLOThroughputDegraded", "CrmApiDown");
    // Longer than the group's wait and interval together.
    await sleep(16);
    for (const name of later) await expectNoMessage(name, since);
    // The probe was told before its scrape failed too: it stays so, and what it mutes has never been told in between.
    for (const name of muted) await expectNoMessage(name, since);
    expect((await messagesSince(before)).filter((m) => m.payload.attachments?.[0]?.title?.startsWith("[RESOLVED] UptimeProbeFailing"))).toEqual([]);
    expect((await messagesSince(before)).filter((m) => m.payload.attachments?.[0]?.title === "[FIRING] CrmApiDown (crm-api)")).toHaveLength(1);
    await start("crm-api");
    await expectResolved("CrmApiDown", before);
    await seen(later);
  });
});

describe("causes that take minutes", () => {
  it("crm-api is cut off for longer than 5 minutes", async () => {
    await seen(stackCauses["crm-api is cut off for longer than 5 minutes"], { windowSeconds: 330 });
  });

  it("configuration broken by hand", async () => {
    await seen(stackCauses["configuration broken by hand"], { windowSeconds: 330 });
    await restoreConfig("alertmanager");
    await restoreConfig("prometheus");
    for (const name of stackCauses["configuration broken by hand"]) await expectResolved(name, since);
  });

  it("when crm-api is reached again, what the failing probe has muted is told", async () => {
    await reconnect("crm-api");
    await expectResolved("UptimeProbeFailing", since);
    await expectResolved("OutboxStuck", since);
    await seen(["RevenueZeroStreak", "InvoiceGenerationStalled", "CrmRecordingRulesStale"]);
    await history!.stop();
    history = undefined;
  });
});

describe("the dead man's switch", () => {
  const state = async () => (await getJson(at("slack-standin", "/deadman"))).state;
  const dead = (part: string) => until(`the switch to notice that ${part} is gone`, 60, async () => (await state()) === "dead");
  const alive = (part: string) => until(`a beat after ${part} is back`, 90, async () => (await state()) === "alive");
  /** Its one alarm since then; it says it within a second. */
  const saidDead = (before: number) => until("one alarm", 10, async () => (await messagesSince(before)).filter((m) => m.channel === "#dead-man" && m.payload.text?.includes("No beat since")).length === 1);

  it("Prometheus stops; another program is at crm-api's address when it is back", async () => {
    expect(await state()).toBe("alive");
    const before = await mark();
    // Or it would drop its open business when the other program does not know it, and those invoices would fall due unpaid.
    await scenario("silence", true);
    await freshPrometheus(async () => {
      await dead("Prometheus");
      await stop("crm-api");
      removals.push(await otherProgram());
    });
    await saidDead(before);
    await alive("Prometheus");
    await seen(stackCauses["another program answers at crm-api's address"]);
    await removals.pop()!();
    await start("crm-api");
    await scenario("silence", false);
    await expectResolved("CrmMetricsScrapeStale", since);
  });

  it("Prometheus stops, then Alertmanager", async () => {
    expect(stackCauses["Prometheus stops, then Alertmanager"]).toEqual(["Watchdog"]);
    const before = await mark();
    await stop("alertmanager");
    await dead("Alertmanager");
    await saidDead(before);
    await start("alertmanager");
    await alive("Alertmanager");
    // The beat goes to its own receiver alone.
    for (const message of await messagesSince(since)) expect(JSON.stringify(message.payload)).not.toContain("Watchdog");
  });
});

const sumOf = async (metric: string): Promise<string | undefined> => (await getJson(at("prometheus", `/api/v1/query?query=${encodeURIComponent(`sum(increase(${metric}[1h]))`)}`))).data.result[0]?.value[1];

/** Invoices of an organisation without QuickBooks, due in 6 s and paid at once. */
async function burst(invoices: number): Promise<void> {
  for (let left = invoices; left > 0; left -= 1000) {
    const result = await postJson(at("simulator", "/burst"), { org_id: "initech", invoices: Math.min(left, 1000), term_seconds: 6 });
    expect(result.paid).toBe(result.created);
  }
}

