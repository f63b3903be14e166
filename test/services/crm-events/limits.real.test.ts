/** crm-events as its image runs it, within half a CPU and 256 MiB, with as many clients as it takes by default. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parsePosition } from "../../../services/crm-events/position.ts";
import { bundleFolder, bundleServices } from "../../../tools/bundle.ts";
import { freePort, kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { limitsMissing, spawnLimited, type LimitedProcess } from "../../support/limits.ts";
import { eventData, StreamLoad } from "../../support/sse-load.ts";
import { TestProducer, until } from "./processes.ts";
import { sampleEvent } from "./support.ts";

const limits = { cpu: 0.5, memoryMiB: 256 };
const streams = 12_000;
const stuck = 500;
/** Control groups of version 2 may count some pages of socket buffers beyond the limit, for which nothing is killed. */
const mostBytes = (limits.memoryMiB + 4) * 1024 * 1024;

describe.skipIf(kafkaMissing ?? limitsMissing)("within 0.5 CPU and 256 MiB", () => {
  let load = new StreamLoad();
  let idle: StreamLoad | undefined;
  let broker: TestBroker;
  let producer: TestProducer;
  let events: LimitedProcess;
  let port: number;
  let output = "";
  /** Events that Kafka has acknowledged. */
  let acknowledged = 0;

  beforeAll(async () => {
    await bundleServices(["crm-events"]);
    broker = await startKafka();
    const admin = new Admin({ clientId: "test-admin", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: ["aetherlink.events"], partitions: 6, replicas: 1 });
    await admin.close();
    producer = new TestProducer(broker);
    port = await freePort();
    events = spawnLimited(process.execPath, [join(bundleFolder("crm-events"), "server.mjs")], limits, {
      PATH: process.env["PATH"],
      HOST: "127.0.0.1",
      PORT: `${port}`,
      KAFKA_BROKERS: broker.address,
      CONNECTS_PER_MINUTE: "0",
    });
    for (const stream of [events.child.stdout!, events.child.stderr!]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    await until(() => output.includes("fan-out reads"), 60_000, () => output);
  });

  afterAll(async () => {
    load.close();
    idle?.close();
    await events?.stop();
    await producer?.close();
    await broker?.stop();
  });

  const request = () => `GET /crm-events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: text/event-stream\r\n\r\n`;
  const survives = () => {
    const { oomKills, peakBytes } = events.usage();
    expect(events.child.exitCode).toBeNull();
    expect(oomKills).toBe(0);
    return peakBytes;
  };
  /** Events whose data says when they were made, and which no compression makes small. */
  const send = async (count: number, bytes: number) => {
    await producer.send(Array.from({ length: count }, (_, i) => ({ ...producer.event(`k${i}`, i), value: JSON.stringify({ ...sampleEvent(`k${i}`, i), data: { ...JSON.parse(eventData(40)), noise: randomBytes(bytes / 2).toString("hex") } }) })));
    acknowledged += count;
  };
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  const metric = async (line: RegExp) => Number(line.exec(await (await get("/metrics")).text())![1]);
  const slow = /^crm_events_dropped_clients_total\{reason="slow"\} (\d+)/m;

  /** Opens the streams that read. Those of an earlier attempt go first, for it takes no more than 12 000, and what was sent is read, for it would be counted. */
  async function openLoad(): Promise<void> {
    load.close();
    idle?.close();
    load = new StreamLoad();
    await until(async () => (await metric(/^crm_events_sse_clients (\d+)/m)) === 0, 60_000);
    const read = async () => parsePosition(((await (await get("/crm-events/history?n=1")).json()) as { last_event_id: string }).last_event_id)!.next.reduce((a, b) => a + b);
    await until(async () => (await read()) >= acknowledged, 100_000);
    await load.open(port, streams - stuck, request());
    load.deliveries = 0;
  }

  test("4 000 heads that never end, while a stream goes on", { timeout: 120_000 }, async () => {
    await load.open(port, 1, request());
    const head = `GET /crm-events HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(76_000)}`;
    const sockets = new Set<Socket>();
    for (let i = 0; i < 4_000; i++) {
      const socket = connect(port, "127.0.0.1").on("error", () => undefined).once("close", () => sockets.delete(socket));
      sockets.add(socket);
      socket.write(head);
      // Those that were given up count too: only so many are on their way to the service at a time.
      if (i % 50 === 49) await until(() => [...sockets].every(({ writableLength }) => writableLength === 0), 60_000);
    }
    await until(() => sockets.size < 300, 60_000, () => `${sockets.size} connections`);
    await send(1, 400);
    await until(() => load.deliveries === 1, 30_000);
    expect(load.closed).toBe(0);
    expect(survives()).toBeLessThanOrEqual(mostBytes);
    for (const socket of sockets) socket.destroy();
  });

  test("history full of events and 12 000 clients that all get each one", { timeout: 400_000 }, async () => {
    for (let i = 0; i < 12; i++) await send(1_000, 2_000);
    await openLoad();
    for (let i = 0; i < 10; i++) {
      await send(2, 400);
      await sleep(100);
    }
    await until(() => load.deliveries >= 20 * (streams - stuck), 100_000, () => `${load.deliveries} deliveries`);
    expect(load.deliveries).toBe(20 * (streams - stuck));
    expect(load.closed).toBe(0);
    expect(survives()).toBeLessThanOrEqual(mostBytes);
  });

  test("500 more that never read are dropped, and it lives on", { timeout: 400_000 }, async () => {
    if (idle !== undefined) await openLoad();
    idle = new StreamLoad();
    await idle.open(port, stuck, request());
    idle.pause();
    load.deliveries = 0;
    const before = await metric(slow);
    let dropped = 0;
    // Until more was sent than the kernel keeps for a connection.
    for (let sent = 0; dropped < stuck && sent < 400; sent += 10) {
      await send(10, 100_000);
      await until(() => load.deliveries >= (sent + 10) * (streams - stuck) || load.closed > 0, 100_000, () => `${load.deliveries} deliveries`);
      dropped = (await metric(slow)) - before;
    }
    expect(dropped).toBeGreaterThanOrEqual(stuck);
    expect(survives()).toBeLessThanOrEqual(mostBytes);
    expect(load.closed).toBe(0);
  });
});
