/**
 * One consumer in a process of its own: reads a topic from its start until it has a number of messages, then writes
 * `{"cpuSeconds", "seconds"}` between the first message and the last.
 *
 *   node consume.ts <mode> <broker> <topic> <messages>
 *
 * Modes: `library` the client library's own stream; `library checked` the same, each message checked as crm-events does;
 * `loop` crm-events' own fetching alone; `group` its group member (checks and commits); `fan-out` what reads for clients.
 */
import { randomBytes } from "node:crypto";
import { Consumer } from "@platformatic/kafka";
import pino from "pino";
import { CircuitBreaker } from "../../services/crm-events/breaker.ts";
import { checkEvent } from "../../services/crm-events/event.ts";
import { Fanout } from "../../services/crm-events/fanout.ts";
import { FetchLoop } from "../../services/crm-events/fetch-loop.ts";
import { GroupMember } from "../../services/crm-events/group.ts";
import { Hub } from "../../services/crm-events/hub.ts";
import { createMetrics } from "../../services/crm-events/metrics.ts";
import { TopicReader } from "../../services/crm-events/topic-reader.ts";

const [mode = "", broker = "", topic = "", wanted = "0"] = process.argv.slice(2);
const total = Number(wanted);
const maxEventBytes = 256 * 1024;
const connection = { clientId: "bench", bootstrapBrokers: [broker] };
const group = `bench-${randomBytes(4).toString("hex")}`;
const log = pino({ level: "silent" });
const metrics = createMetrics();

let seen = 0;
let began: { cpu: NodeJS.CpuUsage; at: number } | undefined;

function count(messages: number): void {
  if (messages === 0) return;
  began ??= { cpu: process.cpuUsage(), at: performance.now() };
  seen += messages;
  if (seen < total) return;
  const { user, system } = process.cpuUsage(began.cpu);
  console.log(JSON.stringify({ cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - began.at) / 1_000 }));
  process.exit(0);
}

async function library(check: boolean): Promise<void> {
  const consumer = new Consumer({ ...connection, groupId: group, maxBytes: 1 << 20 });
  const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: 1_000 });
  stream.on("data", ({ value }) => {
    if (check && !checkEvent(value, maxEventBytes).ok) throw new Error("no event");
    count(1);
  });
}

async function loop(): Promise<void> {
  const reader = new TopicReader(connection, topic, 500);
  const facts = await reader.describe();
  const options = { reader, breaker: new CircuitBreaker(), signal: new AbortController().signal, maxBytes: 1 << 20, onOutOfRange: () => 0, onPartitions: () => undefined, onError: (error: unknown) => console.error(error) };
  const fetching = new FetchLoop({ ...options, onFetched: ({ messages }) => count(messages.length) }, facts);
  fetching.assign(new Map(facts.leaders.map((_, partition) => [partition, 0])));
  await fetching.run();
}

function groupMember(): void {
  const parts = { connection, topic, group, breaker: new CircuitBreaker(), log, maxEventBytes };
  const counting = { ...metrics, messages: { inc: count } as unknown as typeof metrics.messages };
  new GroupMember({ ...parts, metrics: counting, deadLetters: { park: () => Promise.reject(new Error("no event")) } }).start();
}

function fanOut(): void {
  const nothing = { read: async () => ({ events: [], next: 0 }), bounds: async () => ({ starts: [], ends: [] }), since: async () => ({ epoch: "", next: [] }) };
  const hub = new Hub({ historyEvents: 10_000, historyBytes: 32 << 20, clientBufferBytes: 1 << 20, replayEvents: 1, topic: nothing, metrics, onError: (error) => console.error(error) });
  const publish = hub.publish.bind(hub);
  hub.publish = (partition, events, next) => {
    publish(partition, events, next);
    count(events.length);
  };
  new Fanout({ connection, topic, hub, breaker: new CircuitBreaker(), metrics, log, historyEvents: Number.MAX_SAFE_INTEGER, maxEventBytes }).start();
}

if (mode === "library") await library(false);
else if (mode === "library checked") await library(true);
else if (mode === "loop") await loop();
else if (mode === "group") groupMember();
else if (mode === "fan-out") fanOut();
else throw new Error(`no mode "${mode}"`);
