/** Where alerts go: routes, receivers and inhibitions as data, before they become `alertmanager.yml`. */
import { duration, scaled, seconds } from "../components/settings/timing.ts";
import type { Settings } from "../components/settings/schema.ts";
import { secretsDir } from "../components/topology.ts";

/** One condition on a label, as Alertmanager has it; regular expressions are anchored. */
export interface Matcher {
  readonly label: string;
  readonly op: "=" | "!=" | "=~" | "!~";
  readonly value: string;
}

/** A node of the routing tree; absent times and groupings are the parent's. */
export interface Route {
  /** What it is for, in a few words; shown by `explain`. */
  readonly name: string;
  readonly matchers: readonly Matcher[];
  readonly receiver: ReceiverName;
  readonly groupBy?: readonly string[];
  readonly groupWait?: string;
  readonly groupInterval?: string;
  readonly repeatInterval?: string;
  /** Whether the siblings after it are tried too. */
  readonly continue?: boolean;
  readonly routes?: readonly Route[];
}

/** The root matches everything and leaves nothing open. */
export type RootRoute = Route & Required<Pick<Route, "groupBy" | "groupWait" | "groupInterval" | "repeatInterval">>;

export type ReceiverName = "slack-crm" | "slack-ops" | "dead-man" | "page";

/** A receiver and the ways in which it tells people. */
export interface Receiver {
  readonly name: ReceiverName;
  readonly slack?: { readonly channel: string; readonly urlFile: string };
  readonly webhook?: { readonly urlFile: string };
  readonly pagerduty?: { readonly keyFile: string };
  readonly mail?: { readonly to: string; readonly from: string; readonly smarthost: string; readonly username?: string; readonly passwordFile?: string };
}

/** While a source fires, its targets are not told, as long as the labels in `equal` have equal values. */
export interface Inhibition {
  readonly name: string;
  readonly source: string;
  readonly targets: readonly string[];
  readonly equal: readonly string[];
}

export interface Routing {
  readonly root: RootRoute;
  readonly receivers: readonly Receiver[];
  readonly inhibitions: readonly Inhibition[];
}

/** A route and all below it. */
export const flatten = (route: Route): Route[] => [route, ...(route.routes ?? []).flatMap(flatten)];

/** A matcher in Alertmanager's own syntax. */
export const matcherText = (m: Matcher): string => `${m.label}${m.op}${JSON.stringify(m.value)}`;

const is = (label: string, value: string): Matcher => ({ label, op: "=", value });

/** Routes, receivers and inhibitions of a stack. */
export const routing = (s: Settings): Routing => ({ root: rootRoute(s), receivers: receivers(s), inhibitions: inhibitions(s) });

/** How often Prometheus sends a firing alert again; its `--rules.alert.resend-delay`. */
export const resendDelay = (s: Settings): string => scaled(s, "1m");

/**
 * How long a starting Alertmanager waits before it sends anything, seconds. It keeps no alerts, so until Prometheus has
 * sent them all again it does not know the sources of its inhibitions: the resend delay and one evaluation more.
 */
export const dispatchStartDelaySeconds = (s: Settings): number => seconds(resendDelay(s)) + seconds(scaled(s, "30s"));

/** Every minute. Under any profile the repeat interval is below the group's, at which Alertmanager looks, or each second beat is left out. */
const beat = (s: Settings): Pick<Route, "groupInterval" | "repeatInterval"> => {
  const groupInterval = scaled(s, "1m");
  return { groupInterval, repeatInterval: duration(Math.floor((seconds(groupInterval) * 5) / 6)) };
};

function rootRoute(s: Settings): RootRoute {
  const routes: Route[] = [
    { name: "dead man's switch", matchers: [is("alertname", "Watchdog")], receiver: "dead-man", groupBy: ["alertname"], groupWait: "0s", ...beat(s) },
  ];
  if (s.pagerduty || s.mail) routes.push({ name: "critical alerts page", matchers: [is("severity", "critical")], receiver: "page", groupBy: ["alertname", "service", "tenant"], continue: true });
  routes.push({ name: "CRM", matchers: [is("team", "crm")], receiver: "slack-crm", repeatInterval: scaled(s, "2h") });
  if (s.ragTargets.length > 0) {
    routes.push({ name: "RAG", matchers: [is("team", "aetherlink")], receiver: "slack-ops", groupBy: ["alertname", "tenant"], groupInterval: scaled(s, "2m"), repeatInterval: scaled(s, "2h") });
  }
  // An alert that pages has matched a route below the root, so that the root itself no longer takes it.
  if (s.pagerduty || s.mail) routes.push({ name: "the rest", matchers: [], receiver: "slack-ops" });
  return {
    name: "everything else",
    matchers: [],
    receiver: "slack-ops",
    groupBy: ["alertname", "service"],
    groupWait: scaled(s, "30s"),
    groupInterval: scaled(s, "5m"),
    repeatInterval: scaled(s, "4h"),
    routes,
  };
}

function receivers(s: Settings): Receiver[] {
  const file = (name: string) => `${secretsDir}/${name}`;
  const list: Receiver[] = [
    { name: "slack-ops", slack: { channel: s.slack.opsChannel, urlFile: file("slack-ops") } },
    { name: "slack-crm", slack: { channel: s.slack.crmChannel, urlFile: file("slack-crm") } },
    // Without a dead-man receiver the watchdog still needs a place of its own, or it would fill a channel.
    { name: "dead-man", ...(s.deadMan.configured ? { webhook: { urlFile: file("deadman-url") } } : {}) },
  ];
  if (s.pagerduty || s.mail) {
    list.push({
      name: "page",
      ...(s.pagerduty ? { pagerduty: { keyFile: file("pagerduty-key") } } : {}),
      ...(s.mail ? { mail: { ...s.mail, ...(s.mail.username ? { passwordFile: file("mail-password") } : {}) } } : {}),
    });
  }
  return list;
}

/**
 * What follows from an outage of the API, beside the finance alerts, and has its service. Not UptimeProbeFailing: its own
 * condition keeps it silent in an outage, and one that was told before must be able to say that it is over.
 */
const followsFromApi = ["CrmMetricsScrapeStale", "CrmFinanceDrift", "OutboxStuck", "QboTokenExpiring", "QboSyncStale", "QboRateLimited", "QboWritesFailed"];
const financeTargets = ["RevenueZeroStreak", "InvoiceGenerationStalled", "RevenueFlatlineFast", "RevenueFlatlineSlow", "PaymentRateSLOBurnFast", "PaymentRateSLOBurnSlow"];

function inhibitions(s: Settings): Inhibition[] {
  const list: Inhibition[] = [
    { name: "api-down-mutes-finance", source: "CrmApiDown", targets: financeTargets, equal: ["service"] },
    { name: "api-down-mutes-what-follows", source: "CrmApiDown", targets: followsFromApi, equal: ["service"] },
    { name: "api-down-mutes-silent-events", source: "CrmApiDown", targets: ["CrmEventsNoMessages", "CrmEventsSLOThroughputDegraded"], equal: ["team"] },
    { name: "probe-mutes-finance", source: "UptimeProbeFailing", targets: ["RevenueZeroStreak", "InvoiceGenerationStalled", "CrmMetricsScrapeStale", "CrmRecordingRulesStale"], equal: ["service"] },
    {
      name: "events-down-mutes-what-follows",
      source: "CrmEventsServiceDown",
      targets: [
        "CrmEventsUnderReplicatedConsumers",
        "CrmEventsSLOAvailabilityBreach",
        "CrmEventsConsumerStuck",
        "CrmEventsPartitionStuck",
        "CrmEventsNoClients",
        "CrmEventsNoMessages",
        "CrmEventsSLOThroughputDegraded",
        "CrmEventsFanoutLag",
        "CrmEventsFanoutSilent",
        "ServiceReplicaDown",
      ],
      equal: ["service"],
    },
    { name: "fast-burn-mutes-slow", source: "PaymentRateSLOBurnFast", targets: ["PaymentRateSLOBurnSlow"], equal: ["service"] },
  ];
  if (s.ragTargets.length > 0) {
    list.push(
      { name: "vip-cache-mutes-plain", source: "CacheEffectivenessDropVIP", targets: ["CacheEffectivenessDrop"], equal: ["tenant"] },
      { name: "vip-confidence-mutes-plain", source: "LowConfidenceSpikeVIP", targets: ["LowConfidenceSpike"], equal: ["tenant"] },
    );
  }
  return list;
}
