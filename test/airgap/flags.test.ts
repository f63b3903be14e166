import { describe, expect, test } from "vitest";
import { passes, readFlags } from "../../airgap/kafka-exporter/flags.ts";

describe("the stand-in's command line", () => {
  test("has the original's defaults", () => {
    const flags = readFlags([]);
    expect(flags).toMatchObject({ servers: ["kafka:9092"], listen: { host: "", port: 9308 }, metricsPath: "/metrics" });
    expect(passes(flags.groups, "any")).toBe(true);
  });

  test("takes several brokers, and values attached or apart", () => {
    const flags = readFlags(["--kafka.server=a:1", "--kafka.server", "b:2", "--kafka.version=3.6.0", "--web.listen-address=127.0.0.1:20000"]);
    expect(flags.servers).toEqual(["a:1", "b:2"]);
    expect(flags.listen).toEqual({ host: "127.0.0.1", port: 20000 });
  });

  test("filters match anywhere in the name, and an exclusion wins", () => {
    const { groups } = readFlags(["--group.filter=crm", "--group.exclude=^crm-events-fanout-.*"]);
    expect(["crm-events-sse", "my-crm", "crm-events-fanout-1", "other"].map((name) => passes(groups, name))).toEqual([true, true, false, false]);
  });

  test.each([
    [["--kafka.labels=a=b"], /unknown flag --kafka\.labels.*--kafka\.server/],
    [["kafka:9092"], /unknown flag kafka:9092/],
    [["--kafka.server"], /--kafka\.server needs a value/],
    [["--kafka.server=:9092"], /--kafka\.server: ":9092" is not host:port/],
    [["--web.listen-address=9308"], /--web\.listen-address: "9308"/],
    [["--kafka.version=latest"], /--kafka\.version: "latest"/],
    [["--group.filter=("], /--group\.filter: "\(" is no regular expression/],
  ])("refuses %j", (args, message) => {
    expect(() => readFlags(args)).toThrow(message);
  });
});
