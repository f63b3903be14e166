/**
 * The streams of crm-events as they are deployed, fed over HTTP instead of by Kafka, so that a benchmark can publish at will.
 * Writes `{"stream": port, "publish": port}` to standard output.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Admission } from "../../services/crm-events/admission.ts";
import { App } from "../../services/crm-events/app.ts";
import { Hub } from "../../services/crm-events/hub.ts";
import { Front } from "../../services/crm-events/listen.ts";
import { createMetrics } from "../../services/crm-events/metrics.ts";
import { RateLimit, TrustedProxies } from "../../services/crm-events/rate-limit.ts";

const metrics = createMetrics();
const topic = { read: async () => ({ events: [], next: 0 }), bounds: async () => ({ starts: [0], ends: [0] }), since: async () => ({ epoch: "benchmrk", next: [] }) };
const hub = new Hub({
  historyEvents: 10_000,
  historyBytes: 32 << 20,
  clientBufferBytes: 1 << 20,
  replayEvents: 100_000,
  topic,
  metrics,
  onError: (error) => console.error(error),
});
// As many partitions as the topic has by default: ids are as long as they are in use.
hub.start({ epoch: "benchmrk", next: [0, 100_000, 100_000, 100_000, 100_000, 100_000] }, []);
const app = new App({
  hub,
  metrics,
  admission: new Admission({ limit: new RateLimit(0), maxClients: 20_000, corsOrigins: [] }),
  proxies: new TrustedProxies([]),
  historyEvents: 10_000,
});
const front = new Front({ app, host: "127.0.0.1", port: 0 });
const { port } = await front.listen();

let offset = 0;
const publisher = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", async () => {
    hub.publish(0, [{ offset, json: Buffer.concat(chunks), at: Date.now() }], ++offset);
    // As the reader of the topic does before it brings more.
    await hub.room();
    response.end();
  });
});
publisher.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ stream: port, publish: (publisher.address() as AddressInfo).port })));
