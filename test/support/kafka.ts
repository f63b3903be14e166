/**
 * Private Kafka brokers for tests: one KRaft node, or two, on free ports of 127.0.0.1 with data folders of their own, from
 * - a folder of Kafka 4 jars (`KAFKA_JARS`) and the Java on the PATH, or
 * - a Kafka image that the local Docker engine already has; nothing is pulled.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Admin } from "@platformatic/kafka";

/** A running broker that a test may maltreat. */
export interface TestBroker {
  /** `host:port` for clients. */
  readonly address: string;
  /** `host:port` of the second listener, when one was asked for. */
  readonly secureAddress: string | undefined;
  /** Stops every thread of the broker (SIGSTOP); connections stay open and nothing answers. */
  pause(): void;
  /** Ends a pause. */
  resume(): void;
  /** Ends the broker at once, without any clean-up (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; returns when it answers. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Broker settings beside the usual ones, such as `{"log.retention.ms": "1000"}`. */
export type BrokerSettings = Readonly<Record<string, string>>;

/** A second listener, named SECURE; its settings are prefixed by `listener.name.secure.`. */
export interface SecureListener {
  readonly protocol: "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  readonly settings: BrokerSettings;
}

type Source = { readonly kind: "jars"; readonly folder: string } | { readonly kind: "image"; readonly reference: string };

const clusterId = "dGVzdC1jbHVzdGVyLWlkLQ";

function findSource(): Source | string {
  const folder = process.env["KAFKA_JARS"];
  if (folder !== undefined && folder !== "") {
    if (!existsSync(folder) || !readdirSync(folder).some((f) => /^kafka_2\.\d+-4\..*\.jar$/.test(f))) return `KAFKA_JARS=${folder} has no kafka_2.13-4.x jar`;
    return hasProgram("java", "-version") ? { kind: "jars", folder } : "there is no java on the PATH to run KAFKA_JARS with";
  }
  const reference = localImage();
  return reference === undefined ? "no Kafka: set KAFKA_JARS to a folder of Kafka 4 jars, or let the Docker engine have an apache/kafka:4.x image" : { kind: "image", reference };
}

function hasProgram(program: string, argument: string): boolean {
  try {
    execFileSync(program, [argument], { stdio: "ignore", timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

function localImage(): string | undefined {
  try {
    const images = execFileSync("docker", ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
    return images.split("\n").find((image) => /(^|\/)apache\/kafka:v?4\./.test(image));
  } catch {
    return undefined;
  }
}

const source = findSource();

/** Why no broker can be started here, or undefined; for `describe.skipIf(kafkaMissing)`. Printed once, so that a skip is never silent. */
export const kafkaMissing: string | undefined = typeof source === "string" ? source : undefined;
if (kafkaMissing !== undefined) console.warn(`skipping tests against a real Kafka: ${kafkaMissing}`);

/** @returns a TCP port of 127.0.0.1 that nothing uses now, never below 20000 */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    if (typeof address === "object" && address !== null && address.port >= 20_000) return address.port;
  }
}

/**
 * Starts a broker without topics; topics are never made by themselves.
 * @param secure a listener with TLS or SASL beside the plain one
 * @param beforeStart called with the broker's address before it starts, to lay what is in front of it
 * @throws Error with the reason of `kafkaMissing`, or with the end of the broker's log when it does not come up
 */
export async function startKafka(settings: BrokerSettings = {}, secure?: SecureListener, beforeStart?: (address: string) => Promise<void>): Promise<TestBroker> {
  const [port, controllerPort, securePort] = [await freePort(), await freePort(), await freePort()];
  const plain = brokerSettings(port, controllerPort, settings);
  const broker = prepare(port, secure === undefined ? plain : withListener(plain, securePort, secure));
  await beforeStart?.(broker.address);
  await broker.start();
  return { ...broker, secureAddress: secure === undefined ? undefined : `127.0.0.1:${securePort}` };
}

/**
 * Starts two brokers of one cluster, numbered 1 and 2. The first is its controller too: only the second may be maltreated.
 * @throws as `startKafka` does
 */
export async function startTwoBrokers(settings: BrokerSettings = {}): Promise<readonly [TestBroker, TestBroker]> {
  const [port, secondPort, controllerPort] = [await freePort(), await freePort(), await freePort()];
  const alone = { "process.roles": "broker", "node.id": "2", listeners: `PLAINTEXT://127.0.0.1:${secondPort}` };
  const brokers = [prepare(port, brokerSettings(port, controllerPort, settings)), prepare(secondPort, { ...brokerSettings(secondPort, controllerPort, settings), ...alone })] as const;
  for (const broker of brokers) await broker.start();
  return brokers;
}

/** A broker with its data folder, not started yet. */
function prepare(port: number, config: Record<string, string>): TestBroker {
  if (typeof source === "string") throw new Error(source);
  return source.kind === "jars" ? jarBroker(source.folder, port, config) : imageBroker(source.reference, port, config);
}

function withListener(config: Record<string, string>, port: number, { protocol, settings }: SecureListener): Record<string, string> {
  const own = Object.entries(settings).map(([key, value]) => [`listener.name.secure.${key}`, value]);
  return {
    ...config,
    listeners: `${config["listeners"]},SECURE://127.0.0.1:${port}`,
    "advertised.listeners": `${config["advertised.listeners"]},SECURE://127.0.0.1:${port}`,
    "listener.security.protocol.map": `${config["listener.security.protocol.map"]},SECURE:${protocol}`,
    ...Object.fromEntries(own),
  };
}

function brokerSettings(port: number, controllerPort: number, extra: BrokerSettings): Record<string, string> {
  return {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    "controller.listener.names": "CONTROLLER",
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.segment.delete.delay.ms": "100",
    // A broker that was killed is let in again as soon as its old session is over.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    ...extra,
  };
}

/** Waits until the broker answers a metadata request. */
async function waitUntilUp(address: string, alive: () => boolean, log: () => string): Promise<void> {
  const admin = new Admin({ clientId: "test-wait", bootstrapBrokers: [address], retries: 0, connectTimeout: 1_000, requestTimeout: 2_000 });
  try {
    for (const end = Date.now() + 90_000; Date.now() < end; await sleep(200)) {
      if (!alive()) throw new Error(`the broker ended:\n${log()}`);
      try {
        return void (await admin.listTopics());
      } catch {
        // Not yet.
      }
    }
    throw new Error(`the broker does not answer:\n${log()}`);
  } finally {
    void Promise.resolve(admin.close()).catch(() => undefined);
  }
}

function jarBroker(jars: string, port: number, config: Record<string, string>): TestBroker {
  const folder = mkdtempSync(join(tmpdir(), "test-kafka-"));
  const file = join(folder, "server.properties");
  const logFile = join(folder, "broker.log");
  writeFileSync(file, Object.entries({ ...config, "log.dirs": join(folder, "data") }).map(([k, v]) => `${k}=${v}\n`).join(""));
  const java = ["-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", join(jars, "*")];
  execFileSync("java", [...java, "kafka.tools.StorageTool", "format", "--cluster-id", clusterId, "--config", file], { stdio: "ignore", timeout: 90_000 });

  let child: ChildProcess | undefined;
  const running = (): ChildProcess => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) throw new Error("the broker is not running");
    return child;
  };
  const end = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    running().once("exit", () => resolve()).kill("SIGKILL");
    await promise;
  };
  const killOnExit = () => child?.kill("SIGKILL");
  process.on("exit", killOnExit);
  return {
    address: `127.0.0.1:${port}`,
    secureAddress: undefined,
    pause: () => void running().kill("SIGSTOP"),
    resume: () => void running().kill("SIGCONT"),
    kill: end,
    start: async () => {
      const log = openSync(logFile, "a");
      const started = (child = spawn("java", [...java, "kafka.Kafka", file], { stdio: ["ignore", log, log] }));
      await waitUntilUp(`127.0.0.1:${port}`, () => started.exitCode === null, () => readFileSync(logFile, "utf8").slice(-3_000));
    },
    stop: async () => {
      process.off("exit", killOnExit);
      if (child !== undefined && child.exitCode === null && child.signalCode === null) await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `num.partitions` as the image's `KAFKA_NUM_PARTITIONS`. */
const asVariable = (key: string) => `KAFKA_${key.toUpperCase().replaceAll(".", "_")}`;

function imageBroker(image: string, port: number, config: Record<string, string>): TestBroker {
  const name = `test-kafka-${process.pid}-${port}`;
  const docker = (...args: string[]): string => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  const env = Object.entries({ ...config, "log.dirs": "/tmp/kafka-data" }).flatMap(([key, value]) => ["-e", `${asVariable(key)}=${value}`]);
  // The broker advertises the port that clients use, hence the host's own network.
  docker("create", "--name", name, "--network", "host", "--memory", "1g", "-e", `CLUSTER_ID=${clusterId}`, "-e", "KAFKA_HEAP_OPTS=-Xms96m -Xmx384m", ...env, image);
  const remove = () => void docker("rm", "--force", "--volumes", name);
  process.on("exit", remove);
  return {
    address: `127.0.0.1:${port}`,
    secureAddress: undefined,
    pause: () => void docker("pause", name),
    resume: () => void docker("unpause", name),
    kill: async () => void docker("kill", name),
    start: async () => {
      docker("start", name);
      await waitUntilUp(`127.0.0.1:${port}`, () => docker("inspect", "--format", "{{.State.Running}}", name).trim() === "true", () => docker("logs", "--tail", "40", name));
    },
    stop: async () => {
      process.off("exit", remove);
      remove();
    },
  };
}
