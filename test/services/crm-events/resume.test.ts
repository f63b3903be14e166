import { afterEach, describe, expect, test } from "vitest";
import { formatPosition, parsePosition } from "../../../services/crm-events/position.ts";
import { MemoryTopic, Replica, sampleEvent, SseClient, type Received, type ReplicaOptions } from "./support.ts";

const replicas: Replica[] = [];
const clients: SseClient[] = [];

async function replica(topic: MemoryTopic, options?: ReplicaOptions, from?: number[]): Promise<Replica> {
  const started = await new Replica(topic, options).start(from);
  replicas.push(started);
  return started;
}

function client(to: Replica, lastEventId?: string, query?: string): SseClient {
  const made = new SseClient(to.port, { lastEventId, ...(query === undefined ? {} : { query }) });
  clients.push(made);
  return made;
}

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  for (const used of replicas.splice(0)) {
    expect(used.errors).toEqual([]);
    await used.close();
  }
});

/** An event that says where it is. */
function place(topic: MemoryTopic, partition: number): void {
  topic.append(partition, { ...sampleEvent(`p${partition}`, 0), data: { p: partition, o: topic.ends[partition] } });
}

/**
 * What one user has seen over all its connections. Throws at an event that is not exactly the next one of its partition,
 * unless a gap was announced.
 */
class Witness {
  readonly gaps: string[] = [];
  next: number[] | undefined;
  lastEventId: string | undefined;
  readonly #topic: MemoryTopic;

  constructor(topic: MemoryTopic) {
    this.#topic = topic;
  }

  see({ event, id, data }: Received): void {
    this.lastEventId = id;
    if (event === "gap") {
      this.gaps.push(JSON.parse(data).reason);
      this.next = [...parsePosition(id)!.next];
      return;
    }
    const { p, o } = JSON.parse(data).data as { p: number; o: number };
    if (o !== this.#nextEvent(p)) throw new Error(`partition ${p}: ${o} came after ${this.next?.[p]}`);
    this.next![p] = o + 1;
    if (parsePosition(id)!.next[p] !== o + 1) throw new Error(`the id of ${p}/${o} is ${id}`);
  }

  /** Everything that exists was seen. */
  get complete(): boolean {
    return this.next !== undefined && this.#topic.ends.every((_, p) => this.#nextEvent(p) === undefined);
  }

  /** Offset of the next message that is an event. */
  #nextEvent(p: number): number | undefined {
    const messages = this.#topic.partitions[p]!;
    for (let o = this.next![p] ?? 0; o < messages.length; o++) if (messages[o] !== null) return o;
    return undefined;
  }
}

describe("resuming", () => {
  test("gives what was missed from history, then what is new, once each", async () => {
    const topic = new MemoryTopic(3);
    for (let i = 0; i < 30; i++) place(topic, i % 3);
    const events = await replica(topic);
    events.pumpAll();
    const page = await client(events, "epoch1.5.a.0").until((page) => page.events.length === 15);
    place(topic, 0);
    events.pumpAll();
    await page.until((page) => page.events.length === 16);
    expect(page.gaps).toEqual([]);
    const witness = new Witness(topic);
    witness.next = [5, 10, 0];
    for (const event of page.received) witness.see(event);
    expect(witness.complete).toBe(true);
  });

  test("reads from Kafka what history no longer holds", async () => {
    const topic = new MemoryTopic(2);
    for (let i = 0; i < 600; i++) place(topic, i % 2);
    topic.append(0, null);
    const events = await replica(topic, { historyEvents: 20 });
    events.pumpAll();
    const witness = new Witness(topic);
    witness.next = [3, 7];
    const page = await client(events, "epoch1.3.7").until((page) => page.events.length === 590);
    expect(page.gaps).toEqual([]);
    for (const event of page.received) witness.see(event);
    expect(witness.complete).toBe(true);
  });

  test("waits for Kafka when it is away, keeping the stream", async () => {
    const topic = new MemoryTopic(1);
    for (let i = 0; i < 100; i++) place(topic, 0);
    const events = await replica(topic, { historyEvents: 10 });
    events.pumpAll();
    topic.down = true;
    const page = await client(events, "epoch1.0").until((page) => page.status === 200);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(page.closed).toBe(false);
    topic.down = false;
    await page.until((page) => page.events.length === 100);
    expect(page.gaps).toEqual([]);
  });

  test("works on a replica that has not read as far as the client", async () => {
    const topic = new MemoryTopic(2);
    for (let i = 0; i < 40; i++) place(topic, i % 2);
    const behind = await replica(topic);
    behind.pump(0, 5);
    const witness = new Witness(topic);
    witness.next = [12, 3];
    const page = await client(behind, formatPosition({ epoch: "epoch1", next: [12, 3] })).until((page) => page.parser.retry !== undefined);
    expect(page.events).toEqual([]);
    behind.pumpAll();
    await page.until((page) => page.events.length === 8 + 17);
    place(topic, 1);
    behind.pumpAll();
    await page.until((page) => page.events.length === 26);
    for (const event of page.received) witness.see(event);
    expect(witness.complete).toBe(true);
  });

  test("at the present begins behind what exists, even while the replica still reads it", async () => {
    const topic = new MemoryTopic(1);
    for (let i = 0; i < 40; i++) place(topic, 0);
    const events = await replica(topic);
    const page = await client(events).until((page) => page.parser.lastEventId !== "");
    expect(page.parser.lastEventId).toBe("epoch1.14");
    place(topic, 0);
    events.pumpAll();
    await page.until((page) => page.events.length > 0);
    expect(page.events.map(({ data }) => JSON.parse(data).data.o)).toEqual([40]);
  });

  test("covers a partition that was added since", async () => {
    const topic = new MemoryTopic(2);
    place(topic, 1);
    const events = await replica(topic);
    events.pumpAll();
    const page = await client(events, "epoch1.0").until((page) => page.events.length === 1);
    expect(JSON.parse(page.events[0]!.data).data).toEqual({ p: 1, o: 0 });
  });
});

describe("a gap is announced", () => {
  const ten = async (options?: ReplicaOptions): Promise<[MemoryTopic, Replica]> => {
    const topic = new MemoryTopic(2);
    for (let i = 0; i < 20; i++) place(topic, i % 2);
    const events = await replica(topic, options);
    events.pumpAll();
    return [topic, events];
  };

  test.each([
    ["unreadable", "garbage"],
    ["unreadable", "42"],
    ["unreadable", "epoch1.5.zzzzzzzzzzz"],
    ["unreadable", "../../etc/passwd"],
    ["unreadable", "epoch1.1.2 data: x"],
    ["epoch", "other1.1.2"],
    ["ahead", "epoch1.1.b"],
    ["ahead", "epoch1.1.2gosa7pa2gv"],
    ["ahead", "epoch1.1.2.3"],
  ])("with reason %s for %s", async (reason, id) => {
    const [topic, events] = await ten();
    const page = await client(events, id).until((page) => page.gaps.length === 1);
    expect(page.status).toBe(200);
    expect(page.gaps[0]).toEqual({ reason, from: reason === "unreadable" ? null : id, to: "epoch1.a.a" });
    expect(page.received[0]!.event).toBe("gap");
    place(topic, 0);
    events.pumpAll();
    await page.until((page) => page.events.length === 1);
    expect(page.events[0]!.id).toBe("epoch1.b.a");
  });

  test("for an id of 64 KiB", async () => {
    const [, events] = await ten();
    const page = await client(events, "x".repeat(65_536)).until((page) => page.gaps.length === 1);
    expect([page.status, page.gaps[0]!.reason]).toEqual([200, "unreadable"]);
  });

  test("when the query parameter is unreadable; but the header wins over it", async () => {
    const [, events] = await ten();
    const fromQuery = await client(events, undefined, "?lastEventId=nonsense").until((page) => page.gaps.length === 1);
    expect(fromQuery.gaps[0]!.reason).toBe("unreadable");
    const both = await client(events, "epoch1.9.9", "?lastEventId=nonsense").until((page) => page.events.length === 2);
    expect(both.gaps).toEqual([]);
  });

  test("when Kafka dropped the events", async () => {
    const [topic, events] = await ten({ historyEvents: 5 });
    topic.expire(0, 4);
    const page = await client(events, "epoch1.3.9").until((page) => page.gaps.length === 1);
    expect(page.gaps[0]).toEqual({ reason: "expired", from: "epoch1.3.9", to: "epoch1.a.a" });
    const held = await client(events, "epoch1.4.9").until((page) => page.events.length === 7);
    expect(held.gaps).toEqual([]);
  });

  test("when more is missing than one replay gives", async () => {
    const [, events] = await ten({ historyEvents: 5, replayEvents: 10 });
    const page = await client(events, "epoch1.0.0").until((page) => page.gaps.length === 1);
    expect(page.gaps[0]!.reason).toBe("too_far");
    const near = await client(events, "epoch1.5.5").until((page) => page.events.length === 10);
    expect(near.gaps).toEqual([]);
  });

  test("to everybody when Kafka dropped events that nobody had read yet, and when the topic was made anew", async () => {
    const [topic, events] = await ten();
    const page = await client(events).until((page) => page.parser.retry !== undefined);
    events.hub.lost(0, 50);
    await page.until((page) => page.gaps.length === 1);
    expect(page.gaps[0]).toEqual({ reason: "lost", from: "epoch1.a.a", to: "epoch1.1e.a" });
    events.hub.lost(0, 5);
    await page.until((page) => page.gaps.length === 2);
    expect(page.gaps[1]).toEqual({ reason: "lost", from: "epoch1.1e.a", to: "epoch1.5.a" });
    events.hub.start({ epoch: "epoch2", next: [0, 0] }, [0, 0]);
    await page.until((page) => page.gaps.length === 3);
    expect(page.gaps[2]).toEqual({ reason: "epoch", from: "epoch1.5.a", to: "epoch2.0.0" });
    topic.partitions[0]!.length = 0;
    topic.partitions[1]!.length = 0;
    place(topic, 1);
    events.pumpAll();
    await page.until((page) => page.events.length === 1);
    expect(page.events[0]!.id).toBe("epoch2.0.1");
  });
});

test("1000 users, cut at random, coming back to either replica with valid, expired, garbage and foreign ids: no silent hole", { timeout: 120_000 }, async () => {
  const users = 1_000;
  const topic = new MemoryTopic(4);
  const pair = [await replica(topic, { historyEvents: 200 }), await replica(topic, { historyEvents: 50 })];
  const random = seeded(20251121);
  const below = (n: number) => Math.floor(random() * n);
  const statuses = new Set<number>();
  const written = () => topic.ends.reduce((a, b) => a + b);

  // Both replicas read on all the while, each in an order of its own; one message in ten is no event.
  let writing = true;
  const writer = (async () => {
    while (writing) {
      // Not without end: every user reads all of it.
      for (let i = written() < 1_500 ? below(4) : 0; i > 0; i--) {
        const p = below(4);
        if (below(10) === 0) topic.append(p, null);
        else place(topic, p);
      }
      for (const events of pair) for (let i = below(6); i > 0; i--) events.pump(below(4), 1 + below(6));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();

  const connect = async (witness: Witness, id: string | undefined, enough: (page: SseClient) => boolean): Promise<void> => {
    const page = client(pair[below(2)]!, id);
    let seen = 0;
    const take = () => {
      if (page.parser.firstId !== undefined) witness.next ??= parsePosition(page.parser.firstId)?.next.slice();
      for (; seen < page.received.length; seen++) witness.see(page.received[seen]!);
    };
    await page.until(() => {
      take();
      return enough(page);
    }, 60_000);
    statuses.add(page.status);
    page.cut();
    take();
    witness.lastEventId = page.parser.lastEventId;
    clients.splice(clients.indexOf(page), 1);
  };

  const user = async (): Promise<Witness> => {
    const witness = new Witness(topic);
    for (let round = 0; round < 3; round++) {
      // Now and then cut off before, at, or some events after the first block, while there are enough to come.
      const wanted = below(8);
      await connect(witness, witness.lastEventId, (page) => page.parser.firstId !== undefined && (page.received.length >= wanted || written() >= 1_400));
      const kind = below(6);
      if (kind === 0) witness.lastEventId = `${below(1_000)}`;
      else if (kind === 1) witness.lastEventId = witness.lastEventId!.replace("epoch1", "epoch0");
      else if (kind === 2) witness.lastEventId = formatPosition({ epoch: "epoch1", next: [0, 0, 0, 0] });
      if (kind === 2) witness.next = [0, 0, 0, 0];
      await new Promise((resolve) => setTimeout(resolve, below(50)));
    }
    return witness;
  };
  // After a while the oldest events are gone.
  const retention = setTimeout(() => topic.ends.forEach((end, p) => topic.expire(p, Math.min(60, end))), 400);
  const witnesses: Witness[] = [];
  for (let i = 0; i < users; i += 250) witnesses.push(...(await Promise.all(Array.from({ length: 250 }, user))));
  clearTimeout(retention);
  writing = false;
  await writer;
  for (const events of pair) events.pumpAll();
  for (let i = 0; i < users; i += 250) {
    await Promise.all(witnesses.slice(i, i + 250).map((witness) => connect(witness, witness.lastEventId, (page) => page.parser.firstId !== undefined && witness.complete)));
  }

  expect(witnesses.filter(({ complete }) => complete)).toHaveLength(users);
  expect([...statuses]).toEqual([200]);
  const gaps = new Set(witnesses.flatMap((witness) => witness.gaps));
  expect([...gaps].toSorted()).toEqual(["epoch", "expired", "unreadable"]);
});

/** Chance that is the same in every run: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
