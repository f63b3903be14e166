/**
 * Every metric name that this project exports, scrapes or records from, spelt once.
 *
 * Services build their counters from these names, rules and dashboards build their queries from them, and a test
 * refuses an expression that uses a name which is neither here nor recorded by a rule.
 */

/** What a metric is, who exports it and which labels it carries (target labels such as `job` and `instance` apart). */
export interface MetricSpec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
}

const metric = (
  type: MetricSpec["type"],
  name: string,
  labels: readonly string[],
  help: string,
): MetricSpec => ({ name, type, labels, help });
const counter = (name: string, labels: readonly string[], help: string) => metric("counter", name, labels, help);
const gauge = (name: string, labels: readonly string[], help: string) => metric("gauge", name, labels, help);
const histogram = (name: string, labels: readonly string[], help: string) => metric("histogram", name, labels, help);

/** Exported by crm-api. Those with `org_id` only come from the store: they survive restarts and agree between replicas. */
export const crmApi = {
  invoicesGenerated: counter("crm_invoices_generated_total", ["org_id"], "Invoices created, from the store."),
  invoicesPaid: counter("crm_invoices_paid_total", ["org_id"], "Invoices that became fully paid, from the store."),
  paymentsCents: counter("crm_invoice_payments_cents_total", ["org_id"], "Payments received, in cents, from the store."),
  invoicesDue: counter("crm_invoices_due_total", ["org_id"], "Invoices that reached their due date."),
  invoicesOverdue: counter("crm_invoices_overdue_total", ["org_id"], "Invoices that reached their due date unpaid."),
  invoicesVoided: counter("crm_invoices_voided_total", ["org_id"], "Invoices voided after they were created."),
  refundsCents: counter("crm_refunds_cents_total", ["org_id"], "Refunds given, in cents, counted apart from payments."),
  leads: counter("crm_leads_total", ["org_id"], "Leads created."),
  proposals: counter("crm_proposals_total", ["org_id"], "Proposals created."),
  payments: counter("crm_payments_total", ["org_id"], "Payments received."),
  storeInvoicesCreated24h: gauge("crm_store_invoices_created_24h", ["org_id"], "The store's own count of invoices created in the last 24 h."),
  storeInvoicesPaid24h: gauge("crm_store_invoices_paid_24h", ["org_id"], "The store's own count of invoices paid in the last 24 h."),
  storeRevenueCents24h: gauge("crm_store_revenue_cents_24h", ["org_id"], "The store's own sum of payments of the last 24 h, in cents."),
  httpRequests: counter("crm_http_requests_total", ["method", "route", "status"], "HTTP requests answered."),
  httpDuration: histogram("crm_http_request_duration_seconds", ["method", "route"], "Time to answer an HTTP request."),
  outboxDepth: gauge("crm_outbox_depth", [], "Events written and not yet acknowledged by Kafka."),
  outboxOldestAge: gauge("crm_outbox_oldest_age_seconds", [], "Age of the oldest unsent event; 0 when there is none."),
  outboxPublished: counter("crm_outbox_published_total", ["topic"], "Events acknowledged by Kafka."),
  outboxPublishedBytes: counter("crm_outbox_published_bytes_total", ["topic"], "Bytes of keys and values acknowledged by Kafka."),
  outboxFailures: counter("crm_outbox_publish_failures_total", [], "Attempts to publish that failed and will be repeated."),
  qboConnected: gauge("crm_qbo_connected", [], "1 when a QuickBooks company is connected and its tokens are usable."),
  qboAccessExpiry: gauge("crm_qbo_access_token_expiry_timestamp_seconds", [], "When the access token expires; absent when not connected."),
  qboRefreshExpiry: gauge("crm_qbo_refresh_token_expiry_timestamp_seconds", [], "When the refresh token expires; absent when not connected."),
  qboTokenAge: gauge("crm_qbo_token_age_seconds", [], "Time since the oldest pair of tokens was issued; absent when not connected."),
  qboWritesFailed: gauge("crm_qbo_writes_failed", [], "Writes that QuickBooks refused for good, until they are sent again by POST /qbo/writes/retry."),
  qboLastSync: gauge("crm_qbo_last_sync_success_timestamp_seconds", [], "When the last good sync ended; the connection time before the first; absent when not connected."),
  qboRequests: counter("crm_qbo_requests_total", ["operation", "status"], "Calls to QuickBooks by operation and outcome."),
  qboRateLimited: counter("crm_qbo_rate_limited_total", [], "Answers 429 from QuickBooks."),
  qboTokenRefreshes: counter("crm_qbo_token_refreshes_total", ["result"], "Refreshes of the access token by result."),
  qboLeftOut: counter("crm_qbo_objects_left_out_total", ["entity"], "Objects that a synchronisation left out, because they cannot be read or converted, each time."),
  qboWebhooks: counter("crm_qbo_webhooks_total", ["result"], "Webhook events by result: accepted, duplicate, unusable, rejected."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by each replica of crm-events. */
export const crmEvents = {
  sseClients: gauge("crm_events_sse_clients", [], "Open event streams."),
  messages: counter("crm_events_messages_total", [], "Messages handled and committed by the consumer group."),
  httpRequests: counter("crm_events_http_requests_total", ["path", "method", "status"], "HTTP requests answered, streams at their start."),
  deliveryLatency: histogram("crm_events_delivery_latency_seconds", [], "From the event's own time to its write to the clients."),
  droppedClients: counter("crm_events_dropped_clients_total", ["reason"], "Streams closed by the server: slow, rate, drain."),
  deadLetters: counter("crm_events_dead_letters_total", ["reason"], "Messages parked in the dead-letter topic."),
  sseBytes: counter("crm_events_sse_bytes_total", [], "Bytes written to event streams."),
  fanoutLag: gauge("crm_events_fanout_lag", ["partition"], "Messages that this replica's fan-out has not read yet."),
  fanoutSilent: gauge("crm_events_fanout_silent_seconds", ["partition"], "Time since a broker last answered this replica's fan-out about a partition; 0 while answers come."),
  circuitOpen: gauge("crm_events_kafka_circuit_open", [], "1 while the circuit breaker keeps this replica from Kafka."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by crm-events-health. */
export const healthProbe = {
  checks: counter("health_probe_checks_total", ["verdict"], "Polls by the verdict that they gave."),
  status: gauge("health_probe_status", ["verdict"], "1 for the verdict that holds (ready, not_ready, unknown, warming_up), 0 for the others."),
  duration: histogram("health_probe_duration_seconds", [], "Time of one poll of Prometheus, retries included."),
  retries: counter("health_probe_retries_total", [], "Queries repeated after a failure."),
  timeouts: counter("health_probe_timeouts_total", [], "Queries that gave no answer in time."),
  verdictAge: gauge("health_probe_verdict_age_seconds", [], "Age of the verdict that /ready answers with."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the RAG service; by the simulator in development. */
export const rag = {
  cacheHits: counter("aether_cache_hits_total", ["tenant"], "Answers served from the cache."),
  cacheRequests: counter("aether_cache_requests_total", ["tenant"], "Requests that asked the cache."),
  answers: counter("aether_rag_answers_total", ["tenant", "rerank"], "Answers given, with or without reranking."),
  lowConfidence: counter("aether_rag_lowconfidence_total", ["tenant"], "Answers given with low confidence."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the simulator about itself. */
export const simulator = {
  requests: counter("simulator_requests_total", ["operation", "outcome"], "Calls to the CRM by outcome: ok, refused, failed."),
  crmReachable: gauge("simulator_crm_reachable", [], "1 while the CRM answers, 0 while the simulator backs off."),
  openInvoices: gauge("simulator_open_invoices", [], "Invoices that the simulator still means to pay."),
  forgottenInvoices: counter("simulator_forgotten_invoices_total", [], "Open invoices dropped because their number is limited."),
  scenario: gauge("simulator_scenario_active", ["scenario"], "1 while a scenario runs."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the Slack stand-in. */
export const slackStandin = {
  requests: counter("slack_standin_requests_total", ["outcome"], "Webhook requests by the word they were answered with, or the fault."),
  messages: counter("slack_standin_messages_total", ["channel"], "Messages taken, by channel."),
  deadManBeats: counter("slack_standin_deadman_beats_total", [], "Beats that reached the dead man's switch."),
  deadManState: gauge("slack_standin_deadman_state", ["state"], "1 for the state that holds (waiting, alive, dead), 0 for the others."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the QuickBooks stand-in. */
export const qboStandin = {
  requests: counter("qbo_standin_requests_total", ["operation", "outcome"], "Requests by operation and by what they were answered with."),
  webhooks: counter("qbo_standin_webhooks_total", ["result"], "Webhook deliveries by result: delivered, repeated, given_up."),
  objects: gauge("qbo_standin_objects", ["entity"], "Objects in the books of all companies."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the command center. */
export const commandCenter = {
  requests: counter("command_center_http_requests_total", ["route", "status"], "HTTP requests answered."),
  viewers: gauge("command_center_viewers", [], "Pages that follow the live state."),
  upstreamUp: gauge("command_center_upstream_up", ["source"], "1 while a source answers, 0 while it does not."),
  upstreamFailures: counter("command_center_upstream_failures_total", ["source"], "Reads of a source that failed."),
  droppedViewers: counter("command_center_dropped_viewers_total", [], "Streams closed because their reader was too slow."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by kafka_exporter. Lag is -1 for a partition without a commit. */
export const kafka = {
  brokers: gauge("kafka_brokers", [], "Brokers in the cluster."),
  topicPartitions: gauge("kafka_topic_partitions", ["topic"], "Partitions of a topic."),
  topicOffset: gauge("kafka_topic_partition_current_offset", ["topic", "partition"], "Newest offset of a partition."),
  topicOldestOffset: gauge("kafka_topic_partition_oldest_offset", ["topic", "partition"], "Oldest offset of a partition."),
  underReplicated: gauge("kafka_topic_partition_under_replicated_partition", ["topic", "partition"], "1 when a partition lacks replicas."),
  groupOffset: gauge("kafka_consumergroup_current_offset", ["consumergroup", "topic", "partition"], "Offset committed by a group."),
  groupLag: gauge("kafka_consumergroup_lag", ["consumergroup", "topic", "partition"], "Messages that a group has not committed yet."),
  groupMembers: gauge("kafka_consumergroup_members", ["consumergroup"], "Members of a group."),
} as const satisfies Record<string, MetricSpec>;

/** Exported by the third-party programs themselves or made by Prometheus when it scrapes. */
export const stack = {
  up: gauge("up", [], "1 when the last scrape succeeded."),
  scrapeDuration: gauge("scrape_duration_seconds", [], "Duration of the last scrape."),
  scrapeSamples: gauge("scrape_samples_scraped", [], "Samples of the last scrape."),
  alerts: gauge("ALERTS", ["alertname", "alertstate", "cause", "severity", "service", "team"], "Alerts that are pending or firing."),
  alertsForState: gauge("ALERTS_FOR_STATE", ["alertname", "severity", "service", "team"], "When an alert became pending, as a Unix time."),
  processStart: gauge("process_start_time_seconds", [], "When the process started."),
  residentMemory: gauge("process_resident_memory_bytes", [], "Resident memory."),
  processCpu: counter("process_cpu_seconds_total", [], "CPU time."),
  probeSuccess: gauge("probe_success", [], "1 when the last probe succeeded."),
  probeDuration: gauge("probe_duration_seconds", [], "Duration of the last probe."),
  probeCertExpiry: gauge("probe_ssl_earliest_cert_expiry", [], "When the first certificate of the chain expires."),
  promReloadOk: gauge("prometheus_config_last_reload_successful", [], "1 when the last reload succeeded."),
  promRuleFailures: counter("prometheus_rule_evaluation_failures_total", ["rule_group"], "Rule evaluations that failed."),
  promRuleLastEvaluation: gauge("prometheus_rule_group_last_evaluation_timestamp_seconds", ["rule_group"], "When a group was last evaluated."),
  promRuleLastDuration: gauge("prometheus_rule_group_last_duration_seconds", ["rule_group"], "How long a group's last evaluation took."),
  promRuleInterval: gauge("prometheus_rule_group_interval_seconds", ["rule_group"], "A group's interval."),
  promRuleSamples: gauge("prometheus_rule_group_last_evaluation_samples", ["rule_group"], "Samples of a group's last evaluation."),
  promAlertmanagers: gauge("prometheus_notifications_alertmanagers_discovered", [], "Alertmanagers that Prometheus knows."),
  promNotificationsDropped: counter("prometheus_notifications_dropped_total", [], "Alerts dropped on the way to Alertmanager."),
  promStorageBytes: gauge("prometheus_tsdb_storage_blocks_bytes", [], "Bytes of the blocks on disk."),
  promWalBytes: gauge("prometheus_tsdb_wal_storage_size_bytes", [], "Bytes of the write-ahead log."),
  promRetentionLimitBytes: gauge("prometheus_tsdb_retention_limit_bytes", [], "Size limit of the storage; 0 when there is none."),
  promHeadSeries: gauge("prometheus_tsdb_head_series", [], "Series in memory."),
  promSamplesAppended: counter("prometheus_tsdb_head_samples_appended_total", ["type"], "Samples written."),
  promQuerySeconds: gauge("prometheus_engine_query_duration_seconds", ["slice", "quantile"], "Query durations."),
  amReloadOk: gauge("alertmanager_config_last_reload_successful", [], "1 when the last reload succeeded."),
  amNotifications: counter("alertmanager_notifications_total", ["integration"], "Notifications tried."),
  amNotificationsFailed: counter("alertmanager_notifications_failed_total", ["integration", "reason"], "Notifications that failed."),
  amAlerts: gauge("alertmanager_alerts", ["state"], "Alerts by state."),
  amClusterMembers: gauge("alertmanager_cluster_members", [], "Members of the gossip cluster."),
} as const satisfies Record<string, MetricSpec>;

/** All of the above, for checks. A histogram also exports `_bucket`, `_sum` and `_count`. */
export const allMetrics: readonly MetricSpec[] = [crmApi, crmEvents, healthProbe, rag, simulator, slackStandin, qboStandin, commandCenter, kafka, stack].flatMap((group) =>
  Object.values<MetricSpec>(group),
);
