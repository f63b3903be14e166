/**
 * What it costs to give one event to many streams: crm-events beside the least that a Node server can do, and beside
 * Mercure, in one run.
 *
 *   MERCURE_BIN=/path/to/mercure npm exec -- node bench/sse-fanout.ts [rounds] [streams ...]      default: 3 rounds at 1000 and 10000
 *
 * Servers have one core, the clients and the publisher the other; the order of the servers changes from round to round.
 * Over loopback, plain HTTP/1.1, events of 200 bytes, each published by a request of its own, one after the other: first as
 * fast as the server takes them, then so slowly that each is delivered before the next one comes. crm-events gives what
 * comes while it writes, or rests from that, in one write per stream; the second part shows the cost without that.
 */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { root } from "../tools/service-sources.ts";
import { cpuSeconds, describeMachine, firstLine, median, ofRounds, ownMemory, pinSelf, quantile, spawnOn, spread, stop } from "./support/machine.ts";
import { mercureMissing, startMercure } from "./support/mercure.ts";
import { eventData, StreamLoad } from "../test/support/sse-load.ts";

const serverCore = 0;
const loadCore = 1;
const eventBytes = 200;
/**
 * The throughput part makes so many deliveries, and more until the server has used so many CPU seconds, which are counted in
 * steps of 10 ms; but no more than the most.
 */
const wantedDeliveries = 1_000_000;
const wantedCpuSeconds = 1.5;
const mostDeliveries = 30_000_000;
/** Deliveries per second of the paced part. */
const pacedPerSecond = 20_000;
const pacedSeconds = 10;

interface Target {
  readonly child: ChildProcess;
  readonly stream: number;
  readonly path: string;
  publish(data: string): Promise<void>;
}

interface Result {
  readonly perCpuSecond: number;
  /** In the paced part. */
  readonly pacedPerCpuSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Bytes per stream: open and silent, and after all the deliveries. */
  readonly idleBytes: number;
  readonly usedBytes: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function post(port: number, path: string, headers: Record<string, string>, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", method: "POST", path, agent, headers: { ...headers, "Content-Length": Buffer.byteLength(body) } }, (response) => {
      response.resume().once("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(`publishing failed with status ${response.statusCode}`))));
    });
    sent.once("error", reject).end(body);
  });
}

async function nodeServer(file: string, ...args: string[]): Promise<Target> {
  const child = spawnOn(serverCore, process.execPath, ["--no-warnings", fileURLToPath(new URL(`support/${file}`, import.meta.url)), ...args]);
  const { stream, publish } = await firstLine<{ stream: number; publish: number }>(child);
  return { child, stream, path: "/crm-events", publish: (data) => post(publish, "/", {}, data) };
}

let mercureVersion = "";

async function mercure(): Promise<Target> {
  const server = await startMercure(serverCore);
  mercureVersion = server.version;
  return { child: server.child, stream: server.port, path: server.path, publish: (data) => post(server.port, "/.well-known/mercure", server.headers, server.body(data)) };
}

const servers: Record<string, () => Promise<Target>> = {
  "crm-events": () => nodeServer("events-server.ts"),
  "bare Node, TCP": () => nodeServer("bare-server.ts", "tcp"),
  "bare Node, HTTP": () => nodeServer("bare-server.ts", "http"),
  ...(mercureMissing === undefined && { Mercure: mercure }),
};

async function measure(start: () => Promise<Target>, streams: number): Promise<Result> {
  const target = await start();
  const load = new StreamLoad();
  const pid = target.child.pid!;
  try {
    await target.publish(eventData(eventBytes));
    await sleep(500);
    const empty = ownMemory(pid);
    await load.open(target.stream, streams, `GET ${target.path} HTTP/1.1\r\nHost: 127.0.0.1:${target.stream}\r\nAccept: text/event-stream\r\n\r\n`);
    await sleep(3_000);
    const idle = ownMemory(pid);

    const perCpuSecond = await throughput(target, load, streams);
    await sleep(1_000);
    load.latencies = [];
    const pacedPerCpuSecond = await paced(target, load, streams);
    const sorted = Float64Array.from(load.latencies).sort();
    const used = ownMemory(pid);
    if (load.closed > 0) throw new Error(`${load.closed} streams were closed`);
    return { perCpuSecond, pacedPerCpuSecond, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), idleBytes: (idle - empty) / streams, usedBytes: (used - empty) / streams };
  } finally {
    load.close();
    await stop(target.child);
    await sleep(500);
  }
}

/** Publishes as fast as the server takes it. @returns deliveries per CPU second */
async function throughput(target: Target, load: StreamLoad, streams: number): Promise<number> {
  const pid = target.child.pid!;
  const before = cpuSeconds(pid);
  load.deliveries = 0;
  let wanted = 0;
  while (wanted < wantedDeliveries || (wanted < mostDeliveries && cpuSeconds(pid) - before < wantedCpuSeconds)) {
    await target.publish(eventData(eventBytes));
    wanted += streams;
  }
  await delivered(load, wanted);
  return wanted / (cpuSeconds(pid) - before);
}

/** Publishes at a steady pace. @returns deliveries per CPU second */
async function paced(target: Target, load: StreamLoad, streams: number): Promise<number> {
  const pid = target.child.pid!;
  const gap = (streams / pacedPerSecond) * 1_000;
  const events = Math.round((pacedSeconds * 1_000) / gap);
  const before = cpuSeconds(pid);
  load.deliveries = 0;
  for (let i = 0, next = performance.now(); i < events; i++, next += gap) {
    await sleep(Math.max(0, next - performance.now()));
    await target.publish(eventData(eventBytes));
  }
  await delivered(load, events * streams);
  return (events * streams) / (cpuSeconds(pid) - before);
}

/** Waits until every stream has every event. @throws Error when some never come */
async function delivered(load: StreamLoad, wanted: number): Promise<void> {
  for (let quiet = 0, last = -1; load.deliveries < wanted; ) {
    await sleep(10);
    quiet = load.deliveries === last ? quiet + 1 : 0;
    last = load.deliveries;
    if (quiet > 1_000) throw new Error(`only ${last} of ${wanted} deliveries came`);
  }
}

type Results = Map<string, Result[]>;

async function measureAll(streams: number, rounds: number): Promise<Results> {
  const results: Results = new Map(Object.keys(servers).map((name) => [name, []]));
  const names = Object.keys(servers);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length]!;
      const result = await measure(servers[name]!, streams);
      results.get(name)!.push(result);
      console.log(`${streams} streams, round ${round + 1}, ${name}: ${Math.round(result.perCpuSecond)} deliveries per CPU second, ${Math.round(result.pacedPerCpuSecond)} paced, p99 ${(result.p99 / 1e3).toFixed(1)} ms, ${(result.usedBytes / 1e3).toFixed(1)} kB per stream`);
    }
  }
  return results;
}

const thousands = (value: number) => Math.round(value).toLocaleString("en-US");
const ms = (value: number) => `${(value / 1_000).toFixed(1)} ms`;
const kB = (value: number) => `${(value / 1_000).toFixed(1)} kB`;

function table(results: Results): string {
  const rows = [...results].map(([name, all]) => {
    const cell = (pick: (result: Result) => number, show: (value: number) => string) => spread(all.map(pick), show);
    return `| ${name} | ${cell((r) => r.perCpuSecond, thousands)} | ${cell((r) => r.pacedPerCpuSecond, thousands)} | ${cell((r) => r.p50, ms)} | ${cell((r) => r.p99, ms)} | ${cell((r) => r.idleBytes, kB)} | ${cell((r) => r.usedBytes, kB)} |`;
  });
  return ["| server | deliveries per CPU second | paced: deliveries per CPU second | p50 | p99 | memory per stream, silent | after the deliveries |", "| --- | --- | --- | --- | --- | --- | --- |", ...rows].join("\n");
}

/** One line per goal, with what was measured. */
function goals(all: ReadonlyMap<number, Results>): string[] {
  const lines: string[] = [];
  const of = (streams: number, name: string, pick: (result: Result) => number) => median((all.get(streams)?.get(name) ?? []).map(pick));
  const judge = (goal: string, ratio: number, met: boolean) => lines.push(`- ${Number.isNaN(ratio) ? "not measured" : met ? "met" : "missed"}: ${goal}${Number.isNaN(ratio) ? "" : ` (${ratio.toFixed(2)})`}`);
  for (const streams of all.keys()) {
    const cpu = (r: Result) => r.perCpuSecond;
    const ofMercure = of(streams, "crm-events", cpu) / of(streams, "Mercure", cpu);
    judge(`${thousands(streams)} streams: at least 1.5 times Mercure's deliveries per CPU second`, ofMercure, ofMercure >= 1.5);
    for (const bare of ["bare Node, TCP", "bare Node, HTTP"]) {
      const ofBare = of(streams, "crm-events", cpu) / of(streams, bare, cpu);
      judge(`${thousands(streams)} streams: at least 0.95 of the deliveries of ${bare}`, ofBare, ofBare >= 0.95);
    }
    const ofPaced = (name: string) => of(streams, "crm-events", (r) => r.pacedPerCpuSecond) / of(streams, name, (r) => r.pacedPerCpuSecond);
    for (const name of ["Mercure", "bare Node, TCP", "bare Node, HTTP"]) {
      const ratio = ofPaced(name);
      lines.push(`- without a goal: ${thousands(streams)} streams, paced: ${Number.isNaN(ratio) ? `not measured beside ${name}` : `${ratio.toFixed(2)} of the deliveries per CPU second of ${name}`}`);
    }
    const p99 = of(streams, "crm-events", (r) => r.p99) / of(streams, "Mercure", (r) => r.p99);
    judge(`${thousands(streams)} streams: p99 below Mercure's at the same load`, p99, p99 < 1);
    const share = streams >= 10_000 ? 0.5 : 1;
    const memory = of(streams, "crm-events", (r) => r.usedBytes) / of(streams, "Mercure", (r) => r.usedBytes);
    judge(`${thousands(streams)} streams: memory per stream below ${share === 1 ? "" : "half of "}Mercure's`, memory, memory < share);
  }
  return lines;
}

pinSelf(loadCore);
const [rounds = 3, ...sizes] = process.argv.slice(2).map(Number);
const all = new Map<number, Results>();
for (const streams of sizes.length > 0 ? sizes : [1_000, 10_000]) all.set(streams, await measureAll(streams, rounds));
const text = [
  "# Fan-out of events to streams",
  "",
  `\`MERCURE_BIN=/path/to/mercure npm exec -- node bench/sse-fanout.ts ${process.argv.slice(2).join(" ")}\``.replace(/ `$/, "`"),
  "",
  `${describeMachine()}. ${mercureMissing ?? `Mercure ${mercureVersion}`}. ${ofRounds(rounds)}. Deliveries per CPU second are first those at full load, where crm-events gives what comes while it writes and rests in one write per stream; then those of the paced part, ${thousands(pacedPerSecond)} deliveries per second, where each event has its own. Latency is from the publisher's request to the client's read, in the paced part. Memory is what the process itself holds (RssAnon) beyond what it held without streams, divided by the streams; sockets' buffers in the kernel are the same for all.`,
  ...[...all].flatMap(([streams, results]) => ["", `## ${thousands(streams)} streams`, "", table(results)]),
  "",
  "## Goals",
  "",
  ...goals(all),
  "",
].join("\n");
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/sse-fanout.md"), text);
console.log(`\n${text}`);
process.exit(0);
