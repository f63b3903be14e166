/**
 * The outbox relay beside the client library that it uses: the same messages, broker, batch and run. The relay also reads
 * its events from the store and marks them there, durably; the difference is what that costs.
 *
 *   KAFKA_JARS=/path/to/jars npm exec -- node bench/outbox.ts [rounds] [messages]     or with a Kafka image in the Docker engine
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startKafka } from "../test/support/kafka.ts";
import { root } from "../tools/service-sources.ts";
import { describeMachine, firstLine, median, ofRounds, pinSelf, spawnOn, spread } from "./support/machine.ts";

const rounds = Number(process.argv[2] ?? 5);
const messages = Number(process.argv[3] ?? 20_000);
const brokerCore = 0;
const clientCore = 1;
const batches = [1, 10, 100, 500];

interface Result {
  readonly messages: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** The broker and its children stay on this process's core. */
pinSelf(brokerCore);
const broker = await startKafka();
const side = new URL("support/outbox-side.ts", import.meta.url).pathname;
let topics = 0;

/** Single messages are slow: fewer of them say the same. */
const countFor = (batch: number) => Math.min(messages, batch * 400);

async function run(name: "relay" | "library", batch: number): Promise<Result> {
  const child = spawnOn(clientCore, process.execPath, [side, name, broker.address, `bench-${topics++}`, String(countFor(batch)), String(batch)]);
  return firstLine<Result>(child);
}

const rows: string[] = [];
for (const batch of batches) {
  const results: Record<"relay" | "library", Result[]> = { relay: [], library: [] };
  for (let round = 0; round < rounds; round++) {
    // In turn, the other one first in each second round.
    for (const name of round % 2 === 0 ? (["relay", "library"] as const) : (["library", "relay"] as const)) results[name].push(await run(name, batch));
  }
  const perCpu = (r: Result) => r.messages / r.cpuSeconds;
  const perSecond = (r: Result) => r.messages / r.seconds;
  const whole = (v: number) => Math.round(v).toLocaleString("en-US");
  const ratio = median(results.relay.map(perCpu)) / median(results.library.map(perCpu));
  rows.push(`| ${batch} | ${spread(results.relay.map(perCpu), whole)} | ${spread(results.library.map(perCpu), whole)} | ${ratio.toFixed(2)} | ${spread(results.relay.map(perSecond), whole)} | ${spread(results.library.map(perSecond), whole)} |`);
  console.log(rows.at(-1));
}
await broker.stop();

const text = [
  "# Outbox relay",
  "",
  `\`npm exec -- node bench/outbox.ts ${process.argv.slice(2).join(" ")}`.trimEnd() + "`",
  "",
  `${describeMachine()}. Broker and client on a core of their own. Up to ${messages.toLocaleString("en-US")} messages of about 400 bytes to 6 partitions, acknowledged by all replicas, idempotent, one batch at a time. ${ofRounds(rounds)}. The library sends from memory; the relay reads from the embedded store, sends, and marks with a commit to the disk.`,
  "",
  "| batch | relay, messages per CPU second | library | ratio | relay, messages per second | library |",
  "| --- | --- | --- | --- | --- | --- |",
  ...rows,
  "",
].join("\n");
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/outbox.md"), text);
console.log(`\n${text}`);
process.exit(0);
