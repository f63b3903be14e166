/** The shared connection options against a real broker that wants TLS and a password. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProducer, ensureTopic, kafkaConnection, kafkaReason, type KafkaEnv } from "../../../services/shared/kafka.ts";
import { kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { readTopic } from "../../support/kafka-topic.ts";

/** A certificate for 127.0.0.1 that is its own authority, and its key, as PEM. */
function certificate(folder: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { cert, key };
}

const property = (file: string): string => readFileSync(file, "utf8").trim().replaceAll("\n", "\\n");

function opensslMissing(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    console.warn("skipping tests against a Kafka with TLS: there is no openssl to make a certificate with");
    return true;
  }
}

describe.skipIf(kafkaMissing !== undefined || opensslMissing())("a broker with TLS and a password", () => {
  let broker: TestBroker;
  let folder: string;
  let env: KafkaEnv;
  const passwordFile = () => join(folder, "password");

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "kafka-secure-"));
    const { cert, key } = certificate(folder);
    broker = await startKafka({}, {
      protocol: "SASL_SSL",
      settings: {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": property(cert),
        "ssl.keystore.key": property(key),
        "sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": 'org.apache.kafka.common.security.plain.PlainLoginModule required user_crm="the password";',
      },
    });
    writeFileSync(passwordFile(), "the password\n");
    env = { KAFKA_BROKERS: [broker.secureAddress!], KAFKA_TOPIC: "t", KAFKA_TLS: true, KAFKA_TLS_CA_FILE: cert, KAFKA_SASL_MECHANISM: "PLAIN", KAFKA_SASL_USERNAME: "crm", KAFKA_SASL_PASSWORD_FILE: passwordFile() };
  });
  afterAll(async () => {
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ensure = (e: KafkaEnv) => ensureTopic(kafkaConnection(e, "test"), { topic: "t", partitions: 2, replication: 1 });

  it("is used with the right password, which is read at each connection", async () => {
    expect(await ensure(env)).toBe("created");
    expect(await ensure(env)).toBe("present");
    const producer = createProducer(kafkaConnection(env, "test"));
    await producer.send({ messages: [{ topic: "t", key: "k", value: "v", headers: { a: "b" } }] });
    await producer.close();
    expect(await readTopic(broker.address, "t")).toMatchObject([{ key: "k", value: "v", headers: { a: "b" } }]);

    writeFileSync(passwordFile(), "another\n");
    const refused = await ensure(env).catch((error: unknown) => error);
    expect(kafkaReason(refused)).toMatch(/auth/i);
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain("another");
    writeFileSync(passwordFile(), "the password\n");
    expect(await ensure(env)).toBe("present");
  });

  it("is refused when nobody vouches for its certificate", async () => {
    const { KAFKA_TLS_CA_FILE: _ca, ...without } = env;
    expect(kafkaReason(await ensure(without).catch((error: unknown) => error))).toMatch(/certificate/);
  });

  it("is told apart from a broker without TLS", async () => {
    await expect(ensure({ ...env, KAFKA_TLS: false, KAFKA_TLS_CA_FILE: undefined })).rejects.toThrow();
  });
});
