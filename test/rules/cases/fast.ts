/** The fast profile scales `for` and no window, so what stays silent only because `for` outlasts a window fires there. */
import { ruleGroups } from "../../../rules/index.ts";
import { caseSettings, type RuleCase, type Series } from "./case.ts";

export const fastGroups = ruleGroups({ ...caseSettings, timing: "fast" });

const messages = 'crm_events_messages_total{job="crm-events",instance="crm-events-1:9010"}';
const produced = 'kafka_topic_partition_current_offset{topic="aetherlink.events",partition="0"}';
const lag = 'kafka_consumergroup_lag{consumergroup="crm-events-sse",topic="aetherlink.events",partition="0"}';

const stuck = (what: string, series: Series, firing: RuleCase["firing"]): RuleCase => ({ rule: "CrmEventsConsumerStuck", what, kind: "edge", series, step: "2s", evaluation: "2s", firing, values: [] });

/** Every message is handled until all traffic ends after 2 minutes. */
const traffic = "100+1x60 160x400";
const never = { "4m30s": 0, "6m": 0, "8m": 0, "10m": 0, "12m": 0, "14m": 0 };

const flatline = (what: string, series: Series, firing: RuleCase["firing"]): RuleCase => ({ rule: "RevenueFlatlineFast", what, kind: "edge", series, step: "5m", evaluation: "5m", firing, values: [] });
const cents = 'crm_invoice_payments_cents_total{org_id="1",job="crm_api",instance="crm-api-1:8080"}';
const apiUp = 'up{job="crm_api",instance="crm-api-1:8080"}';

export const fastCases: RuleCase[] = [
  flatline("revenue nearly ends", { [cents]: "0+12x2100 25202+2x100", [apiUp]: "1x2200" }, { "176h55m": 0, "177h5m": 1 }),
  flatline("an outage of 3 h ends", { [cents]: "0+12x2100 _x36 25200+12x100", [apiUp]: "1x2100 0x35 1x100", 'ALERTS{alertname="CrmApiDown",alertstate="firing",service="crm-api"}': "_x2100 1x35 stale" }, { "178h5m": 0, "178h30m": 0, "179h30m": 0, "180h": 0, "182h": 0 }),
  stuck("traffic ends", { [messages]: traffic, [produced]: traffic, [lag]: "0x460" }, never),
  stuck("traffic ends, and kafka-exporter stops later", { [messages]: traffic, [produced]: "100+1x60 160x60 stale", [lag]: "0x121 stale" }, never),
  stuck("messages arrive and none is handled", { [messages]: traffic, [produced]: "100+1x460", [lag]: "0x60 1+1x400" }, { "4m16s": 0, "4m18s": 1, "14m": 1 }),
  stuck("a fresh Prometheus finds it so", { [messages]: "160x400", [produced]: "100+1x400", [lag]: "3000+1x400" }, { "20s": 0, "22s": 1 }),
];
