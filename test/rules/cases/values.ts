/** Values of the recording rules on Kafka, the event service and RAG. */
import { at, by, one, valueCase, type RuleCase, type Sample, type Series } from "./case.ts";

function kafka(): RuleCase[] {
  const topic = 'topic="aetherlink.events"';
  const lag = (p: number, values: string, group = "g"): Series => ({ [`kafka_consumergroup_lag{consumergroup="${group}",${topic},partition="${p}"}`]: values });
  const ofGroup = (value: number): Sample[] => [{ labels: `{consumergroup="g",${topic}}`, value }];
  const partition = (p: number, value: number): Sample => ({ labels: `{consumergroup="g",${topic},partition="${p}"}`, value });
  const offset = (p: number, t: string): string => `kafka_topic_partition_current_offset{topic="${t}",partition="${p}"}`;
  const lags = { ...lag(0, "600x20"), ...lag(1, "300x20"), ...lag(2, "-1x20"), ...lag(3, "0x20") };
  return [
    valueCase("kafka:group_consumer_count", "the exporter's count, once", { 'kafka_consumergroup_members{consumergroup="g",instance="a"}': "3x20", 'kafka_consumergroup_members{consumergroup="g",instance="b"}': "2x20", 'kafka_consumergroup_members{consumergroup="h"}': "0x20" }, at("kafka:group_consumer_count", { "5m": by("consumergroup", { g: 3, h: 0 }) })),
    valueCase("kafka:group_partition_lag", "-1 counts as 0, two exporters as one", { ...lag(0, "7x20"), ...lag(1, "-1x20"), [`kafka_consumergroup_lag{consumergroup="g",${topic},partition="0",instance="b"}`]: "5x20" }, at("kafka:group_partition_lag", { "5m": [partition(0, 7), partition(1, 0)] })),
    valueCase("kafka:group_lag_sum", "over partitions", lags, at("kafka:group_lag_sum", { "5m": ofGroup(900) })),
    valueCase("kafka:group_skew_ratio", "largest over average", lags, at("kafka:group_skew_ratio", { "5m": ofGroup(600 / 225) })),
    valueCase("kafka:group_skew_ratio", "an average of a handful counts as 20", { ...lag(0, "30x20"), ...lag(1, "0x20") }, at("kafka:group_skew_ratio", { "5m": ofGroup(1.5) })),
    valueCase("kafka:group_skew_ratio", "no lag is no skew", { ...lag(0, "0x20"), ...lag(1, "-1x20") }, at("kafka:group_skew_ratio", { "5m": ofGroup(0) })),
    valueCase("kafka:group_lag_p95", "across partitions", lags, at("kafka:group_lag_p95", { "5m": ofGroup(300 + (600 - 300) * 0.85) })),
    valueCase("kafka:group_drain_eta_seconds", "lag over the net drain", { ...lag(0, "6000-50x40"), ...lag(1, "1000-10x40") }, at("kafka:group_drain_eta_seconds", { "10m": ofGroup((6000 - 20 * 50 + 1000 - 20 * 10) / 2) })),
    valueCase("kafka:group_drain_eta_seconds", "of the last 5 minutes only, down to the last message", { ...lag(0, "6000-10x20 5800-50x30"), [`kafka_consumergroup_lag{consumergroup="h",${topic},partition="0"}`]: "36-1x80" }, at("kafka:group_drain_eta_seconds", { "17m30s": [...ofGroup((5800 - 14 * 50) * 30 / 50), { labels: `{consumergroup="h",${topic}}`, value: 30 }] })),
    valueCase("kafka:group_drain_eta_seconds", "absent while the lag grows, stands or is gone", { ...lag(0, "100+10x10 200x20 100-10x10 0x40") }, at("kafka:group_drain_eta_seconds", { "4m": [], "14m": [], "22m": [], "29m": [] })),
    valueCase("kafka:topic_message_rate", "over partitions", { [offset(0, "a")]: "100000+300x40", [offset(1, "a")]: "100000+600x40", [offset(0, "b")]: "5x40" }, at("kafka:topic_message_rate", { "10m": by("topic", { a: 30, b: 0 }) })),
    valueCase("kafka:topic_byte_rate", "what the producers wrote", { 'crm_outbox_published_bytes_total{topic="a",instance="1"}': "100000+300x10 103300+3000x40", 'crm_outbox_published_bytes_total{topic="a",instance="2"}': "100000+6000x40" }, at("kafka:topic_byte_rate", { "11m": by("topic", { a: 300 }) })),
  ];
}

function events(): RuleCase[] {
  const instance = (n: number) => `job="crm-events",instance="${n}"`;
  const two = (metric: string, a: string, b: string): Series => ({ [`${metric}{${instance(1)}}`]: a, [`${metric}{${instance(2)}}`]: b });
  const perReplica = (a: number, b: number): Sample[] => [
    { labels: `{${instance(1)}}`, value: a },
    { labels: `{${instance(2)}}`, value: b },
  ];
  const request = (status: string) => `crm_events_http_requests_total{${instance(1)},path="/healthz",method="GET",status="${status}"}`;
  return [
    valueCase("crm_events:messages:rate5m", "by replica", two("crm_events_messages_total", "1000+30x40", "1000+60x40"), at("crm_events:messages:rate5m", { "10m": perReplica(1, 2) })),
    valueCase("crm_events:messages:rate5m", "a restart loses nothing", two("crm_events_messages_total", "1000+30x9 30+30x30", "1000x40"), at("crm_events:messages:rate5m", { "7m30s": perReplica(1, 0) })),
    valueCase("crm_events:http_requests:rate5m", "by path, method and status", { [request("200")]: "1000+30x40", [request("500")]: "1000x10 1000+3x40" }, [
      { at: "11m", expr: 'crm_events:http_requests:rate5m{status="500"} * 10', is: [{ labels: `{${instance(1)},path="/healthz",method="GET",status="500"}`, value: 1 }] },
      { at: "10m", expr: "count(crm_events:http_requests:rate5m)", is: one(2) },
    ]),
    valueCase("crm_events:sse_clients:current", "by replica", two("crm_events_sse_clients", "3x40", "4x40"), at("crm_events:sse_clients:current", { "10m": perReplica(3, 4) })),
    valueCase("crm_events:slo:availability:5m", "at least one replica answers", two("up", "1x9 0x4 1x40", "1x9 0x9 1x40"), at("crm_events:slo:availability:5m", { "4m30s": by("job", { "crm-events": 1 }), "7m30s": by("job", { "crm-events": 0.5 }), "20m": by("job", { "crm-events": 1 }) })),
    valueCase("crm_events:slo:availability:5m", "another job does not count", { 'up{job="other"}': "0x40" }, at("crm_events:slo:availability:5m", { "10m": [] })),
    valueCase("crm_events:slo:throughput:5m", "over replicas", two("crm_events_messages_total", "1000x10 1000+30x40", "1000+60x40"), at("crm_events:slo:throughput:5m", { "11m": one(3) })),
  ];
}

function rag(): RuleCase[] {
  // Rates change 5 and 15 minutes before the end, so that another window has another value.
  const twice = (metric: string, labels: string, before: number, after: number): Series => ({ [`${metric}{${labels},instance="1"}`]: `1000+${before}x50 ${1000 + 51 * before}+${after}x60`, [`${metric}{${labels},instance="2"}`]: `1000+${before}x50 ${1000 + 51 * before}+${after}x60` });
  const series: Series = {
    ...twice("aether_cache_hits_total", 'tenant="a"', 45, 15),
    ...twice("aether_cache_requests_total", 'tenant="a"', 60, 50),
    ...twice("aether_cache_hits_total", 'tenant="b"', 10, 15),
    ...twice("aether_cache_requests_total", 'tenant="b"', 10, 150),
    ...twice("aether_rag_answers_total", 'tenant="a",rerank="true"', 5, 15),
    ...twice("aether_rag_answers_total", 'tenant="a",rerank="false"', 5, 35),
    ...twice("aether_rag_answers_total", 'tenant="b",rerank="true"', 5, 25),
    ...twice("aether_rag_answers_total", 'tenant="b",rerank="false"', 5, 25),
    ...twice("aether_rag_lowconfidence_total", 'tenant="a"', 4, 10),
    ...twice("aether_rag_lowconfidence_total", 'tenant="b"', 4, 5),
    'aether_cache_requests_total{tenant="idle"}': "1000x120",
    'aether_rag_answers_total{tenant="idle",rerank="false"}': "1000x120",
  };
  // 5 minutes after the change, and 15.
  const [five, fifteen] = ["30m30s", "40m30s"];
  const rate = (rule: string, time: string, values: Readonly<Record<string, number>>): RuleCase => valueCase(rule, "by tenant", series, at(rule, { [time]: by("tenant", values) }));
  const share = (rule: string, time: string, byTenant: Readonly<Record<string, number>>, all: number): RuleCase[] => [
    valueCase(rule, "percent by tenant", series, at(rule, { [time]: by("tenant", byTenant) })),
    valueCase(`${rule}:all`, "percent of all", series, at(`${rule}:all`, { [time]: one(all) })),
  ];
  const nothingYet: Series = { 'aether_cache_requests_total{tenant="a"}': "1+1x40", 'aether_rag_answers_total{tenant="a",rerank="false"}': "1+1x40" };
  const idle: Series = { 'aether_cache_requests_total{tenant="a"}': "1x40", 'aether_cache_hits_total{tenant="a"}': "1x40", 'aether_rag_answers_total{tenant="a",rerank="true"}': "1x40", 'aether_rag_lowconfidence_total{tenant="a"}': "1x40" };
  const names = ["aether:cache_hit_ratio:5m", "aether:rerank_utilization_pct:15m", "aether:lowconfidence_pct:15m"];
  const answers = (rerank: string, tenant = "a") => `aether_rag_answers_total{tenant="${tenant}",rerank="${rerank}"}`;
  const billed: Series = { [answers("false").replace("}", ',instance="2"}')]: "7x201", [answers("false")]: "0+10x100 0+10x100", [answers("true")]: "0+1x201", [answers("true", "b")]: "500+2x201" };
  const billing = (rule: string, expected: Sample[]): RuleCase => valueCase(rule, "an increase over restarts", billed, [{ at: "3h20m", expr: `round(${rule}, 0.001) + 0`, is: expected }], { step: "1m", evaluation: "1m" });
  // 1000 answers, a restart, 990 more without reranking, 200 with. What was there when it was first seen is no cost; an
  // increase over a series that does not start at 0 assumes half a step more.
  const tenantA = (1000 + 990) * 0.001 + 200 * 0.006;
  const tenantB = (400 + 1) * 0.006;
  return [
    rate("aether:cache_requests:rate5m", five, { a: 100 / 30, b: 10, idle: 0 }),
    rate("aether:cache_hits:rate5m", five, { a: 1, b: 1, idle: 0 }),
    rate("aether:rag_answers:rate15m", fifteen, { a: 100 / 30, b: 100 / 30, idle: 0 }),
    rate("aether:rag_reranked:rate15m", fifteen, { a: 1, b: 50 / 30, idle: 0 }),
    rate("aether:rag_lowconfidence:rate15m", fifteen, { a: 20 / 30, b: 10 / 30, idle: 0 }),
    ...share("aether:cache_hit_ratio:5m", five, { a: 30, b: 10 }, 15),
    ...share("aether:rerank_utilization_pct:15m", fifteen, { a: 30, b: 50 }, 40),
    ...share("aether:lowconfidence_pct:15m", fifteen, { a: 20, b: 10 }, 15),
    ...names.flatMap((name) => [
      valueCase(name, "few, and none of them yet", nothingYet, at(name, { "20m": by("tenant", { a: 0 }) })),
      valueCase(`${name}:all`, "few, and none of them yet", nothingYet, at(`${name}:all`, { "20m": one(0) })),
      valueCase(name, "nothing is asked", idle, at(name, { "20m": [] })),
      valueCase(`${name}:all`, "nothing is asked", idle, at(`${name}:all`, { "20m": [] })),
    ]),
    valueCase("aether:health_score:15m", "by tenant", series, at("aether:health_score:15m", { [fifteen]: by("tenant", { a: 55, b: 50 }) })),
    valueCase("aether:health_score:15m:all", "of all", series, at("aether:health_score:15m:all", { [fifteen]: one((15 + 85) / 2) })),
    valueCase("aether:rag_answers:copy", "as it is", billed, [{ at: "10m", expr: "aether:rag_answers:copy", is: [{ labels: 'aether:rag_answers:copy{tenant="a",rerank="false"}', value: 100 }, { labels: 'aether:rag_answers:copy{tenant="a",rerank="false",instance="2"}', value: 7 }, { labels: 'aether:rag_answers:copy{tenant="a",rerank="true"}', value: 10 }, { labels: 'aether:rag_answers:copy{tenant="b",rerank="true"}', value: 520 }] }], { step: "1m", evaluation: "1m" }),
    valueCase("aether:rag_answers:30d", "by tenant and reranking", billed, [{ at: "3h20m", expr: 'round(aether:rag_answers:30d{tenant="a"}) + 0', is: [{ labels: '{tenant="a",rerank="false"}', value: 1990 }, { labels: '{tenant="a",rerank="true"}', value: 200 }] }], { step: "1m", evaluation: "1m" }),
    billing("aether:billing_cost_usd:30d:by_tenant", [{ labels: '{tenant="a"}', value: tenantA }, { labels: '{tenant="b"}', value: tenantB }]),
    billing("aether:billing_cost_usd:30d", [{ labels: '{team="aetherlink"}', value: tenantA + tenantB }]),
  ];
}

export const valueCases: RuleCase[] = [...kafka(), ...events(), ...rag()];
