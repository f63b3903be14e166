/** Kafka's own tools, run in the broker's container, for drills on the event pipeline. */
import { container, dockerInput } from "./drill.ts";
import { docker } from "./stack.ts";

const topic = "aetherlink.events";

/** A tool's virtual machine must fit beside the broker's in the container's memory. */
const small = ["--env", "KAFKA_HEAP_OPTS=-Xmx128m"];
const tool = (name: string) => `/opt/kafka/bin/kafka-${name}.sh`;
const server = ["--bootstrap-server", "localhost:9092"];

/**
 * Lets the group's coordinator refuse or take commits. Members stay members: heartbeats write nothing. Nobody may join or
 * leave while commits are refused, because that would have to be written too.
 */
export async function takeCommits(take: boolean): Promise<void> {
  // Kafka's own default, or less than any commit needs.
  const bytes = take ? 1_048_588 : 10;
  await docker("exec", ...small, container("kafka"), tool("configs"), ...server, "--alter", "--entity-type", "topics", "--entity-name", "__consumer_offsets", "--add-config", `max.message.bytes=${bytes}`);
}

/** An event as crm-api would send it, on one line. */
export const eventLine = (n: number, id = `drill-${n}`): string =>
  JSON.stringify({ id: `drill-${n}`, type: "drill.flood", ts: new Date().toISOString(), org_id: "acme", aggregate: { type: "drill", id }, version: 1, data: {} });

/**
 * Sends lines by the console producer.
 * @param key of all of them; absent: none
 */
export async function produce(lines: readonly string[], key?: string): Promise<void> {
  const keyed = key === undefined ? [] : ["--property", "parse.key=true", "--property", "key.separator=|"];
  const text = lines.map((line) => `${key === undefined ? "" : `${key}|`}${line}\n`).join("");
  await dockerInput(text, "exec", "--interactive", ...small, container("kafka"), tool("console-producer"), ...server, "--topic", topic, ...keyed);
}

/** Sends that many events as fast as the broker takes them, evenly over the partitions. */
export async function flood(events: number): Promise<void> {
  const samples = Array.from({ length: 200 }, (_, n) => eventLine(n)).join("\n");
  await dockerInput(samples, "exec", "--interactive", container("kafka"), "sh", "-c", "cat > /tmp/drill-events.txt");
  const options = ["--topic", topic, "--num-records", String(events), "--payload-file", "/tmp/drill-events.txt", "--throughput", "-1", "--producer-props", "bootstrap.servers=localhost:9092", "compression.type=lz4"];
  await docker("exec", ...small, container("kafka"), tool("producer-perf-test"), ...options);
  await docker("exec", container("kafka"), "rm", "/tmp/drill-events.txt");
}
