/** The real program in processes of its own, as its image runs it, and a producer of events for it. */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { compatibilityPartitioner, Producer, stringSerializers, type MessageToProduce } from "@platformatic/kafka";
import { freePort, type TestBroker } from "../../support/kafka.ts";
import { sampleEvent } from "./support.ts";

const server = fileURLToPath(new URL("../../../services/crm-events/server.ts", import.meta.url));

export class EventsProcess {
  readonly port: number;
  readonly child: ChildProcess;
  /** Lines of its log. */
  readonly lines: Record<string, unknown>[] = [];
  readonly exited: Promise<number | null>;
  #rest = "";
  #errors = "";

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.child = child;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => this.#onText(text));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    process.on("exit", this.#kill);
    void this.exited.then(() => process.off("exit", this.#kill));
  }

  /** Starts one and waits until it listens. @param port default: any free one. @throws Error with what it wrote when it does not */
  static async start(broker: TestBroker | string, env: Record<string, string> = {}, port?: number): Promise<EventsProcess> {
    port ??= await freePort();
    const brokers = typeof broker === "string" ? broker : broker.address;
    const child = spawn(process.execPath, [server], {
      env: { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: `${port}`, KAFKA_BROKERS: brokers, CONNECTS_PER_MINUTE: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const started = new EventsProcess(port, child);
    await until(() => started.said("listening") || child.exitCode !== null, 20_000, () => started.#errors);
    if (child.exitCode !== null) throw new Error(`crm-events ended: ${started.#errors}`);
    return started;
  }

  said(message: string): boolean {
    return this.lines.some((line) => line["message"] === message);
  }

  /** Value of a metric, summed over its labels; 0 when it is not there. @param labels text that the series must contain */
  async metric(name: string, labels = ""): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
    return text
      .split("\n")
      .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** SIGTERM. @returns its exit code */
  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    return this.exited;
  }

  readonly #kill = () => void this.child.kill("SIGKILL");

  #onText(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    this.lines.push(...lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Record<string, unknown>));
  }
}

/**
 * Waits for a condition; one that throws does not hold yet, as when a broker or a replica is asked that is just coming back.
 * @throws Error after `ms`, with `detail` and what the condition threw last
 */
export async function until(condition: () => boolean | Promise<boolean>, ms = 30_000, detail: () => unknown = () => ""): Promise<void> {
  let last: unknown;
  const holds = async () => {
    try {
      return await condition();
    } catch (error) {
      last = error;
      return false;
    }
  };
  for (const end = Date.now() + ms; !(await holds()); await sleep(50)) {
    if (Date.now() > end) throw new Error(`waited in vain for ${condition}: ${detail()}`, { cause: last });
  }
}

type Message = MessageToProduce<string, string, string, string>;

/** Writes events as crm-api's outbox does: idempotent, acknowledged by all, keyed by aggregate. */
export class TestProducer {
  readonly topic: string;
  readonly #connection;
  #producer: Producer<string, string, string, string> | undefined;

  constructor(broker: TestBroker, topic = "aetherlink.events") {
    this.topic = topic;
    this.#connection = { clientId: "test-producer", bootstrapBrokers: [broker.address], retries: 0, requestTimeout: 5_000 };
  }

  /** One event of a key, with its place in the key's sequence. */
  event(key: string, sequence: number): Message {
    return { topic: this.topic, key: `invoice:${key}`, value: JSON.stringify(sampleEvent(key, sequence)), headers: { "event-id": `${key}-${sequence}`, "event-type": "invoice.paid" } };
  }

  /** A message that is no event, with a name of its own. */
  poison(name: string): Message {
    return { topic: this.topic, key: `invoice:${name}`, value: `poison ${name}`, headers: { "event-id": name } };
  }

  /** Sends until acknowledged, as an outbox does. */
  async sendUntilAcknowledged(messages: Message[]): Promise<void> {
    for (;;) {
      try {
        return await this.send(messages);
      } catch {
        await sleep(250);
      }
    }
  }

  /** @throws the library's error; whether the broker has the messages is then unknown */
  async send(messages: Message[]): Promise<void> {
    const producer = (this.#producer ??= new Producer({ ...this.#connection, idempotent: true, serializers: stringSerializers, partitioner: compatibilityPartitioner }));
    try {
      await producer.send({ messages });
    } catch (error) {
      this.#producer = undefined;
      void Promise.resolve(producer.close()).catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#producer?.close();
  }
}
