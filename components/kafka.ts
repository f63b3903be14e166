import * as pulumi from "@pulumi/pulumi";
import { imageOf } from "./images.ts";
import { factsOf, type StackContext } from "./part.ts";
import type { Workload, WorkloadArgs } from "./platform/platform.ts";
import type { Settings } from "./settings/schema.ts";

/** Where the optional listener for clients outside is, inside the container. */
const externalPort = 19092;

/** One Kafka broker in KRaft mode, without ZooKeeper. `crm-api` creates the topics; none appears by itself. */
export class Kafka extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:Kafka", name, {}, opts);
    const { settings: s, platform } = stack;
    this.workload = platform.run(
      "kafka",
      {
        ...factsOf(s, "kafka"),
        ...external(s),
        image: imageOf(s, "kafka"),
        user: 1000,
        env: environment(s),
        data: { mount: "/var/lib/kafka/data", sizeGiB: 10 },
        scratch: [
          { mount: "/tmp", sizeMiB: 64, executable: true },
          { mount: "/opt/kafka/config", sizeMiB: 4 },
          { mount: "/opt/kafka/logs", sizeMiB: 64 },
        ],
        health: { tcp: 9092, startSeconds: 60 },
        limits: { cpu: 1, memoryMiB: 1024, pids: 512 },
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** A name or an address that means the machine of whoever looks it up. */
const isLoopback = (host: string) => /^(?:(?:.+\.)?localhost|127(?:\.\d+){1,3})\.?$/i.test(host);

/** The published port of the outside listener, when the stack asks for one; clients elsewhere come to any other host. */
function external(s: Settings): Pick<WorkloadArgs, "extraPorts" | "publishExtra" | "publishExtraOpenly"> {
  if (s.kafka.external === undefined) return {};
  const [host = "", port] = s.kafka.external.split(":");
  return { extraPorts: [externalPort], publishExtra: { [externalPort]: Number(port) }, publishExtraOpenly: !isLoopback(host) };
}

function environment(s: Settings): Record<string, string> {
  const outside = s.kafka.external === undefined ? { listeners: "", advertised: "", protocols: "" } : { listeners: `,EXTERNAL://:${externalPort}`, advertised: `,EXTERNAL://${s.kafka.external}`, protocols: ",EXTERNAL:PLAINTEXT" };
  return {
    // Fixed, so that a new container finds its own data.
    CLUSTER_ID: "Y3JtLW9ic2VydmFiaWxpdA",
    KAFKA_NODE_ID: "1",
    KAFKA_PROCESS_ROLES: "broker,controller",
    KAFKA_CONTROLLER_QUORUM_VOTERS: "1@localhost:9093",
    KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
    KAFKA_LISTENERS: `PLAINTEXT://:9092,CONTROLLER://localhost:9093${outside.listeners}`,
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://kafka:9092${outside.advertised}`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${outside.protocols}`,
    KAFKA_INTER_BROKER_LISTENER_NAME: "PLAINTEXT",
    KAFKA_LOG_DIRS: "/var/lib/kafka/data",
    KAFKA_NUM_PARTITIONS: `${s.kafka.partitions}`,
    KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false",
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
    KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1",
    KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1",
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0",
    KAFKA_LOG_RETENTION_HOURS: "168",
    KAFKA_HEAP_OPTS: "-Xms256m -Xmx512m",
  };
}
