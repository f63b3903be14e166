/**
 * Connections to Kafka: the options that every client shares, an idempotent producer, clients that go on while some
 * partitions have no leader, and a topic that must exist.
 */
import { isIP } from "node:net";
import { Admin, compatibilityPartitioner, Consumer, findErrorBy, kGetApi, Producer, ResponseError, stringSerializers, type API, type BaseOptions, type Callback, type metadataV12 } from "@platformatic/kafka";
import type { z } from "zod";
import { readFileOf, readSecret, type kafkaEnv } from "./env.ts";

/** The variables of `kafkaEnv`, read. */
export type KafkaEnv = Readonly<z.infer<z.ZodObject<typeof kafkaEnv>>>;

/** What every client of the library takes; spread it and add what the client needs. */
export type KafkaConnection = Pick<
  BaseOptions,
  "clientId" | "bootstrapBrokers" | "tls" | "tlsServerName" | "sasl" | "connectTimeout" | "requestTimeout" | "timeout" | "retries" | "retryDelay"
>;

/** A topic exists, but not with the partition count that the configuration asks for. */
export class WrongPartitionCount extends Error {
  override readonly name = "WrongPartitionCount";
}

const brokerHosts = (env: KafkaEnv): string[] => env.KAFKA_BROKERS.map((b) => b.replace(/:\d+$/, ""));

function tlsOptions(env: KafkaEnv): Pick<KafkaConnection, "tls" | "tlsServerName"> {
  if (!env.KAFKA_TLS) {
    if (env.KAFKA_TLS_CA_FILE !== undefined) throw new Error("KAFKA_TLS_CA_FILE is set but KAFKA_TLS is not true: set KAFKA_TLS=true or remove the file");
    return {};
  }
  const ca = env.KAFKA_TLS_CA_FILE === undefined ? {} : { ca: readFileOf("KAFKA_TLS_CA_FILE", env.KAFKA_TLS_CA_FILE) };
  // A server name may not be an address; Node then checks the certificate against the address itself.
  return { tls: ca, tlsServerName: !brokerHosts(env).some((host) => isIP(host.replace(/^\[|\]$/g, "")) !== 0) };
}

function saslOptions(env: KafkaEnv): Pick<KafkaConnection, "sasl"> {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD_FILE: file } = env;
  if (mechanism === undefined) {
    if (username !== undefined || file !== undefined) throw new Error("KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD_FILE is set without KAFKA_SASL_MECHANISM: set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
    return {};
  }
  if (username === undefined) throw new Error("KAFKA_SASL_USERNAME: required with KAFKA_SASL_MECHANISM");
  if (file === undefined) throw new Error("KAFKA_SASL_PASSWORD_FILE: required with KAFKA_SASL_MECHANISM");
  // Read at each connection, so that a swapped password needs no restart.
  return { sasl: { mechanism, username, password: () => readSecret(file) } };
}

/**
 * Connection options of one client.
 * @param env the service's environment, read with `kafkaEnv`
 * @param clientId name that the broker logs, without spaces
 * @returns options with short time-outs and few retries: callers repeat by themselves, since an endless retry inside the
 *   library keeps every error of an outage in memory
 * @throws Error that names the variable, for TLS or SASL settings that contradict each other or a CA file that cannot be read
 */
export function kafkaConnection(env: KafkaEnv, clientId: string): KafkaConnection {
  return {
    clientId,
    bootstrapBrokers: [...env.KAFKA_BROKERS],
    connectTimeout: 5_000,
    requestTimeout: 10_000,
    timeout: 5_000,
    retries: 2,
    retryDelay: 250,
    ...tlsOptions(env),
    ...saslOptions(env),
  };
}

/** A producer whose keys, values and headers are text. */
export type TextProducer = Producer<string, string, string, string>;

/**
 * An idempotent producer that waits for all in-sync replicas, places keys as the Java client does, and goes on while some
 * partitions have no leader (see `PatientConsumer`): a send to one of those fails by itself.
 * After a failed send close it and make another: its sequence numbers no longer say what the broker holds.
 */
export function createProducer(connection: KafkaConnection): TextProducer {
  return new PatientProducer({ ...connection, idempotent: true, serializers: stringSerializers, partitioner: compatibilityPartitioner });
}

/** @returns the partition, from 0 on, in which `createProducer` and the Java client place a key of a topic with so many */
export function partitionOf(key: string, partitions: number): number {
  return compatibilityPartitioner({ topic: "", key }, Buffer.from(key)) % partitions;
}

/**
 * The library's consumer, except that it goes on while some partitions have no leader.
 *
 * With no copy of a partition left, brokers tell of it with an error and without a leader, and all about the others. The
 * library takes that for a failure of the whole answer, and cannot do anything for which it looks at the metadata first:
 * fetch, list offsets, commit, send heartbeats, join. Here such an answer is one, with -1 for the leader that there is not.
 */
export class PatientConsumer extends Consumer {
  override [kGetApi]<Request extends unknown[], Response>(name: string, callback: Callback<API<Request, Response>>): void {
    super[kGetApi]<Request, Response>(name, patiently(name, callback));
  }
}

/** The same for the library's administrator, which otherwise cannot list topics while a partition of any of them has no leader. */
class PatientAdmin extends Admin {
  override [kGetApi]<Request extends unknown[], Response>(name: string, callback: Callback<API<Request, Response>>): void {
    super[kGetApi]<Request, Response>(name, patiently(name, callback));
  }
}

/** The same for the library's producer: it has a way with a leader that there is not, but never gets to it. */
class PatientProducer extends Producer<string, string, string, string> {
  override [kGetApi]<Request extends unknown[], Response>(name: string, callback: Callback<API<Request, Response>>): void {
    super[kGetApi]<Request, Response>(name, patiently(name, callback));
  }
}

/** Gives the callback the patient form of the call that asks for metadata, and any other as it is. */
const patiently = <Request extends unknown[], Response>(name: string, callback: Callback<API<Request, Response>>): Callback<API<Request, Response>> =>
  name === "Metadata" ? (error, api) => callback(error, api && patient(api)) : callback;

function patient<Request extends unknown[], Response>(api: API<Request, Response>): API<Request, Response> {
  const plain = api as unknown as (...args: unknown[]) => void;
  const ask = (...args: unknown[]) => {
    const callback = args.pop() as Callback<Response>;
    const answered: Callback<Response> = (error, response) => {
      if (onlyPartitions(error)) callback(null, error.response as Response);
      else callback(error, response);
    };
    plain(...args, answered);
  };
  return Object.assign(ask, { async: api.async, key: api.key, version: api.version }) as unknown as API<Request, Response>;
}

/** Whether an answer has errors of partitions, and none of their topics. */
function onlyPartitions(error: Error | null): error is ResponseError & { readonly response: metadataV12.MetadataResponse } {
  return error instanceof ResponseError && (error as { response?: metadataV12.MetadataResponse }).response?.topics?.every(({ errorCode }) => errorCode === 0) === true;
}

/** The first cause of a client's error in one line: the library wraps every attempt of every broker around it. */
export function kafkaReason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return kafkaReason(error.errors.at(-1));
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message.replace(/\.$/, "")}: ${kafkaReason(error.cause)}` : error.message;
}

/** Whether a client's error tells that the topic was deleted. */
export function isTopicGone(error: unknown): boolean {
  return error instanceof Error && (kafkaReason(error).startsWith("Unknown topic") || findErrorBy(error, "apiId", "UNKNOWN_TOPIC_OR_PARTITION") !== null);
}

/** A topic that must exist. */
export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  /** Copies of each partition; with 3 or more a write needs two of them. */
  readonly replication: number;
}

async function partitionsOf(admin: Admin, topic: string): Promise<number | undefined> {
  const names = await admin.listTopics();
  if (!names.includes(topic)) return undefined;
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true });
  return metadata.topics.get(topic)?.partitionsCount;
}

async function createTopic(admin: Admin, spec: TopicSpec): Promise<void> {
  const configs = spec.replication >= 3 ? [{ name: "min.insync.replicas", value: "2" }] : [];
  try {
    await admin.createTopics({ topics: [spec.topic], partitions: spec.partitions, replicas: spec.replication, configs });
  } catch (error) {
    // Another replica was faster.
    if (!(error instanceof Error) || findErrorBy(error, "apiId", "TOPIC_ALREADY_EXISTS") === null) throw error;
  }
}

/**
 * Creates a topic that is not there yet.
 * @throws WrongPartitionCount when it is there with another partition count
 * @throws the library's error when no broker answers
 */
export async function ensureTopic(connection: KafkaConnection, spec: TopicSpec): Promise<"created" | "present"> {
  const admin = new PatientAdmin({ ...connection });
  try {
    const found = await partitionsOf(admin, spec.topic);
    if (found === undefined) {
      await createTopic(admin, spec);
      return "created";
    }
    if (found !== spec.partitions) {
      throw new WrongPartitionCount(
        `topic ${spec.topic} has ${found} partitions, but KAFKA_PARTITIONS is ${spec.partitions}: set kafkaPartitions to ${found}, or move the topic to one with ${spec.partitions} (adding partitions in place would reorder the events of a key)`,
      );
    }
    return "present";
  } finally {
    void Promise.resolve(admin.close()).catch(() => undefined);
  }
}
