import { describe, expect, it } from "vitest";
import { plainKeys } from "../../../components/settings/keys.ts";
import { coerced, fieldsAt, isStructured } from "../../../components/settings/shapes.ts";
import { readChanged, problemsOf } from "./support.ts";

describe("values as `pulumi config set --path` stores them", () => {
  it("takes numeric text for a number", () => {
    const { settings } = readChanged("dev", { thresholds: '{"throughputPerSecond":"0.05","driftPct":".5","skew":"2.5"}', billing: '{"plainUsd":"1e-4"}', postgres: '{"host":"db","port":"5433","database":"crm","user":"crm","tls":"true"}', postgresPassword: { secret: "pg" } });
    expect(settings.thresholds).toMatchObject({ throughputPerSecond: 0.05, driftPct: 0.5, skew: 2.5 });
    expect(settings.billing.plainUsd).toBe(0.0001);
    expect(settings.postgres).toMatchObject({ port: 5433, tls: true });
  });

  it("takes a number or a boolean for a text", () => {
    const { settings } = readChanged("dev", { orgs: '[{"id":42,"name":true}]', tenants: "[7, 1.5]", onCall: '[{"role":1,"name":2,"reach":3}]' });
    expect(settings.orgs).toEqual([{ id: "42", name: "true" }]);
    expect(settings.tenants).toEqual(["7", "1.5"]);
    expect(settings.onCall).toEqual([{ role: "1", name: "2", reach: "3" }]);
  });

  it("takes text for a number or a boolean at the top", () => {
    const { settings } = readChanged("dev", { kafkaPartitions: " 12 ", simulator: "true", storageGiB: "30" });
    expect(settings).toMatchObject({ simulator: true, storageGiB: 30, kafka: { partitions: 12 } });
  });

  it.each([
    ["thresholds", '{"skew":"many"}', "thresholds.skew", "expected number, received string"],
    ["thresholds", '{"skew":""}', "thresholds.skew", "expected number, received string"],
    ["thresholds", '{"skew":"0x4"}', "thresholds.skew", "expected number, received string"],
    ["thresholds", '{"skew":"1e999"}', "thresholds.skew", "expected number, received Infinity"],
    ["thresholds", '{"skew":null}', "thresholds.skew", "expected number, received null"],
    ["orgs", '[{"id":9007199254740993,"name":"A"}]', "orgs[0].id", "expected string, received number"],
    ["orgs", '[{"id":["a"],"name":"A"}]', "orgs[0].id", "expected string, received array"],
    ["httpsTargets", '[{"url":"https://a.example.com","insecure":"maybe"}]', "httpsTargets[0].insecure", "expected boolean, received string"],
    ["simulator", "1", "simulator", "expected boolean, received string"],
  ])("refuses nonsense: %s %s", (key, text, path, message) => {
    const problems = problemsOf("dev", { [key]: text });
    expect(problems.map((p) => p.key)).toEqual([path]);
    expect(problems[0]!.message).toContain(message);
  });

  it("leaves names that are no field to the schema", () => {
    expect(coerced(plainKeys.urls, { constructor: 1, nope: 2 })).toEqual({ constructor: 1, nope: 2 });
    expect(coerced(plainKeys.urls, [1])).toEqual([1]);
  });
});

describe("the schema's shapes", () => {
  it("tell lists and objects from plain values", () => {
    const structured = Object.entries(plainKeys).filter(([, type]) => isStructured(type)).map(([key]) => key);
    expect(structured).toEqual([
      "orgs", "tenants", "ragTargets", "slackChannels", "kafkaBrokers", "kafkaSasl", "postgres", "crmEventsTls", "healthProbe", "mail", "urls", "onCall", "httpsTargets",
      "replicas", "thresholds", "billing", "versions", "remoteWrite", "ingress", "trustedProxies",
    ]);
  });

  it("name the fields of an object however deep", () => {
    expect(fieldsAt(plainKeys.orgs, [3])).toEqual(["id", "name"]);
    expect(fieldsAt(plainKeys.postgres, [])).toContain("port");
    expect(fieldsAt(plainKeys.thresholds, ["skew"])).toEqual([]);
    expect(fieldsAt(plainKeys.thresholds, ["nope", "x"])).toEqual([]);
  });
});
