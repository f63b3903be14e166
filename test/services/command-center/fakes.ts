/** Small servers in the place of what the command center reads; each can go away and come back on the same port. */
import type { ServerResponse } from "node:http";
import { FakeServer } from "../../support/fake-server.ts";

export { FakeServer } from "../../support/fake-server.ts";

const json = (response: ServerResponse, value: unknown, status = 200): void => void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

/** Samples of an instant query: labels and value. */
export type Samples = readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];

/** Answers instant queries by the first key that the expression contains, and range queries with a wave. */
export function fakePrometheus(answers: Record<string, Samples>): FakeServer {
  return new FakeServer((_request, response, url) => {
    const expr = url.searchParams.get("query") ?? "";
    if (url.pathname === "/api/v1/query_range") {
      const [start, end, step] = ["start", "end", "step"].map((name) => Number(url.searchParams.get(name)));
      const values: [number, string][] = [];
      for (let t = start!; t <= end!; t += step!) values.push([t, String(expr.includes("lag") ? Math.max(0, 400 * Math.sin(t / 500)) : 6 + 3 * Math.sin(t / 400))]);
      return json(response, { status: "success", data: { resultType: "matrix", result: [{ metric: {}, values }] } });
    }
    const key = Object.keys(answers).find((k) => expr.includes(k));
    const result = (key === undefined ? [] : answers[key]!).map(([metric, value]) => ({ metric, value: [Date.now() / 1000, String(value)] }));
    json(response, { status: "success", data: { resultType: "vector", result } });
  });
}

/** A healthy pipeline, payment rate and scrape state. */
export function healthySamples(): Record<string, Samples> {
  const partition = (lag: number, i: number) => [{ partition: String(i) }, lag] as const;
  return {
    crm_events_sse_clients: [[{}, 7]],
    "crm_events:messages:rate5m": [[{}, 8.42]],
    "kafka:group_lag_sum": [[{}, 37]],
    "kafka:group_skew_ratio": [[{}, 1.4]],
    "kafka:group_consumer_count": [[{}, 2]],
    "kafka:group_partition_lag": [4, 9, 2, 14, 0, 8].map(partition),
    "crm:payment_rate_30d_pct:by_org": [[{ org_id: "acme" }, 93.1], [{ org_id: "globex" }, 88.4], [{ org_id: "initech" }, 82.2]],
    "crm:payment_rate_30d_pct": [[{}, 91.3]],
    "crm:revenue_usd": [[{}, 18_432.55]],
    prometheus_rule_group_last_evaluation_timestamp_seconds: [[{ rule_group: "/etc/prometheus/rules/crm.yml;crm_finance.recording" }, 12], [{ rule_group: "/etc/prometheus/rules/kafka.yml;kafka" }, 21]],
    up: [[{ job: "crm_api", instance: "crm-api:8080" }, 1], [{ job: "prometheus", instance: "prometheus:9090" }, 1]],
  };
}

/** An alert as Alertmanager lists it. */
export function apiAlert(name: string, severity: string, more: { id?: string; labels?: Record<string, string>; annotations?: Record<string, string>; inhibitedBy?: string[]; silencedBy?: string[]; minutes?: number } = {}) {
  return {
    fingerprint: more.id ?? name,
    startsAt: new Date(Date.now() - (more.minutes ?? 12) * 60_000).toISOString(),
    labels: { alertname: name, severity, service: "crm-api", team: "crm", product: "aetherlink", ...more.labels },
    annotations: { summary: `${name} summary`, description: `${name} is described here with 42 of something.`, runbook_url: `https://runbooks.example.com/${name}.md`, dashboard_url: "https://grafana.example.com/d/peakpro_crm_slo", ...more.annotations },
    status: { state: more.inhibitedBy?.length || more.silencedBy?.length ? "suppressed" : "active", inhibitedBy: more.inhibitedBy ?? [], silencedBy: more.silencedBy ?? [], mutedBy: [] },
  };
}

export const watchdog = () => apiAlert("Watchdog", "none", { labels: { service: "alerting" } });

/** Lists whatever is in `state.alerts`. */
export function fakeAlertmanager(state: { alerts: unknown[] }): FakeServer {
  return new FakeServer((_request, response) => json(response, state.alerts));
}

/** Answers `/qbo/status` with `state.qbo`. */
export function fakeCrmApi(state: { qbo: unknown }): FakeServer {
  return new FakeServer((_request, response, url) => (url.pathname === "/qbo/status" ? json(response, state.qbo) : json(response, {}, 404)));
}

/** A message of the Slack stand-in's list and its dead man's switch. */
export function fakeSlack(state: { messages: unknown[] }): FakeServer {
  return new FakeServer((_request, response, url) => json(response, url.pathname === "/deadman" ? { state: "alive", last_beat_at: new Date().toISOString(), missed: 0 } : { messages: state.messages }));
}

/** An event of the CRM as crm-events sends it. */
export function crmEvent(n: number, more: Record<string, unknown> = {}) {
  return { id: `event-${n}`, type: "invoice.paid", ts: new Date().toISOString(), org_id: "acme", aggregate: { type: "invoice", id: `inv-${n}` }, version: 1, data: { amount_cents: 12_345 + n }, ...more };
}

/** crm-events with one partition: ids are `e.<next offset>`, streams resume, history gives the newest. */
export class FakeEvents extends FakeServer {
  readonly log: unknown[] = [];
  readonly streams: Set<ServerResponse>;
  /** `last-event-id` of each stream that was opened. */
  readonly resumed: (string | undefined)[];

  constructor() {
    const log: unknown[] = [];
    const streams = new Set<ServerResponse>();
    const resumed: (string | undefined)[] = [];
    super((request, response, url) => {
      if (url.pathname === "/crm-events/history") {
        const events = log.slice(-Number(url.searchParams.get("n")));
        return json(response, { last_event_id: `e.${log.length}`, events });
      }
      const lastId = request.headers["last-event-id"];
      resumed.push(typeof lastId === "string" ? lastId : undefined);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const from = typeof lastId === "string" ? Number(lastId.split(".")[1]) : log.length;
      response.write(`retry: 100\nid: e.${from}\n\n`);
      for (let i = from; i < log.length; i++) response.write(`id: e.${i + 1}\ndata: ${JSON.stringify(log[i])}\n\n`);
      streams.add(response);
      response.on("close", () => streams.delete(response));
    });
    this.log = log;
    this.streams = streams;
    this.resumed = resumed;
  }

  send(...events: unknown[]): void {
    for (const event of events) {
      this.log.push(event);
      for (const stream of this.streams) stream.write(`id: e.${this.log.length}\ndata: ${JSON.stringify(event)}\n\n`);
    }
  }
}
