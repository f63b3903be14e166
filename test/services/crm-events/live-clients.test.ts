import { describe, expect, it } from "vitest";
import type { Client } from "../../../services/crm-events/hub.ts";
import { LiveClients } from "../../../services/crm-events/live-clients.ts";
import { createMetrics } from "../../../services/crm-events/metrics.ts";
import type { Frame } from "../../../services/crm-events/sse.ts";
import type { Transport } from "../../../services/crm-events/transport.ts";

const kib = 1024;

/** A client that reads so many bytes each time that it is looked at. */
class Reader implements Transport {
  pending = 0;
  sent = 0;
  looks = 0;
  readonly #perLook: number;

  constructor(perLook: number) {
    this.#perLook = perLook;
  }

  write(frame: Frame): boolean {
    this.pending += frame.body.length;
    return true;
  }
  read(): void {
    this.looks++;
    this.pending = Math.max(0, this.pending - this.#perLook);
  }
  end(): void {}
  destroy(): void {}
  onClose(): void {}
  async writable(): Promise<void> {}
}

function clients(...readers: Reader[]) {
  const dropped: Client[] = [];
  const metrics = createMetrics();
  const live: LiveClients = new LiveClients({ clientBufferBytes: 1024 * kib, totalBufferBytes: 128 * kib, metrics, drop: (client) => (dropped.push(client), live.delete(client)) });
  for (const transport of readers) live.add({ transport, slot: 0, sentAtPing: undefined, closed: false });
  // Clients read in their own time.
  const reading = setInterval(() => readers.forEach((r) => r.read()), 5);
  return { live, dropped, metrics, stop: () => clearInterval(reading) };
}

describe("clients that are up to date", () => {
  it("get one write for what is posted within a turn", async () => {
    const reader = new Reader(0);
    const { live, stop } = clients(reader);
    live.post([Buffer.from("one\n")]);
    live.post([Buffer.from("two\n")]);
    expect(reader.pending).toBe(0);
    await live.room();
    expect(reader.pending).toBe(8);
    stop();
  });

  it("measure how old an event is, unless its time is absurd", async () => {
    const { live, metrics, stop } = clients(new Reader(kib));
    const hour = 3_600_000;
    const ages = [0, 2_000, 23 * hour, -1_000, 25 * hour, -2 * hour, Date.now() - Date.parse("0000-01-01T00:00:00Z"), -1e15];
    for (const age of ages) live.post([Buffer.from("x\n")], Date.now() - age);
    await live.room();
    const { values } = await metrics.latency.get();
    const of = (name: string) => values.find(({ metricName }) => metricName === `crm_events_delivery_latency_seconds_${name}`)!.value;
    expect(of("count")).toBe(4);
    expect(of("sum")).toBeCloseTo(2 + 23 * 3_600, -1);
    stop();
  });

  it("are all given time for a frame that is larger than what they may be behind by together", async () => {
    const readers = Array.from({ length: 10 }, () => new Reader(5 * kib));
    const { live, dropped, stop } = clients(...readers);
    for (let frames = 0; frames < 3; frames++) {
      live.post([Buffer.alloc(100 * kib)]);
      await live.room();
      expect(readers.reduce((sum, r) => sum + r.pending, 0)).toBeLessThanOrEqual(64 * kib);
    }
    expect(dropped).toEqual([]);
    stop();
  });

  it("are not dropped for several frames that come at once, before anybody could read", async () => {
    const readers = Array.from({ length: 10 }, () => new Reader(20 * kib));
    const { live, dropped, stop } = clients(...readers);
    for (let frames = 0; frames < 3; frames++) live.post([Buffer.alloc(64 * kib)]);
    live.post([Buffer.alloc(kib)]);
    expect(dropped).toEqual([]);
    await live.room();
    expect(dropped).toEqual([]);
    expect(readers.reduce((sum, r) => sum + r.pending, 0)).toBeLessThanOrEqual(64 * kib);
    stop();
  });

  it("are not dropped while they read, when several bring events at once", async () => {
    const readers = Array.from({ length: 10 }, () => new Reader(5 * kib));
    const { live, dropped, stop } = clients(...readers);
    const bring = async () => {
      for (let frames = 0; frames < 3; frames++) {
        live.post([Buffer.alloc(64 * kib)]);
        await live.room();
      }
    };
    await Promise.all([bring(), bring(), bring()]);
    expect(dropped).toEqual([]);
    stop();
  });

  it("do not wait for those who read nothing, who are dropped with the next frame", async () => {
    const [stuck, reader] = [new Reader(0), new Reader(100 * kib)];
    const { live, dropped, stop } = clients(stuck, reader);
    live.post([Buffer.alloc(200 * kib)]);
    await live.room();
    expect(reader.looks).toBeLessThan(40);
    live.post([Buffer.alloc(70 * kib)]);
    await live.room();
    expect(dropped.map((c) => c.transport)).toEqual([stuck]);
    stop();
  });
});
