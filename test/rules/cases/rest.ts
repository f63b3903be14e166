/** QuickBooks and outbox, RAG, probes, and the stack itself. */
import { alertCases, type RuleCase, type Series } from "./case.ts";

const api = (metric: string, n = 1) => `${metric}{job="crm_api",instance="crm-api-${n}:8080"}`;
const hits = (tenant: string) => `aether_cache_hits_total{tenant="${tenant}"}`;
const asked = (tenant: string) => `aether_cache_requests_total{tenant="${tenant}"}`;
const low = (tenant: string) => `aether_rag_lowconfidence_total{tenant="${tenant}"}`;
const answers = (tenant: string, rerank = "false") => `aether_rag_answers_total{tenant="${tenant}",rerank="${rerank}"}`;
/** Of 100 requests or answers per sample, `n` are hits, or have low confidence. */
const cache = (tenant: string, n: number): Series => ({ [hits(tenant)]: `1000+${n}x80`, [asked(tenant)]: "1000+100x80" });
const confidence = (tenant: string, n: number): Series => ({ [low(tenant)]: `1000+${n}x80`, [answers(tenant)]: "1000+60x80", [answers(tenant, "true")]: "1000+40x80" });
const probe = (instance: string, job = "blackbox_http") => `probe_success{job="${job}",instance="${instance}"}`;
const up = (job: string, instance: string) => `up{job="${job}",instance="${instance}"}`;
const group = (metric: string, name: string) => `${metric}{rule_group="/etc/prometheus/current/rules/x.yml;${name}"}`;
const sent = (metric: string, integration: string) => `alertmanager_notifications_${metric}{integration="${integration}",instance="alertmanager:9093"}`;
const expiry = 'probe_ssl_earliest_cert_expiry{job="blackbox_https",instance="https://shop.example.com/health"}';
const apiService = { service: "crm-api", team: "crm", product: "peakpro" };

export const restCases: RuleCase[] = [
  ...alertCases("QboTokenExpiring", {
    fires: { series: { [api("crm_qbo_refresh_token_expiry_timestamp_seconds")]: "605400x40" }, before: "10m", at: "10m30s", description: "The refresh token expires in 6d 23h 59m 30s; after that somebody must authorise the company again." },
    silent: { "a replica has a newer one": { series: { [api("crm_qbo_refresh_token_expiry_timestamp_seconds")]: "605400x40", [api("crm_qbo_refresh_token_expiry_timestamp_seconds", 2)]: "900000x40" } } },
  }),
  ...alertCases("QboSyncStale", {
    fires: { series: { [api("crm_qbo_last_sync_success_timestamp_seconds")]: "0x200" }, before: "1h15m", at: "1h15m30s", description: "The last good synchronisation with QuickBooks ended 1h 15m 30s ago." },
    silent: { "synchronised again": { series: { [api("crm_qbo_last_sync_success_timestamp_seconds")]: "0x100 3000x100" } }, "another replica did": { series: { [api("crm_qbo_last_sync_success_timestamp_seconds")]: "0x200", [api("crm_qbo_last_sync_success_timestamp_seconds", 2)]: "4000x200" } } },
  }),
  ...alertCases("QboRateLimited", {
    fires: { series: { [api("crm_qbo_rate_limited_total")]: "100+1x60", [api("crm_qbo_rate_limited_total", 2)]: "100+1x60" }, before: "10m", at: "10m30s", description: "QuickBooks has answered 429 for 10 minutes, now 0.067 times per second." },
    silent: { "twice, then not for 5 minutes": { series: { [api("crm_qbo_rate_limited_total")]: "0 1 1 1 2x60" } }, "once": { series: { [api("crm_qbo_rate_limited_total")]: "0 1x60" } }, "not any more": { series: { [api("crm_qbo_rate_limited_total")]: "100x60" } } },
    reset: { series: { [api("crm_qbo_rate_limited_total")]: "100x9 0x60" }, at: "10m30s" },
  }),
  ...alertCases("QboWritesFailed", {
    fires: { series: { [api("crm_qbo_writes_failed")]: "0 0 2x60", [api("crm_qbo_writes_failed", 2)]: "0 0 2x60" }, before: "5m30s", at: "6m", description: "QuickBooks refused 2 writes until they were given up: its books lack them until somebody sends them again." },
    silent: { "none given up": { series: { [api("crm_qbo_writes_failed")]: "0x60" } }, "sent again in time": { series: { [api("crm_qbo_writes_failed")]: "1x9 0x60" } } },
  }),
  ...alertCases("OutboxStuck", {
    fires: { series: { [api("crm_outbox_oldest_age_seconds")]: "301x40", [api("crm_outbox_oldest_age_seconds", 2)]: "300x40" }, before: "1m30s", at: "2m", description: "The oldest event that Kafka has not acknowledged has waited for 5m 1s." },
    silent: { "exactly the limit": { series: { [api("crm_outbox_oldest_age_seconds")]: "300x40" } } },
  }),
  ...alertCases("CacheEffectivenessDrop", {
    fires: {
      series: { ...cache("acme-corp", 29), ...cache("globex", 90) },
      before: "15m",
      at: "15m30s",
      description: "The cache answers 29.0 % of the requests of tenant acme-corp over the last 5 minutes; the limit is 30 %.",
      labels: { tenant: "acme-corp" },
    },
    silent: { "exactly the limit": { series: { [hits("acme-corp")]: "1000+30x80", [asked("acme-corp")]: "1000+100x80" } }, "exactly the limit, with a rounding error": { series: { [hits("acme-corp")]: "0+42x80", [asked("acme-corp")]: "0+140x80" }, at: "40m", step: "1m" }, "no requests": { series: { [hits("acme-corp")]: "1000x80", [asked("acme-corp")]: "1000x80" } } },
    also: { "not one hit yet": { series: { [asked("acme-corp")]: "1000+100x80" }, before: "15m", at: "15m30s" } },
    reset: { series: { [hits("acme-corp")]: "5000+90x19 0+90x60", [asked("acme-corp")]: "5000+100x19 0+100x60" }, at: "15m30s" },
  }),
  ...alertCases("LowConfidenceSpike", {
    fires: {
      series: { ...confidence("acme-corp", 21), ...confidence("globex", 5) },
      before: "15m",
      at: "15m30s",
      description: "21.0 % of the answers to tenant acme-corp over the last 15 minutes have low confidence; the limit is 20 %.",
      labels: { tenant: "acme-corp" },
    },
    silent: { "exactly the limit": { series: confidence("acme-corp", 20) }, "no answers": { series: { [low("acme-corp")]: "1x80", [answers("acme-corp")]: "1x80" } }, "not one of low confidence yet": { series: { [answers("acme-corp")]: "1+9x80" } } },
    reset: { series: { [low("acme-corp")]: "5000+1x19 0+1x60", [answers("acme-corp")]: "5000+100x19 0+100x60" }, at: "15m30s" },
  }),
  ...alertCases("CacheEffectivenessDropVIP", {
    fires: {
      series: { ...cache("vip-initech", 19), ...cache("premium-umbrella", 40) },
      before: "5m",
      at: "5m30s",
      description: "The cache answers 19.0 % of the requests of tenant vip-initech over the last 5 minutes; the limit is 20 %.",
      labels: { tenant: "vip-initech" },
    },
    silent: { "exactly the limit": { series: { ...cache("vip-initech", 20) } }, "a plain tenant": { series: cache("acme-vip-corp", 5) } },
    also: { "a premium tenant": { series: cache("premium-umbrella", 5), before: "5m", at: "5m30s" } },
  }),
  ...alertCases("LowConfidenceSpikeVIP", {
    fires: {
      series: { ...confidence("vip-initech", 16) },
      before: "5m",
      at: "5m30s",
      description: "16.0 % of the answers to tenant vip-initech over the last 15 minutes have low confidence; the limit is 15 %.",
      labels: { tenant: "vip-initech" },
    },
    silent: { "exactly the limit": { series: confidence("vip-initech", 15) }, "a plain tenant": { series: confidence("acme-corp", 50) } },
    also: { "a premium tenant": { series: confidence("premium-umbrella", 50), before: "5m", at: "5m30s" } },
  }),
  ...alertCases("UptimeProbeFailing", {
    fires: {
      series: { [probe("http://crm-api:8080/qbo/status")]: "1x2 0x40", [up("crm_api", "crm-api:8080")]: "1x40" },
      before: "3m",
      at: "3m30s",
      description: "The probe of http://crm-api:8080/qbo/status (blackbox_http) has failed for 2 minutes (probe_success is 0), and crm-api itself did not report to be down before.",
      labels: { ...apiService, job: "blackbox_http", instance: "http://crm-api:8080/qbo/status" },
    },
    silent: {
      "its own scrape says so": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [up("crm_api", "crm-api-1:8080")]: "0x40", [up("crm_api", "crm-api-2:8080")]: "0x40" } },
      "Prometheus' own scrape says so": { series: { [probe("prometheus:9090", "blackbox_tcp")]: "0x40", [up("prometheus", "prometheus:9090")]: "0x40" } },
      "the probe works": { series: { [probe("http://crm-api:8080/metrics")]: "1x40" } },
      "its own scrape says so just before it is told": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [up("crm_api", "crm-api:8080")]: "1x3 0x40" }, at: "10m" },
      "it was told, and works again while its scrape fails": { series: { [probe("http://crm-api:8080/metrics")]: "0x8 1x40", [up("crm_api", "crm-api:8080")]: "1x4 0x40" }, at: "4m30s" },
      "another alert on it was told": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [up("crm_api", "crm-api:8080")]: "0x40", [`ALERTS{alertname="Other",alertstate="firing",job="blackbox_http",instance="http://crm-api:8080/metrics"}`]: "1x40" }, at: "10m" },
      "the API's target is gone": { series: { [probe("http://crm-api:8080/metrics")]: "1x4 0x60", [up("crm_api", "crm-api:8080")]: "1x4 stale", [up("grafana", "grafana:3000")]: "1x60" }, at: "10m" },
      "the API's target has long been gone": { series: { [probe("http://crm-api:8080/metrics")]: "1x10 0x240", [up("crm_api", "crm-api:8080")]: "1x10 stale", 'ALERTS{alertname="CrmApiDown",alertstate="firing",service="crm-api"}': "_x20 1x230" }, at: "2h" },
      "the event service's target is gone": { series: { 'probe_success{job="blackbox_https",instance="https://events.example.com",service="crm-events-sse"}': "1x4 0x40", [up("crm-events", "crm-events-1:9010")]: "1x4 stale", [up("grafana", "grafana:3000")]: "1x60" }, at: "10m" },
      "the public address of the event service": { series: { 'probe_success{job="blackbox_https",instance="https://events.example.com",service="crm-events-sse"}': "0x40", [up("crm-events", "crm-events-1:9010")]: "0x40" }, at: "10m" },
    },
    also: {
      "the API's own scrape says nothing": { series: { [probe("http://crm-api:8080/metrics")]: "0x60", [up("grafana", "grafana:3000")]: "1x60" }, before: "1m30s", at: "2m" },
      "the event service's own scrape says nothing": { series: { 'probe_success{job="blackbox_https",instance="https://events.example.com",service="crm-events-sse"}': "0x60", [up("grafana", "grafana:3000")]: "1x60" }, before: "1m30s", at: "2m" },
      "nothing scrapes it": { series: { [probe("http://grafana:3000/api/health")]: "0x40" }, before: "1m30s", at: "2m" },
      "one replica still answers scrapes": { series: { [probe("crm-api:8080", "blackbox_tcp")]: "0x40", [up("crm_api", "crm-api-1:8080")]: "0x40", [up("crm_api", "crm-api-2:8080")]: "1x40" }, before: "1m30s", at: "2m" },
      "another service's target is gone": { series: { [probe("http://grafana:3000/api/health")]: "0x60", [up("crm_api", "crm-api:8080")]: "1x60", [up("grafana", "grafana:3000")]: "1x4 stale" }, at: "10m" },
      "another service is down": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [up("crm_api", "crm-api:8080")]: "1x40", [up("grafana", "grafana:3000")]: "0x40" }, before: "1m30s", at: "2m" },
      "only the blackbox job is down for it": { series: { 'probe_success{job="blackbox_http",instance="http://crm-api:8080/metrics",service="crm-api"}': "0x40", [up("crm_api", "crm-api:8080")]: "1x40", [up("blackbox_http", "http://crm-api:8080/metrics")]: "0x40" }, at: "2m" },
      "the scrape says whose it is": { series: { 'probe_success{job="blackbox_http",instance="http://10.0.0.7:80/",service="shop"}': "0x40" }, before: "1m30s", at: "2m" },
      "it was told before its scrape fails": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [up("crm_api", "crm-api:8080")]: "1x4 0x40" }, before: "1m30s", at: "15m" },
      "one probe was told, the others follow the scrape": { series: { [probe("crm-api:8080", "blackbox_tcp")]: "0x40", [probe("crm-api:8080")]: "1x4 0x40", [probe("http://crm-api:8080/metrics")]: "1x4 0x40", [up("crm_api", "crm-api:8080")]: "1x4 0x40" }, at: "15m" },
      "three probes of one service": { series: { [probe("http://crm-api:8080/metrics")]: "0x40", [probe("http://crm-api:8080/qbo/status")]: "0x40", [probe("crm-api:8080", "blackbox_tcp")]: "0x40", [up("crm_api", "crm-api:8080")]: "1x40" }, at: "2m", count: 3 },
    },
    label: 1,
  }),
  ...alertCases("TlsCertificateExpiring", {
    fires: {
      series: { [expiry]: "1728600x40" },
      before: "15m",
      at: "15m30s",
      description: "The certificate of https://shop.example.com/health expires in 19d 23h 54m 30s.",
      labels: { service: "shop.example.com", team: "ops", product: "observability", job: "blackbox_https", instance: "https://shop.example.com/health" },
    },
    silent: { "20 days left": { series: { [expiry]: "1730000x20" } } },
    also: { "the scrape says whose it is": { series: { [expiry.replace("}", ',service="shop"}')]: "1728600x40" }, at: "15m30s" } },
  }),
  ...alertCases("TlsCertificateExpiresNow", {
    fires: {
      series: { [expiry]: "259800x40" },
      before: "15m",
      at: "15m30s",
      description: "The certificate of https://shop.example.com/health expires in 2d 23h 54m 30s.",
      labels: { service: "shop.example.com", team: "ops", product: "observability", job: "blackbox_https", instance: "https://shop.example.com/health" },
    },
    silent: { "3 days left": { series: { [expiry]: "261000x20" } } },
    also: { "the scrape says whose it is": { series: { [expiry.replace("}", ',service="shop"}')]: "259800x40" }, at: "15m30s" } },
  }),
  ...alertCases("Watchdog", {
    fires: { series: {}, before: "0m", at: "30s", count: 1, description: "Fires all the time, with the value 1. Its receiver raises the alarm when it stops coming." },
    silent: {},
    absent: 1,
    nan: 1,
  }).filter((c) => c.kind !== "edge"),
  ...alertCases("ServiceReplicaDown", {
    fires: {
      series: { [up("crm-events", "crm-events-1:9010")]: "1x2 0x40", [up("crm-events", "crm-events-2:9010")]: "1x40" },
      before: "6m",
      at: "6m30s",
      description: "crm-events-1:9010 has not answered a scrape for 5 minutes (up is 0); other replicas do.",
      labels: { job: "crm-events", instance: "crm-events-1:9010", service: "crm-events-sse", team: "crm", product: "aetherlink" },
    },
    silent: {
      ...Object.fromEntries(
        ["crm_api", "crm-events", "alertmanager"].map((down) => [
          `all of ${down}, none of the others`,
          { series: { ...Object.fromEntries(["crm_api", "crm-events", "alertmanager"].flatMap((job) => [1, 2].map((n) => [up(job, `${job}-${n}`), job === down ? "0x40" : "1x40"]))), [up("kafka-exporter", "kafka-exporter:9308")]: "0x40" } },
        ]),
      ), "replicas of another job are up": { series: { [up("crm-events", "crm-events-1:9010")]: "0x40", [up("crm_api", "crm-api-1:8080")]: "1x40" } },
    },
    also: {
      "of the API": { series: { [up("crm_api", "crm-api-1:8080")]: "0x40", [up("crm_api", "crm-api-2:8080")]: "1x40" }, before: "4m30s", at: "5m" },
      "of Alertmanager": { series: { [up("alertmanager", "alertmanager-1:9093")]: "0x40", [up("alertmanager", "alertmanager-2:9093")]: "1x40" }, before: "4m30s", at: "5m" },
    },
  }),
  ...alertCases("TargetDown", {
    fires: {
      series: { [up("kafka-exporter", "kafka-exporter:9308")]: "1x2 0x40" },
      before: "6m",
      at: "6m30s",
      description: "The scrape of kafka-exporter:9308 (job kafka-exporter) has failed for 5 minutes (up is 0).",
      labels: { job: "kafka-exporter", instance: "kafka-exporter:9308", service: "kafka-exporter" },
    },
    silent: {
      "the API and the event service have alerts of their own": { series: { [up("crm_api", "crm-api:8080")]: "0x40", [up("crm-events", "crm-events-1:9010")]: "0x40" } },
      "probes work": { series: { [up("blackbox_http", "http://x")]: "1x40", [up("blackbox", "blackbox:9115")]: "1x40" } },
      "one of several Alertmanagers": { series: { [up("alertmanager", "alertmanager-1:9093")]: "0x40", [up("alertmanager", "alertmanager-2:9093")]: "1x40" } },
    },
    also: {
      "every Alertmanager": { series: { [up("alertmanager", "alertmanager-1:9093")]: "0x40", [up("alertmanager", "alertmanager-2:9093")]: "0x40", [up("grafana", "grafana:3000")]: "1x40" }, at: "5m", count: 2 },
      "the blackbox exporter, and its probes with it": { series: { [up("blackbox", "blackbox:9115")]: "0x40", [up("blackbox_http", "http://x")]: "0x40", [up("blackbox_tcp", "x:80")]: "0x40", [up("grafana", "grafana:3000")]: "1x40" }, at: "5m", count: 1 },
      "a probe job while the blackbox exporter answers": { series: { [up("blackbox_http", "http://x")]: "0x40", [up("blackbox_tcp", "x:80")]: "1x40", [up("blackbox", "blackbox:9115")]: "1x40", [up("blackbox", "blackbox:9116")]: "0x6 1x40" }, before: "4m30s", at: "5m", count: 1 },
      "another target while an Alertmanager answers": { series: { [up("alertmanager", "alertmanager-1:9093")]: "1x40", [up("grafana", "grafana:3000")]: "0x40" }, at: "5m" },
    },
    label: 1,
  }),
  ...alertCases("PrometheusConfigReloadFailed", {
    fires: {
      series: { prometheus_config_last_reload_successful: "1x4 0x60" },
      before: "16m30s",
      at: "17m",
      description: "The last reload of Prometheus's configuration failed (prometheus_config_last_reload_successful is 0); it goes on with the old one and would not start with the new.",
    },
    silent: { "a failed scrape in between": { series: { prometheus_config_last_reload_successful: "1x60" } } },
    also: { "a failed scrape does not start `for` again": { series: { prometheus_config_last_reload_successful: "0x10 stale _ 0x60" }, before: "9m30s", at: "10m" } },
  }),
  ...alertCases("PrometheusRuleFailures", {
    fires: {
      series: { [group("prometheus_rule_evaluation_failures_total", "kafka")]: "1000+3x40", [group("prometheus_rule_evaluation_failures_total", "meta.rules")]: "0x40" },
      before: "5m",
      at: "5m30s",
      description: "30 evaluations of the group /etc/prometheus/current/rules/x.yml;kafka failed in 5 minutes.",
      labels: { rule_group: "/etc/prometheus/current/rules/x.yml;kafka" },
    },
    silent: { "once": { series: { [group("prometheus_rule_evaluation_failures_total", "kafka")]: "0 1x40" } } },
    reset: { series: { [group("prometheus_rule_evaluation_failures_total", "kafka")]: "50x4 0x40" }, at: "5m30s" },
  }),
  ...alertCases("PrometheusRuleGroupSlow", {
    fires: {
      series: { [group("prometheus_rule_group_last_duration_seconds", "kafka")]: "33x40", [group("prometheus_rule_group_interval_seconds", "kafka")]: "30x40" },
      before: "4m30s",
      at: "5m",
      description: "The last evaluation of /etc/prometheus/current/rules/x.yml;kafka took 1.1 times its interval: evaluations are skipped.",
      labels: { rule_group: "/etc/prometheus/current/rules/x.yml;kafka" },
    },
    silent: { "exactly its interval": { series: { [group("prometheus_rule_group_last_duration_seconds", "kafka")]: "30x40", [group("prometheus_rule_group_interval_seconds", "kafka")]: "30x40" } } },
  }),
  ...alertCases("PrometheusNoAlertmanager", {
    fires: { series: { prometheus_notifications_alertmanagers_discovered: "1x2 0x40" }, before: "6m", at: "6m30s", description: "Prometheus knows 0 Alertmanagers to send alerts to: nobody hears of any." },
    silent: { "one": { series: { prometheus_notifications_alertmanagers_discovered: "1x40" } } },
  }),
  ...alertCases("PrometheusStorageFilling", {
    fires: {
      series: { prometheus_tsdb_storage_blocks_bytes: "17000000000x40", prometheus_tsdb_wal_storage_size_bytes: "190000000x40" },
      before: "9m30s",
      at: "10m",
      description: "80.0 % of 20 GiB are used. At 90 % Prometheus deletes its oldest blocks, and windows of 30 days become wrong.",
    },
    silent: { "exactly 80 %": { series: { prometheus_tsdb_storage_blocks_bytes: "17000000000x40", prometheus_tsdb_wal_storage_size_bytes: "179869184x40" } } },
  }),
  ...alertCases("AlertmanagerNotificationsFailing", {
    fires: {
      series: { [sent("failed_total", "slack")]: "1000+2x60", [sent("total", "slack")]: "1000+100x60", [sent("failed_total", "webhook")]: "0x60", [sent("total", "webhook")]: "1000+100x60", [sent("failed_total", "slack").replace("}", ',reason="other"}')]: "1000+2x60", [sent("total", "slack").replace("9093", "9094")]: "1000+100x60" },
      before: "5m",
      at: "5m30s",
      description: "2.0 % of the notifications by slack failed in the last 15 minutes.",
      labels: { integration: "slack" },
    },
    silent: { "exactly 1 %": { series: { [sent("failed_total", "slack")]: "1000+1x60", [sent("total", "slack")]: "1000+100x60" } }, "none was sent": { series: { [sent("failed_total", "slack")]: "0x60", [sent("total", "slack")]: "0x60" } } },
    reset: { series: { [sent("failed_total", "slack")]: "50x4 0x60", [sent("total", "slack")]: "1000+10x4 0+10x60" }, at: "5m30s" },
  }),
  ...alertCases("AlertmanagerConfigReloadFailed", {
    fires: {
      series: { 'alertmanager_config_last_reload_successful{instance="alertmanager-1:9093"}': "1x4 0x60", 'alertmanager_config_last_reload_successful{instance="alertmanager-2:9093"}': "1x60" },
      before: "16m30s",
      at: "17m",
      description: "The last reload of alertmanager-1:9093 failed (alertmanager_config_last_reload_successful is 0); it goes on with the old configuration and would not start with the new.",
      labels: { instance: "alertmanager-1:9093" },
    },
    silent: { "loaded": { series: { 'alertmanager_config_last_reload_successful{instance="alertmanager-1:9093"}': "1x60" } } },
    also: { "a failed scrape does not start `for` again": { series: { 'alertmanager_config_last_reload_successful{instance="alertmanager-1:9093"}': "0x10 stale _ 0x60" }, before: "9m30s", at: "10m" } },
  }),
];
