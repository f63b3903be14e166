import { describe, expect, it } from "vitest";
import { z } from "zod";
import { kafkaEnv, readEnv } from "../../../services/shared/env.ts";
import { kafkaConnection, kafkaReason } from "../../../services/shared/kafka.ts";

const env = (more: Record<string, string> = {}) => readEnv(z.object(kafkaEnv), { KAFKA_BROKERS: "b1:9092, b2:9092", ...more });

describe("Kafka's connection options", () => {
  it("name the brokers and give up soon, so that callers repeat", () => {
    expect(kafkaConnection(env(), "crm-api")).toMatchObject({ clientId: "crm-api", bootstrapBrokers: ["b1:9092", "b2:9092"], retries: 2 });
  });

  it("verify certificates, and send a server name unless a broker is an address", () => {
    expect(kafkaConnection(env({ KAFKA_TLS: "true" }), "x")).toMatchObject({ tls: {}, tlsServerName: true });
    expect(kafkaConnection(env({ KAFKA_TLS: "true", KAFKA_BROKERS: "10.0.0.1:9092" }), "x")).toMatchObject({ tlsServerName: false });
    expect(kafkaConnection(env({ KAFKA_TLS: "true", KAFKA_BROKERS: "[::1]:9092" }), "x")).toMatchObject({ tlsServerName: false });
  });

  it.each([
    [{ KAFKA_TLS_CA_FILE: "/ca" }, /KAFKA_TLS=true/],
    [{ KAFKA_TLS: "true", KAFKA_TLS_CA_FILE: "/nowhere/ca.pem" }, /^KAFKA_TLS_CA_FILE: .*nowhere/],
    [{ KAFKA_SASL_USERNAME: "x" }, /KAFKA_SASL_MECHANISM/],
    [{ KAFKA_SASL_MECHANISM: "PLAIN" }, /KAFKA_SASL_USERNAME/],
    [{ KAFKA_SASL_MECHANISM: "PLAIN", KAFKA_SASL_USERNAME: "x" }, /KAFKA_SASL_PASSWORD_FILE/],
  ])("%j is refused by name", (more, message) => {
    expect(() => kafkaConnection(env(more as Record<string, string>), "x")).toThrow(message);
  });

  it.each([":::", "b1:9092,,b2:9092", "kafka:port", "kafka://b1:9092", "b1:9092;b2:9092"])("brokers %j are refused by name", (KAFKA_BROKERS) => {
    expect(() => env({ KAFKA_BROKERS })).toThrow("KAFKA_BROKERS: HOST:PORT");
  });

  it("keep no password: it is read from its file when a connection asks", () => {
    const { sasl } = kafkaConnection(env({ KAFKA_SASL_MECHANISM: "SCRAM-SHA-512", KAFKA_SASL_USERNAME: "x", KAFKA_SASL_PASSWORD_FILE: "/nowhere/password" }), "x");
    expect(sasl).toMatchObject({ mechanism: "SCRAM-SHA-512", username: "x", password: expect.any(Function) });
    expect(sasl?.password).toThrow(/nowhere/);
  });
});

it("a client's error is told by its first cause", () => {
  const cause = new Error("connect ECONNREFUSED 127.0.0.1:1");
  const error = new AggregateError([new AggregateError([new Error("first"), new Error("Connection failed.", { cause })], "b")], "a");
  expect(kafkaReason(error)).toBe("Connection failed: connect ECONNREFUSED 127.0.0.1:1");
  expect(kafkaReason("odd")).toBe("odd");
});
