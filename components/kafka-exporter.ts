import * as pulumi from "@pulumi/pulumi";
import { authorityFile } from "./authorities.ts";
import { imageOf } from "./images.ts";
import { factsOf, present, type StackContext } from "./part.ts";
import type { Workload } from "./platform/platform.ts";
import type { Settings } from "./settings/schema.ts";
import { parts, secretsDir } from "./topology.ts";

/** kafka_exporter: offsets, lag and members of consumer groups. */
export class KafkaExporter extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:KafkaExporter", name, {}, opts);
    const { settings: s, secrets, platform } = stack;
    // The program takes the password as an argument only; its parser reads arguments from a file, so it stays out of the command line.
    const files = present<pulumi.Input<string>>({
      "kafka-sasl-args": s.kafka.sasl && secrets.kafkaSaslPassword?.apply((password) => `--sasl.password=${password}\n`),
      ...authorityFile("kafka", s.kafka.ca)?.files,
    });
    this.workload = platform.run(
      "kafka-exporter",
      {
        ...factsOf(s, "kafka-exporter"),
        image: imageOf(s, "kafka-exporter"),
        user: 65534,
        args: arguments_(s),
        secrets: Object.keys(files).length > 0 ? { files, restartOnChange: true } : undefined,
        health: { http: { port: parts["kafka-exporter"].port, path: "/healthz" } },
        limits: { cpu: 0.25, memoryMiB: 128, pids: 128 },
        egress: !s.kafka.builtIn,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

const mechanisms = { PLAIN: "plain", "SCRAM-SHA-256": "scram-sha256", "SCRAM-SHA-512": "scram-sha512" } as const;

function arguments_(s: Settings): string[] {
  const sasl = s.kafka.sasl;
  const ca = authorityFile("kafka", s.kafka.ca);
  return [
    ...s.kafka.brokers.map((broker) => `--kafka.server=${broker}`),
    // The program's own default is a protocol that Kafka 4 has dropped.
    "--kafka.version=3.6.0",
    ...(s.kafka.tls ? ["--tls.enabled"] : []),
    ...(ca ? [`--tls.ca-file=${ca.path}`] : []),
    ...(sasl ? ["--sasl.enabled", `--sasl.mechanism=${mechanisms[sasl.mechanism]}`, `--sasl.username=${sasl.username}`, `@${secretsDir}/kafka-sasl-args`] : []),
  ];
}
