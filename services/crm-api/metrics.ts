/** The service's instruments. What comes from the store is read from it at each scrape, so that replicas agree. */
import type { Counter, Gauge } from "@prometheus-io/client";
import { crmApi as names, type MetricSpec } from "../../rules/metrics.ts";
import { counter, createRegistry, gauge, histogram, type Registry } from "../shared/metrics.ts";
import { cached } from "./cached.ts";
import { totals, windowSums } from "./crm/books.ts";
import type { Clock } from "./clock.ts";
import { dayMs, windowEnding } from "./crm/window.ts";
import { outboxState } from "./outbox/state.ts";
import { companyTimes } from "./qbo/status.ts";
import type { Store } from "./store/store.ts";
import type { LedgerKind } from "./store/tables.ts";

const latencyBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const dayCacheMs = 15_000;
const outboxCacheMs = 2_000;
/** Two scrapes, the second of them with its time limit. */
const newOrgMs = 35_000;

/** The counters that the ledger's totals feed: which kind, and whether its count or its cents. */
const durable: readonly (readonly [MetricSpec, LedgerKind, "count" | "amountCents"])[] = [
  [names.invoicesGenerated, "invoice_created", "count"],
  [names.invoicesPaid, "invoice_paid", "count"],
  [names.paymentsCents, "payment", "amountCents"],
  [names.invoicesDue, "invoice_due", "count"],
  [names.invoicesOverdue, "invoice_overdue", "count"],
  [names.invoicesVoided, "invoice_voided", "count"],
  [names.refundsCents, "refund", "amountCents"],
  [names.leads, "lead", "count"],
  [names.proposals, "proposal", "count"],
  [names.payments, "payment", "count"],
];

export interface Metrics {
  readonly registry: Registry;
  readonly httpRequests: Counter<string>;
  readonly httpDuration: ReturnType<typeof histogram>;
  readonly outboxPublished: Counter<string>;
  readonly outboxPublishedBytes: Counter<string>;
  readonly outboxFailures: Counter<string>;
  readonly qboRequests: Counter<string>;
  readonly qboRateLimited: Counter<string>;
  readonly qboTokenRefreshes: Counter<string>;
  readonly qboWebhooks: Counter<string>;
  readonly qboLeftOut: Counter<string>;
}

/** @param defaults false leaves the process's own metrics out, for tests */
export function createMetrics(defaults = true): Metrics {
  const registry = createRegistry(defaults);
  return {
    registry,
    httpRequests: counter(registry, names.httpRequests),
    httpDuration: histogram(registry, names.httpDuration, latencyBuckets),
    outboxPublished: counter(registry, names.outboxPublished),
    outboxPublishedBytes: counter(registry, names.outboxPublishedBytes),
    outboxFailures: counter(registry, names.outboxFailures),
    qboRequests: counter(registry, names.qboRequests),
    qboRateLimited: counter(registry, names.qboRateLimited),
    qboTokenRefreshes: counter(registry, names.qboTokenRefreshes),
    qboWebhooks: counter(registry, names.qboWebhooks),
    qboLeftOut: counter(registry, names.qboLeftOut),
  };
}

/**
 * Registers what the store feeds.
 * @returns a function that reads the store and gives the whole exposition; it throws when the store cannot be read
 */
export function storeMetrics(metrics: Metrics, store: Store, clock: Clock): () => Promise<string> {
  const followers = durable.map(([spec, kind, field]) => ({ follow: following(counter(metrics.registry, spec)), kind, field }));
  const byKind = Map.groupBy(followers, (f) => f.kind);
  const day = dayGauges(metrics.registry);
  const outbox = { depth: gauge(metrics.registry, names.outboxDepth), age: gauge(metrics.registry, names.outboxOldestAge) };
  const qbo = qboGauges(metrics.registry);
  const daySums = cached(clock, dayCacheMs, () => windowSums(store.db, windowEnding(clock.now(), dayMs)));
  const waiting = cached(clock, outboxCacheMs, () => outboxState(store.db));
  return async () => {
    const [sums, days, unsent, times] = [await totals(store.db), await daySums(), await waiting(), await companyTimes(store.db)];
    // No await between here and the exposition's start: concurrent scrapes never see half of it.
    const now = clock.now();
    for (const sum of sums) for (const f of byKind.get(sum.kind) ?? []) f.follow(sum.orgId, isNew(sum.orgSince, now) ? 0 : sum[f.field]);
    for (const d of days) {
      day.created.set({ org_id: d.org_id }, d.invoices_created);
      day.paid.set({ org_id: d.org_id }, d.invoices_paid);
      day.revenue.set({ org_id: d.org_id }, d.revenue_cents);
    }
    outbox.depth.set(unsent.depth);
    outbox.age.set(unsent.oldestAt === undefined ? 0 : Math.max(0, now - unsent.oldestAt) / 1000);
    qbo(times, now);
    return metrics.registry.metrics();
  };
}

/**
 * Whether an organisation's counters still show 0. A gain is counted from the first value that Prometheus sees, so what a
 * new organisation does before its first scrape would be lost. By the time of its creation, so that replicas agree and
 * it does not matter who reads; a clock that was set back makes none new again.
 */
const isNew = (since: number, now: number): boolean => Math.abs(now - since) < newOrgMs;

/**
 * A counter that follows the store's totals. It is raised by what is new, because making thousands of series anew at each
 * scrape costs seconds; a total that fell (a store restored from a copy) starts it again.
 */
function following(c: Counter<string>): (orgId: string, value: number) => void {
  const known = new Map<string, number>();
  return (orgId, value) => {
    const before = known.get(orgId);
    if (before === value) return;
    known.set(orgId, value);
    if (before === undefined || value > before) return c.inc({ org_id: orgId }, value - (before ?? 0));
    c.remove({ org_id: orgId });
    c.inc({ org_id: orgId }, value);
  };
}

const dayGauges = (registry: Registry) => ({
  created: gauge(registry, names.storeInvoicesCreated24h),
  paid: gauge(registry, names.storeInvoicesPaid24h),
  revenue: gauge(registry, names.storeRevenueCents24h),
});

function qboGauges(registry: Registry): (times: Awaited<ReturnType<typeof companyTimes>>, now: number) => void {
  const connected = gauge(registry, names.qboConnected);
  const access = gauge(registry, names.qboAccessExpiry);
  const refresh = gauge(registry, names.qboRefreshExpiry);
  const age = gauge(registry, names.qboTokenAge);
  const failed = gauge(registry, names.qboWritesFailed);
  const sync = gauge(registry, names.qboLastSync);
  // Absent, not 0: a time in 1970 would raise an alert.
  const seconds = (g: Gauge<string>, ms: number | undefined) => (ms === undefined ? g.remove() : g.set(ms / 1000));
  return (times, now) => {
    connected.set(times.usable ? 1 : 0);
    seconds(access, times.accessExpiresAt);
    seconds(refresh, times.refreshExpiresAt);
    seconds(age, times.refreshedAt === undefined ? undefined : Math.max(0, now - times.refreshedAt));
    failed.set(times.writesFailed);
    seconds(sync, times.lastSyncAt);
  };
}
