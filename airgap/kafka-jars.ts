/** The jars of a Kafka broker and its tools, from Maven Central. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { thirdParty } from "../components/images.ts";
import { install } from "./debian.ts";
import { onPath, run, step } from "./process.ts";
import { digest, once, root } from "./state.ts";

const pom = join(root, "airgap/images/kafka/pom.xml");
const version = thirdParty.kafka.tag;

/** @returns digest of all that decides which jars there are. */
export const kafkaInputs = (): string => digest(version, readFileSync(pom, "utf8"));

/**
 * Fetches the jars unless they are there. The folder also serves tests that start a broker without a container.
 * @returns the folder
 * @throws Error of Maven, when the registry has not got this version
 */
export async function kafkaJars(): Promise<string> {
  return await once("kafka/libs", kafkaInputs(), async (folder) => {
    if (onPath("mvn") === undefined) await install(["maven", "default-jdk-headless"], "Kafka");
    const goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies";
    const flags = ["--batch-mode", "--quiet", "--file", pom, `-Dkafka.version=${version}`, "-DincludeScope=runtime", `-DoutputDirectory=${folder}`];
    await step(`Kafka ${version}: fetching jars`, () => run("nice", ["-n", "5", "mvn", ...flags, goal]));
  });
}
