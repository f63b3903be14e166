/**
 * What it costs to consume a message: crm-events beside the client library's own stream, on the same broker in one run.
 *
 *   KAFKA_JARS=/folder/of/jars npm exec -- node bench/kafka-consume.ts [rounds] [messages]      default: 5 rounds of 500000
 *
 * Needs a Kafka as the tests do: a folder of jars, or an image that the Docker engine has. The consumer has one core, the
 * broker the other; the order of the consumers changes from round to round.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Admin } from "@platformatic/kafka";
import { TestProducer } from "../test/services/crm-events/processes.ts";
import { kafkaMissing, startKafka } from "../test/support/kafka.ts";
import { root } from "../tools/service-sources.ts";
import { canPin, describeMachine, median, ofRounds, pinSelf, spread } from "./support/machine.ts";

const topic = "bench.events";
const modes = ["library", "loop", "library checked", "group", "fan-out"] as const;
type Mode = (typeof modes)[number];
interface Result {
  readonly perCpuSecond: number;
  readonly perSecond: number;
}

const what: Record<Mode, string> = {
  library: "the library's own stream, commits once a second",
  loop: "crm-events' fetching alone",
  "library checked": "the library's own stream, each message checked",
  group: "crm-events' group member: checks, then commits",
  "fan-out": "crm-events' fan-out: checks, keeps history, no clients",
};

const [rounds = 5, messages = 500_000] = process.argv.slice(2).map(Number);
if (kafkaMissing !== undefined) throw new Error(kafkaMissing);
pinSelf(1);
const broker = await startKafka();

function run(mode: Mode): Result {
  const consume = fileURLToPath(new URL("support/consume.ts", import.meta.url));
  const command = [process.execPath, "--no-warnings", consume, mode, broker.address, topic, `${messages}`];
  const [program, ...args] = canPin ? ["taskset", "-c", "0", ...command] : command;
  const { cpuSeconds, seconds } = JSON.parse(execFileSync(program!, args, { encoding: "utf8", timeout: 600_000 })) as { cpuSeconds: number; seconds: number };
  return { perCpuSecond: messages / cpuSeconds, perSecond: messages / seconds };
}

const results = new Map<Mode, Result[]>(modes.map((mode) => [mode, []]));
try {
  const admin = new Admin({ clientId: "bench-admin", bootstrapBrokers: [broker.address] });
  await admin.createTopics({ topics: [topic], partitions: 6, replicas: 1 });
  await admin.close();
  const producer = new TestProducer(broker, topic);
  for (let sent = 0; sent < messages; sent += 5_000) {
    await producer.send(Array.from({ length: 5_000 }, (_, i) => producer.event(`k${(sent + i) % 1_000}`, sent + i)));
  }
  await producer.close();
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < modes.length; i++) {
      const mode = modes[(i + round) % modes.length]!;
      const result = run(mode);
      results.get(mode)!.push(result);
      console.log(`round ${round + 1}, ${mode}: ${Math.round(result.perCpuSecond)} messages per CPU second, ${Math.round(result.perSecond)} per second`);
    }
  }
} finally {
  await broker.stop();
}

const thousands = (value: number) => Math.round(value).toLocaleString("en-US");
const rows = modes.map((mode) => {
  const all = results.get(mode)!;
  return `| ${what[mode]} | ${spread(all.map((r) => r.perCpuSecond), thousands)} | ${spread(all.map((r) => r.perSecond), thousands)} |`;
});
const ratio = (a: Mode, b: Mode) => median(results.get(a)!.map((r) => r.perCpuSecond)) / median(results.get(b)!.map((r) => r.perCpuSecond));
const judge = (goal: string, value: number) => `- ${value >= 1 ? "met" : "missed"}: ${goal} (${value.toFixed(2)})`;
const text = [
  "# Consuming from Kafka",
  "",
  `\`npm exec -- node bench/kafka-consume.ts ${process.argv.slice(2).join(" ")}\``.replace(/ `$/, "`"),
  "",
  `${describeMachine()}. ${thousands(messages)} events of about 200 bytes in 6 partitions, read from the start by one consumer. ${ofRounds(rounds)}.`,
  "",
  "| consumer | messages per CPU second | messages per second |",
  "| --- | --- | --- |",
  ...rows,
  "",
  "## Goals",
  "",
  judge("fetching alone is at least as cheap as the library's own stream", ratio("loop", "library")),
  judge("checking and committing is at least as cheap as the library's own stream with the same check", ratio("group", "library checked")),
  "",
].join("\n");
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/kafka-consume.md"), text);
console.log(`\n${text}`);
process.exit(0);
