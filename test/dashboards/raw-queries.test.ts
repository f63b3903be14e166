import { expect, test } from "vitest";
import { rawQuery } from "../../bench/support/raw-queries.ts";
import { allDashboards } from "../../dashboards/index.ts";
import { recordings } from "../../rules/index.ts";
import { sampleSettings } from "../support/settings.ts";
import { allOf, requestsOf } from "./check-panels.ts";
import { selectorsOf } from "./walk.ts";

const s = sampleSettings();
const recorded = new Set(recordings(s).map((r) => r.record));
const queries = allDashboards(s).flatMap((d) => requestsOf(s, d, allOf(d)).map((r) => [`${r.uid} ${r.panel} ${r.refId}`, r.expr] as const));
const readsRecorded = (expr: string) => selectorsOf(expr).some(({ metric }) => recorded.has(metric));

test.each(queries)("%s has a raw form exactly when it reads recorded series", (_, expr) => {
  const raw = rawQuery(s, expr);
  expect(raw !== undefined).toBe(readsRecorded(expr));
  if (raw !== undefined) expect(readsRecorded(raw), raw).toBe(false);
});

test("matchers go down to the metrics that have their labels", () => {
  expect(rawQuery(s, 'sum(crm:revenue_usd:by_org{org_id=~"acme"})')).toBe('sum((sum by (org_id) (increase(crm_invoice_payments_cents_total{org_id=~"acme"}[24h])) / 100))');
  expect(rawQuery(s, 'kafka:group_consumer_count{consumergroup="crm-events-sse"}')).toBe('(max by (consumergroup) (kafka_consumergroup_members{consumergroup="crm-events-sse"}))');
});

test("a range over a recorded series is one over what it is recorded from", () => {
  expect(rawQuery(s, "deriv(kafka:topic_message_rate[5m])")).toBe("deriv((sum by (topic) (rate(kafka_topic_partition_current_offset[5m])))[5m:30s])");
  expect(rawQuery(s, 'increase(aether:rag_answers:copy{tenant="a"}[30d])')).toBe('increase(aether_rag_answers_total{tenant="a"}[30d])');
});
