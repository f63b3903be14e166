/** Puts the parts of crm-events together; ends when told to, in the order that loses nothing. */
import { statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createSecureContext } from "node:tls";
import { readFileOf } from "../shared/env.ts";
import { kafkaConnection } from "../shared/kafka.ts";
import type { Closable } from "../shared/lifecycle.ts";
import type { Logger } from "../shared/log.ts";
import { Admission } from "./admission.ts";
import { App } from "./app.ts";
import { CircuitBreaker } from "./breaker.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { EventsEnv } from "./env.ts";
import { Fanout } from "./fanout.ts";
import { GroupMember } from "./group.ts";
import { Hub } from "./hub.ts";
import { KafkaLog } from "./kafka-log.ts";
import { Front } from "./listen.ts";
import { createMetrics } from "./metrics.ts";
import { RateLimit, TrustedProxies } from "./rate-limit.ts";

export interface Service {
  readonly address: AddressInfo;
  /** In the order of their start. */
  readonly parts: readonly Closable[];
}

const sweepMs = 60_000;
const certificateCheckMs = 10_000;

/**
 * Starts crm-events: listens first, so that clients can connect while Kafka is still away.
 * @throws Error for an address that cannot be listened on, a certificate that cannot be read, or a proxy range that is none
 */
export async function startService(env: EventsEnv, log: Logger): Promise<Service> {
  const metrics = createMetrics();
  const connection = kafkaConnection(env, "crm-events");
  const breaker = new CircuitBreaker({
    onChange: (open, error) => {
      metrics.circuitOpen.set(open ? 1 : 0);
      if (open) log.warn({ err: error }, "Kafka cannot be reached; trying at growing intervals");
      else log.info("Kafka is reached again");
    },
  });
  const topic = new KafkaLog(connection, env.KAFKA_TOPIC, env.MAX_EVENT_BYTES);
  const hub = new Hub({
    historyEvents: env.HISTORY_EVENTS,
    historyBytes: env.HISTORY_BYTES,
    clientBufferBytes: env.CLIENT_BUFFER_BYTES,
    replayEvents: env.REPLAY_EVENTS,
    topic,
    metrics,
    onError: (error) => log.error({ err: error }, "a stream failed"),
  });
  const limit = new RateLimit(env.CONNECTS_PER_MINUTE);
  const sweeper = setInterval(() => limit.sweep(), sweepMs).unref();
  const app = new App({
    hub,
    metrics,
    admission: new Admission({ limit, maxClients: env.MAX_CLIENTS, corsOrigins: env.CORS_ORIGINS }),
    proxies: new TrustedProxies(env.TRUSTED_PROXIES),
    historyEvents: env.HISTORY_EVENTS,
  });
  const certificate = certificateFiles(env);
  const front = new Front({ app, host: env.HOST, port: env.PORT, tls: certificate?.read() });
  const address = await front.listen();
  const renewer = certificate && setInterval(() => renew(front, certificate, log), certificateCheckMs).unref();
  log.info({ host: address.address, port: address.port, tls: certificate !== undefined }, "listening");

  const deadLetters = new DeadLetters({ connection, sourceTopic: env.KAFKA_TOPIC, topic: env.KAFKA_DEAD_LETTER_TOPIC, replication: env.KAFKA_REPLICATION });
  const shared = { connection, topic: env.KAFKA_TOPIC, group: env.KAFKA_GROUP, breaker, metrics, log, maxEventBytes: env.MAX_EVENT_BYTES };
  const member = new GroupMember({ ...shared, deadLetters });
  const fanout = new Fanout({ ...shared, hub, historyEvents: env.HISTORY_EVENTS });
  fanout.start();
  member.start();

  const closeFront = async () => {
    clearInterval(sweeper);
    clearInterval(renewer);
    front.stopAccepting();
    await hub.drain();
    front.destroy();
  };
  return {
    address,
    parts: [
      { name: "dead letters", close: () => deadLetters.close() },
      { name: "replay", close: () => topic.close() },
      // At once, since each may have to wait for an answer of Kafka.
      { name: "Kafka", close: () => Promise.all([member.close(), fanout.close()]) },
      { name: "streams", close: closeFront },
    ],
  };
}

interface CertificateFiles {
  read(): { cert: string; key: string };
  /** Differs when a file was written anew. */
  stamp(): string;
}

function certificateFiles(env: EventsEnv): CertificateFiles | undefined {
  const { TLS_CERT_FILE: cert, TLS_KEY_FILE: key } = env;
  if (cert === undefined || key === undefined) return undefined;
  const read = () => {
    const pair = { cert: readFileOf("TLS_CERT_FILE", cert), key: readFileOf("TLS_KEY_FILE", key) };
    try {
      createSecureContext(pair);
    } catch (error) {
      throw new Error(`TLS_CERT_FILE ${cert} and TLS_KEY_FILE ${key} are no certificate and its key as PEM: ${(error as Error).message}`, { cause: error });
    }
    return pair;
  };
  return {
    read,
    stamp: () => [cert, key].map((file) => statSync(file).mtimeMs).join(),
  };
}

const seenStamps = new WeakMap<CertificateFiles, string>();

/** Takes renewed files; new connections get them, open ones keep theirs. */
function renew(front: Front, files: CertificateFiles, log: Logger): void {
  try {
    const stamp = files.stamp();
    if (seenStamps.get(files) === stamp) return;
    front.renew(files.read());
    seenStamps.set(files, stamp);
  } catch (error) {
    log.error({ err: error }, "could not take the renewed certificate; the old one stays");
  }
}
