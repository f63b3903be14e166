/** The event service and its consumer group. */
import { alertCases, type RuleCase, type Series } from "./case.ts";

const up = (n: number) => `up{job="crm-events",instance="crm-events-${n}:9010"}`;
/** Of another job: must not count. */
const elsewhere: Series = { 'up{job="prometheus",instance="prometheus:9090"}': "1x200" };
/** Fails every eighth scrape, for less than the time after which that is told. */
const crashLoop = "1x3 0 1x6 0 1x6 0 1x6 0 1x6 0 1x6 0 1x6 0 1x6 0";
const running: Series = { [up(1)]: "1x100", [up(2)]: "1x100" };
const neither: Series = { ...elsewhere, [up(1)]: "0x60", [up(2)]: "0x60", 'kafka_consumergroup_members{consumergroup="crm-events-sse"}': "0x60" };
const messages = (n: number) => `crm_events_messages_total{job="crm-events",instance="crm-events-${n}:9010"}`;
const clients = (n: number) => `crm_events_sse_clients{job="crm-events",instance="crm-events-${n}:9010"}`;
const requests = (status: string, path = "/crm-events") => `crm_events_http_requests_total{job="crm-events",instance="crm-events-1:9010",method="GET",path="${path}",status="${status}"}`;
const members = 'kafka_consumergroup_members{consumergroup="crm-events-sse"}';
const lag = (partition: number, group = "crm-events-sse") => `kafka_consumergroup_lag{consumergroup="${group}",topic="aetherlink.events",partition="${partition}"}`;
const committed = (partition: number) => `kafka_consumergroup_current_offset{job="kafka-exporter",instance="kafka-exporter:9308",consumergroup="crm-events-sse",topic="aetherlink.events",partition="${partition}"}`;
const produced = (partition: number, topic = "aetherlink.events") => `kafka_topic_partition_current_offset{topic="${topic}",partition="${partition}"}`;
/** Lag of six partitions. */
const lags = (values: readonly string[], group?: string): Series => Object.fromEntries(values.map((v, i) => [lag(i, group), v]));
/** A counter that gains one every 5 minutes. */
const everyFiveMinutes = (from: number): string => Array.from({ length: 13 }, (_, i) => `${from + i}x9`).join(" ");
const started = 'process_start_time_seconds{job="crm-events",instance="crm-events-1:9010"}';
const dead = (n: number, reason = "invalid") => `crm_events_dead_letters_total{job="crm-events",instance="crm-events-${n}:9010",reason="${reason}"}`;
const unanswered = (n: number, partition: number) => `crm_events_fanout_silent_seconds{job="crm-events",instance="crm-events-${n}:9010",partition="${partition}"}`;
const fanout = (n: number, partition: number) => `crm_events_fanout_lag{job="crm-events",instance="crm-events-${n}:9010",partition="${partition}"}`;
/** An outage of the API of which people were told, until the given sample. */
const apiDown = (samples: number): Series => ({ 'ALERTS{alertname="CrmApiDown",alertstate="firing",service="crm-api"}': `1x${samples - 1} stale`, 'ALERTS{alertname="CrmApiDown",alertstate="pending",service="crm-api"}': "1x100", 'ALERTS{alertname="Other",alertstate="firing"}': "1x53 stale" });
const onTopic = { consumergroup: "crm-events-sse", topic: "aetherlink.events" };

export const eventCases: RuleCase[] = [
  ...alertCases("CrmEventsServiceDown", {
    fires: {
      series: { ...elsewhere, [up(1)]: "1x2 0x40", [up(2)]: "1 0x40" },
      before: "3m",
      at: "3m30s",
      description: "No replica of crm-events has answered a scrape for 2 minutes (0 answered the last one): nobody receives events.",
      labels: { cause: "no-replica" },
    },
    silent: {
      "one replica answers and the group has members": { series: { [up(1)]: "0x40", [up(2)]: "1x40", [members]: "1x40" }, at: "15m" },
      "Kafka does not answer either": { series: { ...running, kafka_brokers: "0x40" }, at: "15m" },
      "another group has no member": { series: { ...running, kafka_brokers: "1x40", [members]: "2x40", 'kafka_consumergroup_members{consumergroup="other"}': "0x40" }, at: "15m" },
      "replicas are back from an outage, the members a little later": { series: { [up(1)]: "0x40 1x40", [up(2)]: "0x40 1x40", [members]: "0x48 2x40" }, at: "24m30s" },
    },
    also: {
      "the target is gone": { series: { [up(1)]: "1x2 stale" }, before: "3m", at: "3m30s" },
      "the group has no member": { series: { ...running, [members]: "2x2 0x60" }, before: "6m", at: "6m30s" },
      "Kafka does not know the group": { series: { ...running, kafka_brokers: "1x40", 'kafka_consumergroup_members{consumergroup="other"}': "2x40" }, before: "4m30s", at: "5m" },
      "no replica and no member: one alert": { series: neither, at: "20m" },
      "no replica and no member, when the time of the other cause is over: one alert": { series: neither, at: "5m" },
      "and with the next evaluation": { series: neither, at: "5m30s" },
      "no member, and replicas that fail again and again": { series: { [up(1)]: crashLoop, [up(2)]: crashLoop, [members]: "0x100" }, before: "4m30s", at: "5m" },
      "and goes on to fail": { series: { [up(1)]: crashLoop, [up(2)]: crashLoop, [members]: "0x100", 'ALERTS{alertname="Other",alertstate="firing",cause="no-replica"}': "1x100" }, at: "30m" },
      "no target and no member: one alert": { series: { ...elsewhere, [members]: "0x60" }, at: "20m" },
      "one replica answers, no member": { series: { [up(1)]: "0x60", [up(2)]: "1x60", [members]: "0x60" }, before: "4m30s", at: "5m" },
    },
    absent: 1,
    label: 1,
  }),
  ...alertCases("CrmEventsConsumerStuck", {
    fires: {
      series: { [messages(1)]: "1000+10x4 1040x80", [messages(2)]: "500x90", [produced(0)]: "7000+10x90" },
      before: "13m",
      at: "13m30s",
      description: "0 messages of aetherlink.events were handled in 10 minutes while messages arrive.",
    },
    silent: {
      "nothing arrives": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000x90", ...lags(["5x90"]) } },
      "messages of another topic arrive": { series: { [messages(1)]: "1000x90", [produced(0, "other")]: "7000+10x90" } },
      "lag of another group grows": { series: { [messages(1)]: "1000x90", ...lags(["5+10x90"], "other") } },
      "one replica handles them": { series: { [messages(1)]: "1000x90", [messages(2)]: "500+1x90", [produced(0)]: "7000+10x90" } },
      "they arrive, and nothing waits": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000+10x90", ...lags(["0x90"]), ...lags(["5x90"], "other") } },
      "they arrive, and only another topic of the group waits": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000+10x90", ...lags(["0x90"]), [lag(0).replace("aetherlink.events", "other")]: "5x90" } },
      "they arrive, nothing waits, and nothing was ever committed in a partition": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000+10x90", ...lags(["0x90", "-1x90"]) } },
      "one message every 5 minutes is handled": { series: { [messages(1)]: everyFiveMinutes(1000), [produced(0)]: everyFiveMinutes(7000), ...lags(["0x120"]) }, at: "45m" },
      "they are handled, seen every 5 minutes": { series: { [messages(1)]: "1000+1x40", [produced(0)]: "7000+10x40" }, at: "2h", step: "5m" },
      "all traffic ends": { series: { [messages(1)]: "1000+10x20 1200x100", [produced(0)]: "7000+10x20 7200x100", ...lags(["0x120"]) }, at: "22m" },
      "all traffic ends, lag is not known": { series: { [messages(1)]: "1000+10x20 1200x100", [produced(0)]: "7000+10x20 7200x100" }, at: "22m" },
      "all traffic ends with some lag": { series: { [messages(1)]: "1000+10x20 1200x100", [produced(0)]: "7000+10x20 7200x100", ...lags(["5x120"]) }, at: "22m" },
      "all traffic ends with lag of the last minutes": { series: { [messages(1)]: "1000+10x20 1200x100", ...lags(["0x16 1 2 3 4 5x100"]) }, at: "22m" },
    },
    also: {
      "they arrive in a topic that was made anew": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000x20 0+10x60" }, before: "20m", at: "21m30s" },
      "one message arrives every 5 minutes": { series: { [messages(1)]: "1000x120", [produced(0)]: everyFiveMinutes(7000), ...lags([everyFiveMinutes(0)]) }, before: "14m30s", at: "15m" },
      "none is handled, seen every 5 minutes": { series: { [messages(1)]: "1000x40", [produced(0)]: "7000+10x40" }, before: "14m30s", at: "15m", step: "5m" },
      "some were handled before, seen every 5 minutes": { series: { [messages(1)]: "1000+10x4 1040x40", [produced(0)]: "7000+10x40" }, before: "34m30s", at: "35m", step: "5m" },
      "a replica that handled some is gone, the other one handles none": { series: { [messages(1)]: "1000+10x20 stale", [messages(2)]: "500x90", [produced(0)]: "7000+10x90" }, before: "21m", at: "21m30s" },
      "and goes on to arrive": { series: { [messages(1)]: "1000x120", [produced(0)]: everyFiveMinutes(7000), ...lags([everyFiveMinutes(0)]) }, at: "1h" },
      "it has started again and handles nothing": { series: { [messages(1)]: "1000x4 0x80", [produced(0)]: "7000+10x90" }, before: "10m", at: "10m30s" },
      "only the lag shows that they arrive": { series: { [messages(1)]: "1000x90", ...lags(["5+10x90"]) }, before: "10m", at: "10m30s" },
      "Kafka forgets that nothing waited": { series: { [messages(1)]: "1000x90", [produced(0)]: "7000+10x90", [lag(0)]: "0x9 stale" }, before: "24m", at: "24m30s" },
      "the group has never committed": { series: { [messages(1)]: "0x90", [produced(0)]: "7000+10x90", ...lags(["-1x90", "-1x90"]) }, before: "10m", at: "10m30s" },
      "one of two partitions has no lag": { series: { [messages(1)]: "1000x90", ...lags(["0x90", "5+10x90"]) }, before: "10m", at: "10m30s" },
      "another topic of the group has no lag": { series: { [messages(1)]: "1000x90", ...lags(["5+10x90"]), [lag(0).replace("aetherlink.events", "other")]: "0x90" }, before: "10m", at: "10m30s" },
    },
    reset: { series: { [messages(1)]: "1000+10x4 0+10x80", [produced(0)]: "7000+10x90" }, at: "13m30s" },
  }),
  ...alertCases("CrmEventsPartitionStuck", {
    fires: {
      series: { ...lags(["100x80", "0x80", "7x80"]), [committed(0)]: "500+1x4 504x80", [committed(1)]: "500x80", [committed(2)]: "500+1x80" },
      before: "13m",
      at: "13m30s",
      description: "Partition 0 of aetherlink.events has 100 messages that the group has not moved on from for 10 minutes.",
      labels: { ...onTopic, partition: "0" },
    },
    silent: {
      "it moves on": { series: { ...lags(["100x80"]), [committed(0)]: "500+1x80" } },
      "it moves on, seen every minute": { series: { ...lags(["100x80"]), [committed(0)]: "500+1x80" }, at: "1h", step: "1m" },
      "it moves on, seen every 5 minutes": { series: { ...lags(["100x80"]), [committed(0)]: "500+1x80" }, at: "1h", step: "5m" },
      "the lag falls, seen every 5 minutes": { series: { ...lags(["1000-1x80"]), [committed(0)]: "500+1x80" }, at: "1h", step: "5m" },
      "the lag falls": { series: lags(["1000-1x80"]) },
      "a partition without a commit": { series: { ...lags(["-1x80"]), [committed(0)]: "-1x80" } },
      "no lag": { series: { ...lags(["0x80"]), [committed(0)]: "500x80" } },
      "another group": { series: lags(["100x80"], "other") },
    },
    also: {
      "one message": { series: { ...lags(["1x80"]), [committed(0)]: "500x80" }, before: "9m30s", at: "10m" },
      "it moved on until 4 minutes, seen every minute": { series: { ...lags(["100x80"]), [committed(0)]: "500+1x4 504x80" }, before: "14m30s", at: "15m", step: "1m" },
      "it moved on until 20 minutes, seen every 5 minutes": { series: { ...lags(["100x80"]), [committed(0)]: "500+1x4 504x80" }, before: "34m30s", at: "35m", step: "5m" },
      "the lag fell until 4 minutes": { series: lags(["1000-1x8 992x80"]), before: "15m", at: "15m30s" },
      "two partitions, one of them with growing lag": { series: { ...lags(["100x80", "5+5x80"]), [committed(0)]: "500x80", [committed(1)]: "500x80" }, before: "9m30s", at: "10m", count: 2 },
    },
  }),
  ...alertCases("CrmEventsHotKeySkewHigh", {
    fires: {
      series: lags(["600x80", "-1x80", "-1x80", "-1x80", "-1x80", "-1x80"]),
      before: "11m30s",
      at: "12m",
      description: "The largest partition lag of aetherlink.events is 6.0 times the average; the limit is 4. A hot key is likely.",
      labels: onTopic,
    },
    silent: {
      "exactly four times": { series: lags(["400x80", "40x80", "40x80", "40x80", "40x80", "40x80"]) },
      "a handful of messages": { series: lags(["30x80", "0x80", "0x80", "0x80", "0x80", "0x80"]) },
      "another group": { series: lags(["600x80", "0x80", "0x80", "0x80", "0x80", "0x80"], "other") },
      "two partitions share it": { series: lags(["600x80", "600x80", "0x80", "0x80", "0x80", "0x80"]) },
      "the skew ends in between": { series: lags(["600x20 0 600x60", "0x80", "0x80", "0x80", "0x80", "0x80"]), at: "20m" },
    },
    also: { "a little over four times": { series: lags(["400x80", "36x80", "36x80", "36x80", "36x80", "36x80"]), before: "11m30s", at: "12m" } },
  }),
  ...alertCases("CrmEventsUnderReplicatedConsumers", {
    fires: { series: { [members]: "2x4 1x60" }, before: "9m", at: "9m30s", description: "The group crm-events-sse has 1 members; it should have 2 at least.", labels: { consumergroup: "crm-events-sse" } },
    silent: { "two members": { series: { [members]: "2x60" } }, "another group has one": { series: { [members]: "2x60", 'kafka_consumergroup_members{consumergroup="other"}': "1x60" } } },
  }),
  ...alertCases("CrmEventsHighLag", {
    fires: {
      series: lags(["9000x60", "1001x60"]),
      before: "4m30s",
      at: "5m",
      description: "10001 messages are not handled yet by the group crm-events-sse; the limit is 10000.",
      labels: { consumergroup: "crm-events-sse" },
    },
    silent: { "exactly the limit": { series: lags(["9000x60", "1000x60"]) }, "another group": { series: lags(["20000x60"], "other") } },
    also: { "two topics of the group together": { series: { ...lags(["6000x60"]), [lag(0).replace("aetherlink.events", "other")]: "6000x60" }, before: "4m30s", at: "5m" } },
  }),
  ...alertCases("CrmEventsBackpressure", {
    fires: {
      series: { [produced(0)]: "900000000+20001x60", [produced(1)]: "900000000+10000x60", ...lags(["100+10x60"]) },
      before: "9m",
      at: "9m30s",
      description: "1000 messages per second are produced to aetherlink.events (limit 1000) and the lag grows.",
      labels: { topic: "aetherlink.events" },
    },
    silent: {
      "exactly the limit": { series: { [produced(0)]: "900000000+30000x60", ...lags(["100+10x60"]) }, at: "15m" },
      "the lag grew for 2 minutes only": { series: { [produced(0)]: "900000000+40000x60", ...lags(["100+10x4 140x60"]) } },
      "another topic of the group": { series: { [produced(0, "other")]: "900000000+40000x60", [lag(0).replace("aetherlink.events", "other")]: "100+10x60" }, at: "15m" },
      "the lag does not grow": { series: { [produced(0)]: "900000000+40000x60", ...lags(["100x60"]) }, at: "15m" },
      "the lag of another group grows": { series: { [produced(0)]: "900000000+40000x60", ...lags(["100+10x60"], "other") }, at: "15m" },
      "another topic": { series: { [produced(0, "other")]: "900000000+40000x60", ...lags(["100+10x60"]) }, at: "15m" },
    },
  }),
  ...alertCases("CrmEventsNoMessages", {
    fires: { series: { [messages(1)]: "5x60", [clients(1)]: "1x60", [clients(2)]: "0x60" }, before: "10m", at: "10m30s", description: "Clients are connected, but 0 messages per second were handled over 10 minutes." },
    silent: {
      "no client": { series: { [messages(1)]: "5x60", [clients(1)]: "0x60" } },
      "one message": { series: { [messages(1)]: "5x9 6x50", [clients(1)]: "1x60" } },
      "an outage of the API ended 30 seconds ago": { series: { [messages(1)]: "5x100", [clients(1)]: "1x100", ...apiDown(41) }, at: "20m30s" },
    },
    also: {
      "during an outage of the API": { series: { [messages(1)]: "5x100", [clients(1)]: "1x100", ...apiDown(41) }, at: "20m" },
      "an outage of the API ended 15 minutes ago": { series: { [messages(1)]: "5x100", [clients(1)]: "1x100", ...apiDown(41) }, before: "34m30s", at: "35m" },
    },
    reset: { series: { [messages(1)]: "5x4 0 1 2x50", [clients(1)]: "1x60" }, at: "10m30s" },
  }),
  ...alertCases("CrmEventsFrequentRestarts", {
    fires: {
      series: { [started]: "1 2 3 4 5x60", [started.replace("-1:", "-2:")]: "1x60" },
      before: "1m30s",
      at: "2m",
      description: "crm-events-1:9010 has restarted 4 times in 15 minutes.",
      labels: { job: "crm-events", instance: "crm-events-1:9010" },
    },
    silent: { "three restarts": { series: { [started]: "1 2 3 4x60" } }, "four, one of them long ago": { series: { [started]: "1 2x29 3 4 5x60" }, at: "17m" } },
  }),
  ...alertCases("CrmEventsSLOAvailabilityBreach", {
    fires: {
      series: { [up(1)]: "1x19 0x4 1x40", [up(2)]: "1x19 0x4 1x40" },
      before: "14m30s",
      at: "15m",
      description: "At least one replica answered in 55.00 % of the last 5 minutes; the objective is 99 %.",
      labels: { job: "crm-events" },
    },
    silent: { "the other replica answered": { series: { [up(1)]: "1x19 0x4 1x40", [up(2)]: "1x60" } }, "all the time": { series: running }, "another job": { series: { 'up{job="other",instance="x"}': "0x60" } } },
  }),
  ...alertCases("CrmEventsSLOThroughputDegraded", {
    fires: {
      series: { [messages(1)]: "100+1x60", [messages(2)]: "100+1x60", [clients(1)]: "1x60" },
      before: "10m",
      at: "10m30s",
      description: "0.067 events per second were handled over the last 5 minutes; the objective is 0.1.",
    },
    silent: {
      "exactly the objective": { series: { [messages(1)]: "100+3x60", [clients(1)]: "1x60" }, at: "20m" },
      "exactly the objective, with a rounding error": { series: { [messages(1)]: "0+1.5x160", [clients(1)]: "1x160" }, at: "35m", step: "15s" },
      "no client": { series: { [messages(1)]: "100+1x60", [clients(1)]: "0x60" } },
      "two replicas together": { series: { [messages(1)]: "100+2x60", [messages(2)]: "100+2x60", [clients(1)]: "1x60" }, at: "20m" },
      "an outage of the API ended 30 seconds ago": { series: { [messages(1)]: "100+1x100", [clients(1)]: "1x100", ...apiDown(41) }, at: "20m30s" },
    },
    also: {
      "during an outage of the API": { series: { [messages(1)]: "100+1x100", [clients(1)]: "1x100", ...apiDown(41) }, at: "20m" },
      "an outage of the API ended 15 minutes ago": { series: { [messages(1)]: "100+1x100", [clients(1)]: "1x100", ...apiDown(41) }, before: "34m30s", at: "35m" },
    },
  }),
  ...alertCases("CrmEventsHighErrorRate", {
    fires: {
      series: { [requests("200")]: "100000+340x60", [requests("503", "/crm-events/history")]: "100000+10x60", [requests("500", "/healthz")]: "100000+10x60" },
      before: "8m30s",
      at: "9m",
      description: "5.6 % of the requests to crm-events were answered with a 5xx status over the last 5 minutes; the limit is 5 %.",
    },
    silent: {
      "exactly the limit": { series: { [requests("200")]: "100000+342x60", [requests("503")]: "100000+18x60" }, at: "20m" },
      "exactly the limit, with a rounding error": { series: { [requests("200")]: "0+684x60", [requests("503")]: "0+36x60" }, at: "35m", step: "1m" },
      "few requests": { series: { [requests("200")]: "100000+200x60", [requests("503")]: "100000+100x60" }, at: "20m" },
      "errors of clients": { series: { [requests("200")]: "100000+340x60", [requests("404")]: "100000+200x60" }, at: "20m" },
    },
    reset: { series: { [requests("200")]: "100000+360x9 0+360x60", [requests("503")]: "100000+2x9 0+2x60" }, at: "10m" },
  }),
  ...alertCases("CrmEventsNoClients", {
    fires: { series: { [clients(1)]: "1x2 0x60", [clients(2)]: "0x60" }, before: "11m", at: "11m30s", description: "0 event streams were open for 10 minutes: nobody watches, or nobody can connect." },
    silent: { "one client on one replica": { series: { [clients(1)]: "0x60", [clients(2)]: "1x60" } } },
  }),
  ...alertCases("CrmEventsTooManyClients", {
    fires: { series: { [clients(1)]: "26x60", [clients(2)]: "25x60" }, before: "4m30s", at: "5m", description: "51 event streams are open; the limit is 50." },
    silent: { "exactly the limit": { series: { [clients(1)]: "25x60", [clients(2)]: "25x60" } } },
  }),
  ...alertCases("CrmEventsDeadLetters", {
    fires: { series: { [dead(1)]: "0x2 1x40", [dead(2)]: "0x2 1x40" }, before: "1m", at: "1m30s", description: "2 messages could not be handled in the last 10 minutes and were parked." },
    silent: {
      "it was long ago": { series: { [dead(1)]: "0x2 1x40" }, at: "11m30s" },
      "a fresh Prometheus finds old ones": { series: { [dead(1)]: "5x40", [up(1)]: "1x40" }, at: "5m" },
      "the first one was long ago": { series: { ...running, [dead(1)]: "_x24 1x60" }, at: "23m" },
      "old ones come back after a long gap in the scrapes": { series: { [up(1)]: "1x20 0x40 1x80", [dead(1)]: "3x20 stale _x39 3x80" }, at: "31m" },
      "it was long ago, and another job at the address has started again": { series: { ...running, [dead(1)]: "0x2 1x60", [started.replace("crm-events", "other")]: "1x23 2x60" }, at: "12m" },
      "a new replica brings none": { series: { ...running, [dead(2)]: "_x23 0x40" }, at: "13m" },
    },
    also: {
      "the first one makes its series": { series: { ...running, [dead(1)]: "_x23 1x40" }, before: "11m", at: "12m" },
      "as many before a restart as right after it": { series: { ...running, [started]: "1x30 2x60", [dead(1)]: "1x30 1x60" }, before: "15m", at: "15m30s" },
      "one before a restart, none after it": { series: { ...running, [started]: "1x23 2x60", [dead(1)]: "0x21 1x1 0x60" }, before: "10m30s", at: "14m" },
    },
    reset: { series: { [dead(1)]: "5x4 0x40", [started]: "1x4 2x40", ...running }, at: "5m" },
    label: 1,
  }),
  ...alertCases("CrmEventsFanoutLag", {
    fires: {
      series: { [fanout(1, 0)]: "600x40", [fanout(1, 1)]: "401x40", [fanout(2, 0)]: "600x40" },
      before: "4m30s",
      at: "5m",
      description: "The fan-out of crm-events-1:9010 is 1001 messages behind; the limit is 1000. Its clients see old events.",
      labels: { instance: "crm-events-1:9010" },
    },
    silent: { "exactly the limit": { series: { [fanout(1, 0)]: "600x40", [fanout(1, 1)]: "400x40" } } },
  }),
  ...alertCases("CrmEventsFanoutSilent", {
    fires: {
      series: { [unanswered(1, 0)]: "0x60", [unanswered(1, 1)]: "0 31 61 91+30x40", [unanswered(2, 0)]: "0x60" },
      before: "5m30s",
      at: "6m",
      description: "No broker has answered crm-events-1:9010 about some partition for 6m 1s: its clients miss the events there, and its lag does not tell.",
      labels: { instance: "crm-events-1:9010" },
    },
    silent: { "exactly the limit": { series: { [unanswered(1, 0)]: "60x40" } }, "answered in between": { series: { [unanswered(1, 0)]: "61x9 0 61x40" }, at: "9m" } },
  }),
  ...alertCases("HealthProbeUnknown", {
    fires: {
      series: { 'health_probe_status{verdict="unknown"}': "0x2 1x40", 'health_probe_status{verdict="ready"}': "1x2 0x40" },
      before: "11m",
      at: "11m30s",
      description: "The verdict has been `unknown` for 10 minutes (health_probe_status is 1): Prometheus does not answer the probe, or has no lag data.",
      labels: { verdict: "unknown" },
    },
    silent: { "not ready": { series: { 'health_probe_status{verdict="unknown"}': "0x40", 'health_probe_status{verdict="not_ready"}': "1x40" } } },
  }),
];
