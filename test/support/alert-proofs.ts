/**
 * How each alert is proven on the running stack, from its cause to its message in Slack. The end-to-end suites take what
 * they look for from these lists, so that a list cannot say more than is tested.
 */

/** Causes that a suite brings about, and the alerts that it then looks for. */
type Causes = Readonly<Record<string, readonly string[]>>;

/** test/e2e/5-alerts-events.test.ts: what happens to the event pipeline. */
export const eventCauses = {
  "sixty clients connect": ["CrmEventsTooManyClients"],
  "the command center stops, and with it the last client": ["CrmEventsNoClients", "TargetDown"],
  "a replica restarts four times and then stays away": ["CrmEventsFrequentRestarts", "ServiceReplicaDown", "CrmEventsUnderReplicatedConsumers"],
  "the last replica restarts without Kafka": ["CrmEventsServiceDown", "CrmEventsHighErrorRate"],
  "all replicas stop, and come back": ["CrmEventsServiceDown", "CrmEventsSLOAvailabilityBreach"],
  "QuickBooks revokes the tokens, then answers 429": ["QboTokenExpiring", "QboRateLimited"],
  "Kafka takes no commits, and a hot key": ["CrmEventsConsumerStuck", "CrmEventsPartitionStuck", "CrmEventsHotKeySkewHigh"],
  "a flood of events while Kafka takes no commits": ["CrmEventsHighLag", "CrmEventsBackpressure"],
  "a flood of events meets a starved replica": ["CrmEventsFanoutLag"],
  "messages that are no events": ["CrmEventsDeadLetters"],
} as const satisfies Causes;

/** test/e2e/5-alerts.test.ts: what happens to the CRM, the RAG service and the stack itself. */
export const stackCauses = {
  "rules that fail, rules that are slow": ["PrometheusRuleFailures", "PrometheusRuleGroupSlow"],
  "a certificate that is about to expire": ["TlsCertificateExpiring", "TlsCertificateExpiresNow"],
  "crm-api is cut off from its network, but scraped": ["UptimeProbeFailing", "CrmEventsSLOThroughputDegraded"],
  "crm-api is cut off for longer than 5 minutes": ["OutboxStuck", "CrmEventsNoMessages"],
  "tenants miss the cache and get unsure answers": ["CacheEffectivenessDropVIP", "CacheEffectivenessDrop", "LowConfidenceSpikeVIP", "LowConfidenceSpike"],
  "invoices fall due unpaid": ["PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"],
  "kafka-exporter stops while Slack answers 429": ["HealthProbeUnknown", "TargetDown", "AlertmanagerNotificationsFailing"],
  "crm-api stops": ["CrmApiDown"],
  "configuration broken by hand": ["PrometheusConfigReloadFailed", "AlertmanagerConfigReloadFailed"],
  "another program answers at crm-api's address": ["CrmMetricsScrapeStale"],
  "Prometheus stops, then Alertmanager": ["Watchdog"],
} as const satisfies Causes;

/**
 * Alerts whose cause takes too long, or cannot be had on a test machine: a second Prometheus with the stack's rules has
 * backfilled history and made-up present values, and tells the stack's Alertmanager. Each with the reason.
 */
export const byHistory = {
  LowInvoicePaymentRate: "payment rate of 30 days, held for 24 hours (48 minutes in the fast profile)",
  InvoiceGenerationStalled: "no invoice for 24 hours, with as much history",
  RevenueZeroStreak: "no revenue for 48 hours, with as much history",
  RevenueFlatlineFast: "revenue compared with its mean over 7 days",
  RevenueFlatlineSlow: "revenue compared with its mean over 7 days",
  CrmFinanceDrift: "compares only where there are 24 hours of history",
  QboWritesFailed: "a write is given up when QuickBooks has refused it ten times, which takes more than an hour",
  CrmEventsFanoutSilent: "one of several brokers without an answer; the stack has one, and without that one CrmEventsServiceDown is told",
  QboSyncStale: "the last synchronisation is an hour ago",
  CrmRecordingRulesStale: "a rule group that stands still for 5 minutes while the others go on",
  PrometheusNoAlertmanager: "a Prometheus that knows no Alertmanager can tell nobody, so another one must; its own silence is the dead man's switch's",
  PrometheusStorageFilling: "16 GiB of samples",
} as const satisfies Readonly<Record<string, string>>;

/** Alerts that nothing of this proves, each with the reason. */
export const unproven: Readonly<Record<string, string>> = {};

/** One line per alert: how it is proven, and by what. */
export function proofLines(): string[] {
  const real = Object.entries({ ...stackCauses, ...eventCauses }).flatMap(([cause, names]) => names.map((name) => [name, `real cause: ${cause}`] as const));
  const rest = [...Object.entries(byHistory).map(([name, why]) => [name, `history: ${why}`] as const), ...Object.entries(unproven).map(([name, why]) => [name, `not proven: ${why}`] as const)];
  return [...real, ...rest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, how]) => `${name.padEnd(34)} ${how}`);
}

/**
 * Alerts that stand in none of the lists, or in two of them, or that do not exist.
 * @param names of all alerts of the stack
 */
export function proofGaps(names: readonly string[]): string[] {
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ["a real cause", Object.values({ ...stackCauses, ...eventCauses }).flat()],
    ["history", Object.keys(byHistory)],
    ["not proven", Object.keys(unproven)],
  ];
  const all = new Set(names);
  const missing = [...all].filter((name) => !lists.some(([, list]) => list.includes(name))).map((name) => `${name} is in no list of test/support/alert-proofs.ts: say how it is proven to reach Slack`);
  const twice = [...all].map((name) => [name, lists.filter(([, list]) => list.includes(name)).map(([how]) => how)] as const).filter(([, hows]) => hows.length > 1);
  const unknown = lists.flatMap(([how, list]) => [...new Set(list)].filter((name) => !all.has(name)).map((name) => `${name} (${how}) is no alert of the stack`));
  return [...missing, ...twice.map(([name, hows]) => `${name} is in two lists: ${hows.join(" and ")}`), ...unknown];
}
