import { describe, expect, it } from "vitest";
import { examples } from "../../../components/settings/examples.ts";
import { fixesOf, pathText, quoted } from "../../../components/settings/fixes.ts";
import { plainKeys } from "../../../components/settings/keys.ts";
import type { Problem, SettingsError } from "../../../components/settings/problem.ts";
import { readStack } from "../../../components/settings/read.ts";
import type { ConfigSource } from "../../../components/settings/source.ts";
import { mended, stepsOf, wordsOf } from "./cli.ts";
import { changed, problemsOf, type Changes } from "./support.ts";

const refused = (source: ConfigSource): readonly Problem[] => {
  try {
    readStack(source);
  } catch (error) {
    return (error as SettingsError).problems;
  }
  return [];
};

const thresholds = (values: object) => ({ thresholds: JSON.stringify(values) });

describe("the command of a problem mends it", () => {
  const cases: [changes: Changes, key: string, fix: string | RegExp][] = [
    [{ kafkaPartitions: "3" }, "thresholds.skew", "set it with: pulumi config set --path thresholds.skew 2 --stack dev"],
    [{ kafkaPartitions: "2" }, "thresholds.skew", /thresholds\.skew 1\.5 /],
    [{ kafkaPartitions: "6", ...thresholds({ skew: 6 }) }, "thresholds.skew", /thresholds\.skew 4 /],
    [{ kafkaPartitions: "1" }, "kafkaPartitions", "set it with: pulumi config set kafkaPartitions 6 --stack dev"],
    [thresholds({ paymentSloPct: 70 }), "thresholds.paymentFloorPct", /paymentFloorPct 60 /],
    [thresholds({ paymentSloPct: 5, paymentBurnFast: 1, paymentBurnSlow: 0.5 }), "thresholds.paymentFloorPct", /paymentFloorPct 2\.5 /],
    [thresholds({ paymentSloPct: 50, paymentFloorPct: 40 }), "thresholds.paymentBurnFast", /paymentBurnFast 1\.8 /],
    // 5 * 0.2 is less than 1 in binary fractions.
    [thresholds({ paymentSloPct: 80, paymentBurnFast: 5 }), "thresholds.paymentBurnFast", /paymentBurnFast 3 /],
    // 100 - 99.9 is less than 0.1.
    [thresholds({ paymentSloPct: 99.9, paymentBurnFast: 1000 }), "thresholds.paymentBurnFast", /paymentBurnFast 3 /],
    [thresholds({ maxClients: 24_000 }), "thresholds.maxClients", /maxClients 50 /],
    [thresholds({ restarts: 59 }), "thresholds.restarts", /restarts 3 /],
    [thresholds({ paymentBurnFast: 14.4 }), "thresholds.paymentBurnFast", /paymentBurnFast 3 /],
    [thresholds({ paymentBurnSlow: 7 }), "thresholds.paymentBurnSlow", /paymentBurnSlow 1 /],
    [thresholds({ cacheHitPct: 0 }), "thresholds.cacheHitPct", /cacheHitPct 30 /],
    [thresholds({ foo: 1 }), "thresholds.foo", "remove it with: pulumi config rm --path thresholds.foo --stack dev"],
    [thresholds({ "a b": 1 }), `thresholds["a b"]`, `remove it with: pulumi config rm --path 'thresholds["a b"]' --stack dev`],
    [{ "we'ird": "1" }, "we'ird", `remove it with: pulumi config rm 'we'\\''ird' --stack dev`],
    [{ kafkaSasl: '{"mechanism":"PLAIN","username":"crm"}', kafkaSaslPassword: { secret: "x" } }, "kafkaSasl", "set it with: pulumi config set --path 'kafkaBrokers[0]' broker.example.com:9093 --stack dev"],
    [{ orgs: "5" }, "orgs", `write it in Pulumi.dev.yaml, below config, such as: crm-observability:orgs: [{"id":"acme","name":"Acme Roofing"}]`],
    [{ orgs: "[{" }, "orgs", /^write it in Pulumi\.dev\.yaml/],
    [{ thresholds: "[]" }, "thresholds", /crm-observability:thresholds: \{"paymentRatePct":50,/],
    [{ orgs: '[{"id":"a","name":"A"},{"id":"b"}]' }, "orgs[1].name", "set it with: pulumi config set --path 'orgs[1].name' 'Acme Roofing' --stack dev"],
    [{ orgs: '[{"id":"a","name":"A"},7]' }, "orgs[1]", /^write it in/],
    [{ orgs: '[{"id":"a","name":"A"},{"id":"a","name":"B"}]' }, "orgs", "remove it with: pulumi config rm --path 'orgs[1]' --stack dev"],
    [{ ragTargets: '["rag-api"]' }, "ragTargets[0]", /--path 'ragTargets\[0\]' rag-api:8000 /],
    [{ slackChannels: '{"crm":"alerts"}' }, "slackChannels.crm", /--path slackChannels\.crm '#crm-alerts' /],
    [{ vipPattern: "(" }, "vipPattern", "set it with: pulumi config set vipPattern 'vip-.*|premium-.*' --stack dev"],
    [{ versions: '{"grafana":"no tag"}' }, "versions.grafana", /--path versions\.grafana VALUE /],
    [{ replicas: '{"crmApi":2}' }, "replicas.crmApi", /crm-observability:postgres: \{"host"/],
    [{ retention: "30d" }, "retention", /retention 33d /],
    [{ slackWebhook: { secret: "https://hooks.slack.com/${X}" } }, "slackWebhook", "set it with: pulumi config set --secret slackWebhook --stack dev"],
    [{ storageGiB: "1e300" }, "storageGiB", /storageGiB 20 /],
  ];
  it.each(cases)("%j", (changes, key, fix) => {
    const source = changed("dev", changes);
    const problem = refused(source).find((p) => p.key === key)!;
    if (fix instanceof RegExp) expect(problem.fix).toMatch(fix);
    else expect(problem.fix).toBe(fix);
    expect(refused(mended(source, problem.fix)).map((p) => p.key)).not.toContain(key);
  });

  it("in every stack names that stack", () => {
    for (const p of problemsOf("prod", { kafkaPartitions: "3" })) expect(p.fix).toMatch(/ --stack prod$/);
    expect(fixesOf({ stack: "my stack", project: "p" }).remove("orgs")).toBe("remove it with: pulumi config rm orgs --stack 'my stack'");
  });
});

describe("suggestions", () => {
  it.each([
    [thresholds({ skw: 3 }), "thresholds.skw", "is not a setting (did you mean thresholds.skew?)"],
    [thresholds({ Lag: 3 }), "thresholds.Lag", "is not a setting (did you mean thresholds.lag?)"],
    [thresholds({ foo: 1 }), "thresholds.foo", "is not a setting"],
    [thresholds({ x: 1 }), "thresholds.x", "is not a setting"],
    [{ orgs: '[{"id":"a","name":"A","nmae":"B"}]' }, "orgs[0].nmae", "is not a setting (did you mean orgs[0].name?)"],
    [{ versions: '{"promtheus":"v3"}' }, "versions.promtheus", "is not a setting (did you mean versions.prometheus?)"],
    [{ tmiing: "fast" }, "tmiing", "is not a setting (did you mean timing?)"],
  ] as [Changes, string, string][])("%j", (changes, key, message) => expect(problemsOf("dev", changes)).toMatchObject([{ key, message }]));
});

describe("examples", () => {
  it("are accepted by their keys, which are all but the one that takes a file", () => {
    expect([...Object.keys(examples), "kafkaCa"].sort()).toEqual(Object.keys(plainKeys).sort());
    for (const [key, value] of Object.entries(examples)) expect(plainKeys[key as keyof typeof plainKeys].parse(value), key).toEqual(value);
  });
});

describe("words and paths", () => {
  it.each(["a", "a b", "it's", "$(touch /tmp/x)", "`id`", "vip-.*|x", "", "#crm", '{"a": "b"}', "a\\b", "~"])("quote %s so that a shell gives it back", (text) => {
    expect(wordsOf(`x ${quoted(text)} y`)).toEqual(["x", text, "y"]);
  });

  it.each([[["a"]], [["a", "b"]], [["a", 0, "b"]], [["a", 'q"x', "b"]], [["a", "x.y"]], [["a", "[0]"]]])("spell %j so that Pulumi finds it", (path) => expect(stepsOf(pathText(path))).toEqual(path));
});
