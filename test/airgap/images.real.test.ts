/** The images made offline, on a real Docker engine, as locked up as the stack runs them. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { presentImages } from "../../airgap/docker.ts";
import { askEngine } from "../../airgap/engine.ts";
import { offlineImages, offlineReference } from "../../airgap/images.ts";

const references = offlineImages.map(offlineReference);
const present = (await askEngine()) === undefined ? new Map<string, string>() : await presentImages(references);
const missing = references.filter((reference) => !present.has(reference));
if (missing.length > 0) console.warn(`skipping tests of offline images: there is no ${missing.join(", ")}; "node airgap/cli.ts images" makes them`);

const docker = (...args: string[]): string => execFileSync("docker", args, { encoding: "utf8", timeout: 120_000, stdio: ["pipe", "pipe", "pipe"] });

const locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"];

/** Runs one command in a locked up container of an image and returns what it printed. */
const inImage = (name: (typeof offlineImages)[number], user: number, entrypoint: string, ...args: string[]): string =>
  docker("run", "--rm", "--network", "none", ...locked, "--user", `${user}:${user}`, "--entrypoint", entrypoint, offlineReference(name), ...args);

describe.skipIf(missing.length > 0)("offline images", () => {
  test.each([
    ["prometheus", "prometheus", "--version", /version 3\.15\.0/],
    ["prometheus", "promtool", "check config /etc/prometheus/prometheus.yml", /SUCCESS/],
    ["alertmanager", "alertmanager", "--version", /version 0\.34\.2/],
    ["alertmanager", "amtool", "check-config /etc/alertmanager/alertmanager.yml", /SUCCESS/],
    ["blackbox", "blackbox_exporter", "--version", /version 0\.28\.0/],
    ["node", "node", "--version", /^v24\./],
  ] as const)("%s: %s %s", (image, program, args, expected) => {
    expect(inImage(image, image === "node" ? 1000 : 65534, program, ...args.split(" "))).toMatch(expected);
  });

  test.each([
    ["prometheus", 65534, "/prometheus /etc/prometheus"],
    ["alertmanager", 65534, "/alertmanager /etc/alertmanager"],
    ["kafka", 1000, "/var/lib/kafka/data /opt/kafka/config /opt/kafka/logs"],
    ["node", 1000, "/home/node"],
  ] as const)("%s: uid %i owns %s", (image, user, folders) => {
    const script = `for folder in ${folders}; do stat -c %u $folder; done`;
    expect(new Set(inImage(image, user, "sh", "-c", script).trim().split("\n"))).toEqual(new Set([`${user}`]));
  });

  test.each(["prometheus", "alertmanager", "blackbox", "node", "kafka-exporter"] as const)("%s has wget, a shell and a /tmp for everyone", (image) => {
    expect(inImage(image, 65534, "sh", "-c", "command -v wget && stat -c %a /tmp && touch /tmp/x && ! touch /x 2> /dev/null")).toContain("1777");
  });

  test("Node's image takes flags, scripts and other programs, and is a base for the classic builder", () => {
    const context = mkdtempSync(join(tmpdir(), "offline-base-"));
    const reference = `crm-offline-test:${randomBytes(4).toString("hex")}`;
    try {
      writeFileSync(join(context, "hello.mjs"), "console.log(`hello from ${process.getuid()}`)");
      writeFileSync(join(context, "Dockerfile"), `FROM ${offlineReference("node")}\nCOPY hello.mjs /app/\nRUN mkdir /data\nUSER 1000:1000\nCMD ["/app/hello.mjs"]\n`);
      execFileSync("docker", ["build", "--quiet", "--tag", reference, context], { env: { ...process.env, DOCKER_BUILDKIT: "0" }, stdio: "pipe" });
      expect(docker("run", "--rm", ...locked, reference)).toBe("hello from 1000\n");
      expect(docker("run", "--rm", ...locked, reference, "-p", "1+1")).toBe("2\n");
      expect(docker("run", "--rm", ...locked, reference, "echo", "x")).toBe("x\n");
    } finally {
      rmSync(context, { recursive: true });
      docker("image", "rm", "--force", reference);
    }
  });
});

describe.skipIf(missing.length > 0)("Kafka and its exporter, both offline images", () => {
  const id = randomBytes(4).toString("hex");
  const names = { network: `offline-${id}`, kafka: `offline-${id}-kafka`, exporter: `offline-${id}-exporter` };

  /** The topic with five messages; each attempt makes one of its own. */
  let orders = "";

  const tool = (script: string, ...args: string[]): string => docker("exec", names.kafka, `/opt/kafka/bin/${script}`, "--bootstrap-server", "kafka:9092", ...args);
  const scrape = (): string[] => docker("exec", names.exporter, "wget", "-q", "-O", "-", "http://127.0.0.1:9308/metrics").split("\n");

  /** Scrapes until a line is there. */
  const scrapeUntil = (line: string): Promise<string[]> =>
    vi.waitFor(
      () => {
        const lines = scrape();
        expect(lines).toContain(line);
        return lines;
      },
      { timeout: 120_000, interval: 500 },
    );

  beforeAll(async () => {
    docker("network", "create", "--internal", names.network);
    const environment = {
      KAFKA_NODE_ID: "1",
      KAFKA_PROCESS_ROLES: "broker,controller",
      KAFKA_CONTROLLER_QUORUM_VOTERS: "1@localhost:9093",
      KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
      KAFKA_LISTENERS: "PLAINTEXT://:9092,CONTROLLER://localhost:9093",
      KAFKA_ADVERTISED_LISTENERS: "PLAINTEXT://kafka:9092",
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      KAFKA_LOG_DIRS: "/var/lib/kafka/data",
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: "3",
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false",
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0",
      KAFKA_HEAP_OPTS: "-Xms128m -Xmx384m",
    };
    const scratch = ["/opt/kafka/config", "/opt/kafka/logs"].flatMap((path) => ["--tmpfs", `${path}:uid=1000,gid=1000`]);
    const env = Object.entries(environment).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    docker("run", "--detach", "--name", names.kafka, "--network", names.network, "--network-alias", "kafka", ...locked, ...scratch, "--user", "1000:1000", ...env, offlineReference("kafka"));
    docker("run", "--detach", "--name", names.exporter, "--network", names.network, ...locked, "--user", "65534:65534", "--memory", "128m", offlineReference("kafka-exporter"), "--kafka.server=kafka:9092", "--kafka.version=3.6.0", "--group.exclude=^hidden-");
    await scrapeUntil("kafka_brokers 1");
  });

  afterAll(() => {
    docker("rm", "--force", "--volumes", names.kafka, names.exporter);
    docker("network", "rm", names.network);
  });

  test("what is produced is consumed, and the exporter shows what is left", async () => {
    orders = `orders-${randomBytes(4).toString("hex")}`;
    tool("kafka-topics.sh", "--create", "--topic", orders, "--partitions", "2");
    execFileSync("docker", ["exec", "-i", names.kafka, "/opt/kafka/bin/kafka-console-producer.sh", "--bootstrap-server", "kafka:9092", "--topic", orders], { input: "a\nb\nc\nd\ne\n", stdio: "pipe" });
    const consumed = tool("kafka-console-consumer.sh", "--topic", orders, "--group", "readers", "--from-beginning", "--max-messages", "2", "--timeout-ms", "30000");
    expect(consumed.trim().split("\n")).toHaveLength(2);
    for (const group of ["readers", "hidden-readers"]) tool("kafka-consumer-groups.sh", "--group", group, "--topic", `${orders}:0,1`, "--reset-offsets", "--to-earliest", "--execute");
    const lines = await scrapeUntil(`kafka_consumergroup_lag_sum{consumergroup="readers",topic="${orders}"} 5`);
    expect(lines).toContain(`kafka_topic_partitions{topic="${orders}"} 2`);
    expect(lines).toContain('kafka_consumergroup_members{consumergroup="readers"} 0');
    const ends = lines.filter((line) => line.startsWith(`kafka_topic_partition_current_offset{topic="${orders}"`)).map((line) => Number(line.split(" ")[1]));
    expect(ends.reduce((sum, end) => sum + end, 0)).toBe(5);
    expect(lines.some((line) => line.includes("hidden-readers"))).toBe(false);
  });

  test("a partition without a commit has lag -1", async () => {
    tool("kafka-topics.sh", "--create", "--if-not-exists", "--topic", "half", "--partitions", "2");
    tool("kafka-consumer-groups.sh", "--group", "half-readers", "--topic", "half:0", "--reset-offsets", "--to-earliest", "--execute");
    const lines = await scrapeUntil('kafka_consumergroup_lag{consumergroup="half-readers",topic="half",partition="1"} -1');
    expect(lines).toContain('kafka_consumergroup_lag{consumergroup="half-readers",topic="half",partition="0"} 0');
    expect(lines).toContain('kafka_consumergroup_lag_sum{consumergroup="half-readers",topic="half"} 0');
  });

  test("while the broker is gone the exporter answers without its series; afterwards data and series are back", async () => {
    docker("kill", names.kafka);
    try {
      const lines = scrape();
      expect(lines).toContain("kafka_brokers 0");
      expect(lines.some((line) => line.startsWith("kafka_topic_"))).toBe(false);
    } finally {
      docker("start", names.kafka);
    }
    await scrapeUntil(`kafka_consumergroup_lag_sum{consumergroup="readers",topic="${orders}"} 5`);
  });

  test("a broker that hangs does not hang the exporter", async () => {
    docker("pause", names.kafka);
    try {
      expect(scrape()).toContain("kafka_brokers 0");
    } finally {
      docker("unpause", names.kafka);
    }
    await scrapeUntil("kafka_brokers 1");
  });
});
