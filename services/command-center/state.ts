/** What the page knows: plain data that the server sends and the browser shows. Times are ISO 8601. */
import type { Span } from "../shared/mrkdwn.ts";

export type SourceName = "prometheus" | "alertmanager" | "crm-api" | "crm-events" | "slack-inbox";

/** One part of the page with what is known of its source. */
export interface Section<T> {
  readonly source: SourceName;
  /** Whether the last read succeeded. `value` is then the newest; else it is the last good one, or null when there never was one. */
  readonly ok: boolean;
  /** Time of the last good read. */
  readonly readAt: string | null;
  /** Why the last read failed, in words. */
  readonly problem: string | null;
  readonly value: T | null;
}

export interface PartitionLag {
  readonly partition: number;
  readonly lag: number;
}

/** The event pipeline from Kafka to the clients; null where Prometheus has no such series (yet). */
export interface Pipeline {
  readonly clients: number | null;
  /** Events per second that the group handled, mean of 5 minutes. */
  readonly eventsPerSecond: number | null;
  readonly lag: number | null;
  readonly skew: number | null;
  readonly consumers: number | null;
  readonly partitions: readonly PartitionLag[];
}

/** One line of a chart: values at `times` (Unix seconds), null where there is none. */
export interface Trend {
  readonly times: readonly number[];
  readonly values: readonly (number | null)[];
}

export interface Trends {
  readonly eventsPerSecond: Trend;
  readonly lag: Trend;
}

/** Payment SLO, percent. `rate` is null when no invoice was created in 30 days. */
export interface Budget {
  readonly target: number;
  readonly rate: number | null;
  readonly revenue24hUsd: number | null;
  readonly orgs: readonly { readonly org: string; readonly rate: number }[];
}

/** When rule groups were last evaluated, oldest first. */
export interface Freshness {
  readonly groups: readonly { readonly group: string; readonly ageSeconds: number; readonly stale: boolean }[];
  /** Scrape targets that do not answer. */
  readonly down: readonly string[];
  readonly targets: number;
}

export type Severity = "critical" | "warning" | "none";

export interface AlertView {
  /** Alertmanager's fingerprint. */
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly service: string;
  readonly team: string;
  /** Tenant or organisation, when the alert is about one. */
  readonly scope: string | null;
  readonly summary: string;
  readonly description: string;
  readonly startsAt: string;
  readonly silenced: boolean;
  readonly runbook: string | null;
  readonly dashboard: string | null;
  readonly silence: string | null;
  /** Alerts that this one mutes. */
  readonly mutes: readonly AlertView[];
}

export interface Alerts {
  /** Alerts that nothing mutes, most urgent first. */
  readonly roots: readonly AlertView[];
  /** Muted by an alert that Alertmanager no longer has. */
  readonly orphans: readonly AlertView[];
  readonly muted: number;
  /** Roots beyond those that are listed. */
  readonly more: number;
  /** Whether the always-firing Watchdog is here: proof that rules reach Alertmanager. */
  readonly heartbeat: boolean;
}

/** crm-api's words for a connection; `unknown` for one that this page does not know. */
export type QboState = "not_configured" | "not_connected" | "importing" | "connected" | "rate_limited" | "reauthorise" | "unknown";

export interface QboCompany {
  readonly name: string;
  readonly state: QboState;
  readonly lastSyncAt: string | null;
  readonly refreshTokenExpiresAt: string | null;
  /** Webhook events and writes that wait. */
  readonly waiting: number;
  readonly problem: string | null;
}

export interface Qbo {
  readonly state: QboState;
  /** `stand-in`, `sandbox` or `production`; null when QuickBooks is not configured. */
  readonly environment: string | null;
  readonly companies: readonly QboCompany[];
}

export interface InboxMessage {
  readonly id: number;
  readonly at: string;
  readonly channel: string;
  readonly tone: "good" | "warning" | "danger" | null;
  readonly title: string;
  readonly link: string | null;
  readonly text: readonly Span[];
}

export interface Inbox {
  readonly messages: readonly InboxMessage[];
  readonly deadMan: { readonly state: string; readonly lastBeatAt: string | null } | null;
}

/** State of the connection to crm-events. */
export interface Feed {
  readonly connected: boolean;
  readonly lastEventAt: string | null;
}

/** Every section; the inbox is there only where there is a Slack stand-in. */
export interface Sections {
  readonly pipeline: Section<Pipeline>;
  readonly trends: Section<Trends>;
  readonly budget: Section<Budget>;
  readonly freshness: Section<Freshness>;
  readonly alerts: Section<Alerts>;
  readonly qbo: Section<Qbo>;
  readonly feed: Section<Feed>;
  readonly inbox?: Section<Inbox>;
}

/** A section on its way: `value` is left out when it did not change since the message before. */
export type SectionUpdate = Omit<Section<unknown>, "value"> & { readonly value?: unknown };

/** Sent whenever the sources were read, first with all values. */
export interface StateMessage {
  readonly at: string;
  /** Changes when the page's own code does. */
  readonly build: string;
  /** Seconds between two of these. */
  readonly everySeconds: number;
  readonly links: Readonly<Record<string, string>>;
  readonly sections: Readonly<Record<string, SectionUpdate>>;
}

/** An event of the CRM, or a note that events are missing here. */
export type FeedItem =
  | { readonly kind: "event"; readonly id: string; readonly type: string; readonly at: string; readonly org: string; readonly aggregate: string; readonly amountCents: number | null; readonly data: string }
  | { readonly kind: "gap"; readonly id: string; readonly at: string; readonly reason: string };

export interface FeedMessage {
  readonly items: readonly FeedItem[];
  /** Events left out because too many came at once. */
  readonly skipped: number;
  /** The browser's position was not known here: what it lacks shows by what it already has. */
  readonly restarted: boolean;
}
