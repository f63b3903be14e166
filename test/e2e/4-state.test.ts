/** What the command center says of the running stack is what the stack's parts say of themselves, in quiet and in trouble. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import type { Alerts, AlertView, Budget, Feed, Freshness, Inbox, Pipeline, Qbo, Section } from "../../services/command-center/state.ts";
import { eventLine, produce } from "../support/drill-kafka.ts";
import { allUp, putRight, start, stop } from "../support/drill.ts";
import { openStreams } from "../support/streams.ts";
import { at, getJson, inbox, postJson, query, runningSettings, textOf, until, type Sample } from "../support/stack.ts";

/** `/api/state`, as far as it is looked at here. */
interface State {
  readonly sections: {
    readonly pipeline: Section<Pipeline>;
    readonly alerts: Section<Alerts>;
    readonly budget: Section<Budget>;
    readonly freshness: Section<Freshness>;
    readonly qbo: Section<Qbo>;
    readonly feed: Section<Feed>;
    readonly inbox: Section<Inbox>;
  };
}

/** An alert as Alertmanager has it. */
interface Held {
  readonly fingerprint: string;
  readonly labels: Record<string, string>;
  readonly status: { readonly inhibitedBy: readonly string[] };
}

let settings: Settings;
let viewer: { close(): void };

const state = async (): Promise<State["sections"]> => (await getJson<State>(at("command-center", "/api/state"))).sections;
const held = async (): Promise<Held[]> => ((await getJson(at("alertmanager", "/api/v2/alerts"))) as Held[]).filter((a) => a.labels.alertname !== "Watchdog");
const value = async (expr: string): Promise<number> => Number((await query(expr))[0]?.value[1] ?? NaN);
const ofGroup = '{consumergroup="crm-events-sse"}';

/** Waits until what the page says equals what its source says at the same time; it reads every few seconds. */
async function agree<T>(what: string, said: (s: State["sections"]) => T, truth: () => Promise<T>, seconds = 40): Promise<void> {
  await until(what, seconds, async () => {
    const [before, shown, after] = [await truth(), said(await state()), await truth()];
    expect([before, after]).toContainEqual(shown);
    return true;
  });
}

beforeAll(async () => {
  settings = await runningSettings();
  await putRight(settings);
  await allUp();
  // While nobody looks the sources are read seldom.
  viewer = await openStreams(at("command-center", "/api/live"), 1);
});

// The next suite begins with a fresh Prometheus: what was out of order here is over for it.
afterAll(async () => {
  viewer?.close();
  await putRight(settings);
});

describe("in quiet times", () => {
  it("has read every source", async () => {
    const sections = await until("all sources read", 60, async () => {
      const now = await state();
      return Object.values(now).every((s) => s.ok) ? now : undefined;
    });
    expect(Object.entries(sections).filter(([, s]) => s.problem !== null || s.readAt === null)).toEqual([]);
    expect(Object.keys(sections).sort()).toEqual(["alerts", "budget", "feed", "freshness", "inbox", "pipeline", "qbo", "trends"]);
  });

  it("counts live clients, the own connection among them", async () => {
    const clients = (s: State["sections"]) => s.pipeline.value?.clients;
    await agree("the clients", clients, () => value("sum(crm_events_sse_clients)"));
    const before = clients(await state())!;
    expect(before).toBeGreaterThan(0);
    const streams = await openStreams(at("crm-events", "/crm-events"), 4);
    try {
      await until("four more", 40, async () => clients(await state()) === before + 4);
    } finally {
      streams.close();
    }
    await until("four fewer", 40, async () => clients(await state()) === before);
  });

  it("has members, partitions and no lag", async () => {
    const pipeline = await until("all partitions without lag", 60, async () => {
      const now = (await state()).pipeline.value;
      return now?.lag === 0 ? now : undefined;
    });
    expect(pipeline.consumers).toBe(settings.replicas.crmEvents);
    expect(pipeline.partitions).toEqual(Array.from({ length: settings.kafka.partitions }, (_, partition) => ({ partition, lag: 0 })));
  });

  it("has the error budget's target and rate, and each organisation's, lowest first", async () => {
    const rates = (samples: readonly Sample[]) => samples.map((s) => ({ org: s.metric.org_id!, rate: Number(s.value[1]) })).sort((a, b) => a.rate - b.rate || a.org.localeCompare(b.org));
    const truth = async () => ({ rate: await value("crm:payment_rate_30d_pct"), revenue: await value("crm:revenue_usd"), orgs: rates(await query("crm:payment_rate_30d_pct:by_org")) });
    await agree("the budget", ({ budget: { value: b } }) => ({ rate: b?.rate ?? NaN, revenue: b?.revenue24hUsd ?? NaN, orgs: [...(b?.orgs ?? [])] }), truth);
    await postJson(at("crm-api", "/payments"), { invoice_id: (await postJson(at("crm-api", "/invoices"), { org_id: "acme", customer: "State", amount_cents: 500 })).id, amount_cents: 500 });
    const budget = await until("a rate with a paid invoice", 60, async () => {
      const now = (await state()).budget.value;
      return now?.rate ? now : undefined;
    });
    expect(budget.target).toBe(settings.thresholds.paymentSloPct);
    expect(budget.rate).toBeGreaterThan(0);
    expect(budget.rate).toBeLessThanOrEqual(100);
  });

  it("has the state of QuickBooks as crm-api tells it", async () => {
    const truth = async () => {
      const { state: all, environment, companies } = await getJson(at("crm-api", "/qbo/status"));
      return { state: all, environment, companies: companies.map((c: Record<string, unknown>) => ({ name: `${String(c.org_id)}, company ${String(c.realm_id)}`, state: c.state, lastSyncAt: c.last_sync_at, refreshTokenExpiresAt: c.refresh_token_expires_at, problem: c.problem })) };
    };
    await agree("QuickBooks", ({ qbo: { value: q } }) => q && { ...q, companies: q.companies.map(({ waiting: _waiting, ...c }) => c) }, truth);
    expect((await state()).qbo.value).toMatchObject({ state: "connected", environment: "stand-in" });
  });

  it("follows the events, and knows every scrape target and rule group to be well", async () => {
    const sections = await until("everything well", 60, async () => {
      const now = await state();
      return now.feed.value?.connected && now.freshness.value?.down.length === 0 ? now : undefined;
    });
    expect(sections.freshness.value!.targets).toBe((await query("up")).length);
    expect(sections.freshness.value!.groups.filter((g) => g.stale)).toEqual([]);
    expect(sections.alerts.value).toMatchObject({ heartbeat: true, orphans: [] });
  });
});

describe("while crm-events is away", () => {
  const lagging = 60;

  beforeAll(async () => {
    for (const replica of ["crm-events-1", "crm-events-2"]) await stop(replica);
    // One key, so one partition; few enough to be no skew.
    await produce(Array.from({ length: lagging }, (_, n) => eventLine(n, "state")), "drill:state");
  });

  it("says so of its own connection, and what it knew stays", async () => {
    const { feed } = await until("the lost connection", 60, async () => {
      const now = await state();
      return now.feed.ok ? undefined : now;
    });
    expect(feed).toMatchObject({ ok: false, source: "crm-events", value: { connected: false } });
    expect(feed.problem).toMatch(/^(refuses the connection|is not known by that name|cut the connection|cannot be reached|does not answer( in time)?|ended the stream)$/);
    expect(feed.value!.lastEventAt).not.toBeNull();
  });

  it("has the lag of each partition as Prometheus has it, with the waiting events in one", async () => {
    await until("the lag", 60, async () => Math.max(...((await state()).pipeline.value?.partitions ?? []).map((p) => p.lag)) >= lagging);
    const truth = async () => (await query(`max by (partition) (kafka:group_partition_lag${ofGroup})`)).map((s) => ({ partition: Number(s.metric.partition), lag: Number(s.value[1]) })).sort((a, b) => a.partition - b.partition);
    await agree("the lag of each", (s) => [...(s.pipeline.value?.partitions ?? [])], truth);
    const { partitions, lag } = (await state()).pipeline.value!;
    expect(partitions).toHaveLength(settings.kafka.partitions);
    expect(lag).toBeGreaterThanOrEqual(lagging);
  });

  it("names the targets that do not answer", async () => {
    await until("both replicas", 40, async () => (await state()).freshness.value?.down.join() === "crm-events crm-events-1:9010,crm-events crm-events-2:9010");
  });

  it("shows each alert once: what nothing mutes on top, each muted one below the alert that mutes it", async () => {
    await until("CrmEventsServiceDown and something below", 120, async () => {
      const root = (await state()).alerts.value?.roots.find((a) => a.name === "CrmEventsServiceDown");
      return root?.mutes.some((m) => m.name === "CrmEventsUnderReplicatedConsumers");
    });
    await until("the same as Alertmanager", 60, async () => {
      const [before, { alerts }, after] = [await held(), await state(), await held()];
      // Only of a time at which nothing changed can anything be said.
      if (JSON.stringify(before.map((a) => [a.fingerprint, a.status])) !== JSON.stringify(after.map((a) => [a.fingerprint, a.status]))) return false;
      expectTree(alerts.value!, after);
      return true;
    });
  });

  it("has the Slack inbox, newest first, with the alert's message on top of what came before", async () => {
    await until("the message", 60, async () => (await state()).inbox.value?.messages.some((m) => m.title.includes("CrmEventsServiceDown")));
    await agree("the inbox", (s) => s.inbox.value?.messages.map((m) => m.id), async () => (await inbox()).slice(-20).map((m) => m.id).reverse());
    const shown = (await state()).inbox.value!;
    const [message] = shown.messages.filter((m) => m.title.includes("[FIRING") && m.title.includes("CrmEventsServiceDown"));
    const sent = (await inbox()).find((m) => m.id === message!.id)!;
    expect(message).toMatchObject({ channel: "#crm-alerts", tone: "danger", at: sent.at });
    expect(textOf(sent)).toContain("CrmEventsServiceDown");
    expect(shown.deadMan?.state).toBe("alive");
  });

  it("is well again when it is back", async () => {
    for (const replica of ["crm-events-1", "crm-events-2"]) await start(replica);
    await until("the connection and no lag", 90, async () => {
      const { feed, pipeline } = await state();
      return feed.ok && pipeline.value?.lag === 0 && pipeline.value.consumers === settings.replicas.crmEvents;
    });
    await until("CrmEventsServiceDown over", 90, async () => !(await state()).alerts.value!.roots.some((a) => a.name === "CrmEventsServiceDown"));
  });
});

/** @param alerts as Alertmanager has them at the same time */
function expectTree({ roots, orphans, muted, more, heartbeat }: Alerts, alerts: readonly Held[]): void {
  const ids = (views: readonly AlertView[]) => views.map((a) => a.id).sort();
  const [free, below] = [alerts.filter((a) => a.status.inhibitedBy.length === 0), alerts.filter((a) => a.status.inhibitedBy.length > 0)];
  expect(ids(roots)).toEqual(free.map((a) => a.fingerprint).sort());
  expect(ids([...orphans, ...roots.flatMap((r) => r.mutes)])).toEqual(below.map((a) => a.fingerprint).sort());
  expect({ orphans, muted, more, heartbeat }).toEqual({ orphans: [], muted: below.length, more: 0, heartbeat: true });
  for (const root of roots) {
    for (const { id, name } of root.mutes) expect(below.find((a) => a.fingerprint === id)!.status.inhibitedBy, `${name} below ${root.name}`).toContain(root.id);
  }
  expect(roots.findIndex((a) => a.severity === "warning") >= 0 ? roots.slice(roots.findIndex((a) => a.severity === "warning")).map((a) => a.severity) : []).not.toContain("critical");
}
