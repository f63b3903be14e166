import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { prometheusFiles } from "../../../components/config/prometheus.ts";
import { imageOf, ownImages as built, thirdParty } from "../../../components/images.ts";
import { externalPorts } from "../../../components/platform/kubernetes/external-ports.ts";
import { ownImages, ownPorts, streamsPerReplica, thirdPartyImages } from "../../../components/settings/own-parts.ts";
import { re2Refusal, vipRegExp } from "../../../components/settings/vip-pattern.ts";
import { parts } from "../../../components/topology.ts";
import { ruleGroups } from "../../../rules/index.ts";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { TrustedProxies } from "../../../services/crm-events/rate-limit.ts";
import { kafkaEnv, readEnv } from "../../../services/shared/env.ts";
import { kafkaConnection } from "../../../services/shared/kafka.ts";
import { problemsOf, readChanged } from "./support.ts";

/** The one problem of a stack with one change. */
function refusal(key: string, value: unknown) {
  const problems = problemsOf("dev", { [key]: typeof value === "string" ? value : JSON.stringify(value) });
  expect(problems.map((p) => `[${p.key}] ${p.message}`)).toHaveLength(1);
  return problems[0]!;
}
const accepts = (key: string, value: unknown) => expect(problemsOf("dev", { [key]: typeof value === "string" ? value : JSON.stringify(value) }), JSON.stringify(value)).toEqual([]);

describe("percentages at which an alert could never fire", () => {
  it.each([
    ...["paymentRatePct", "availabilityPct", "cacheHitPct", "cacheHitVipPct", "revenueFlatlineFastPct", "revenueFlatlineSlowPct"].map((name) => [name, 0] as const),
    ...["errorRatioPct", "lowConfidencePct", "lowConfidenceVipPct"].map((name) => [name, 100] as const),
  ])("%s %d", (name, value) => {
    const { key, message, fix } = refusal("thresholds", { [name]: value });
    expect(key).toBe(`thresholds.${name}`);
    expect(message).toMatch(/could never fire/);
    expect(fix).toContain("pulumi config set --path");
    accepts("thresholds", { [name]: value === 0 ? 0.5 : 99.5 });
    expect(refusal("thresholds", { [name]: value === 0 ? 101 : -1 }).key).toBe(`thresholds.${name}`);
  });
});

describe("numbers out of all proportion", () => {
  it.each([
    ["storageGiB", "1e300"], ["storageGiB", "1"], ["storageGiB", "2.5"], ["storageGiB", "65537"], ["kafkaPartitions", "1e300"], ["kafkaReplication", "1000"],
    ["retention", "11y"], ["retention", `${"9".repeat(30)}d`], ["portOffset", "1e9"],
  ])("%s %s", (key, value) => expect(refusal(key, value).key).toBe(key));

  it.each(["lag", "restarts", "skew", "outboxAgeSeconds", "throughputPerSecond", "minConsumers"])("thresholds.%s", (name) => expect(refusal("thresholds", { [name]: 1e300 }).key).toBe(`thresholds.${name}`));

  it("say what is possible", () => {
    for (const value of ["1e300", "1", "2.5"]) expect(refusal("storageGiB", value).message).toBe("must be a whole number from 2 to 65536");
  });

  it("and the largest that have some", () => {
    for (const [key, value] of [["storageGiB", "65536"], ["storageGiB", "2"], ["retention", "10y"]] as const) accepts(key, value);
  });
});

describe("how long Prometheus keeps data", () => {
  it.each(["800h", "721h", "31d12h30m", "30d1h", "2595600s", "1y2w3d4h5m6s", "5w", "43260m"])("can be %s", (kept) => {
    accepts("retention", kept);
    expect(readChanged("dev", { retention: kept }).settings.retention).toBe(kept);
  });
  it.each(["30d", "720h", "30d59m59s", "10y1s", "4w2d"])("is not %s by its sum", (kept) => expect(refusal("retention", kept).message).toMatch(/^of .* is (less than 30d1h: rules look back 30 d|longer than 10 years)/));
  it("is enough at the least for every rule, in each timing", () => {
    for (const stack of ["dev", "fast"]) expect(() => prometheusFiles(readChanged(stack, { retention: "30d1h" }).settings)).not.toThrow();
  });
  it.each(["33", "0", "1d2w", "33d33d", "33 d", "1.5y", "33D", "d", "40dx"])("is no duration such as %s", (kept) => {
    expect(refusal("retention", kept).message).toBe("must be a Prometheus duration, such as 33d or 31d12h");
  });
});

describe("addresses", () => {
  it.each(["rag-api:0", "rag-api:65536", "rag-api:99999", "rag-api", ":8000", "http://rag-api:8000", "user:pass@rag-api:8000", "rag api:8000"])("refuses the target %s", (target) => {
    const { key, message } = refusal("ragTargets", [target]);
    expect(key).toBe("ragTargets[0]");
    expect(message).toBe("must be HOST:PORT with a port from 1 to 65535; an IPv6 address in brackets");
  });

  it.each(["[fd00::5]:9000", "[::1]:1", "[FD00::5]:9000"])("takes %s for targets, brokers and mail", (address) => {
    accepts("ragTargets", [address]);
    accepts("kafkaBrokers", [address]);
    accepts("mail", { to: "a@example.com", from: "b@example.com", smarthost: address });
    expect(readEnv(z.object({ KAFKA_BROKERS: kafkaEnv.KAFKA_BROKERS }), { KAFKA_BROKERS: address }).KAFKA_BROKERS).toEqual([address]);
  });

  it.each(["fd00::5:9000", "[fd00::5]", "[fd00::5]:0", "[fd00::5%eth0]:9000", "[::ffff:10.0.0.1]:9000", "[10.0.0.1]:9000", "[rag-api]:9000", "[]:9000", "[fd00::5:9000"])("refuses %s", (address) => {
    for (const key of ["ragTargets", "kafkaBrokers"]) expect(refusal(key, [address]).message).toContain("an IPv6 address in brackets");
  });

  it.each([["fd00::10", "fd00::10"], ["[fd00::10]", "fd00::10"], ["db", "db"]])("give postgres %s as the host %s", (host, read) => {
    const postgres = JSON.stringify({ host, port: 5432, database: "crm", user: "crm", tls: false });
    expect(readChanged("dev", { postgres, postgresPassword: { secret: "pg" } }).settings.postgres!.host).toBe(read);
  });

  it("are of IPv4 where a port is published", () => {
    expect(refusal("kafkaExternal", "[fd00::1]:19092").message).toBe("must be HOST:PORT with a port from 1 to 65535, and no IPv6 address");
  });

  it.each([["[fd00::5]:9000", 9000], ["10.0.0.1:9001", 9001]] as const)("let Prometheus out to %s, at its port", (target, at) => {
    const { settings } = readChanged("dev", { ragTargets: JSON.stringify([target]), kafkaBrokers: JSON.stringify([target]) });
    expect(externalPorts(settings)).toEqual([at]);
    expect(parse(prometheusFiles(settings)["prometheus.yml"]!).scrape_configs).toContainEqual({ job_name: "rag-api", static_configs: [{ targets: [target] }] });
  });

  it("in brackets are an address's own host for crm-events' certificate check", () => {
    const env = readEnv(z.object(kafkaEnv), { KAFKA_BROKERS: "[fd00::5]:9093", KAFKA_TLS: "true" });
    expect(kafkaConnection(env, "x")).toMatchObject({ bootstrapBrokers: ["[fd00::5]:9093"], tlsServerName: false });
  });

  it.each([[{ port: 0 }, "postgres.port"], [{ port: 70_000 }, "postgres.port"], [{ host: "db:5432" }, "postgres.host"], [{ host: "crm:pw@db" }, "postgres.host"], [{ host: "" }, "postgres.host"]])("refuses postgres with %j", (change, path) => {
    expect(problemsOf("dev", { postgres: JSON.stringify({ host: "db", port: 5432, database: "crm", user: "crm", tls: false, ...change }), postgresPassword: { secret: "pg" } }).map((p) => p.key)).toEqual([path]);
  });

  it.each(["https://registry.example.com", "user:pw@registry.example.com", "registry.example.com/Crm", "registry.example.com:crm", "-x", "a b", "registry.example.com//x"])("refuses the registry %s", (registry) => {
    expect(refusal("imageRegistry", registry).message).toContain("HOST[:PORT][/PATH]");
  });

  it("accepts registries as they are", () => {
    for (const registry of ["localhost/crm-offline", "registry.example.com", "registry.example.com:5000/a/b_c/d-e", "ghcr.io/acme/", "10.0.0.1:5000"]) accepts("imageRegistry", registry);
  });

  it.each([{ host: "https://crm.example.com" }, { host: "crm.example.com/path" }, { host: "CRM.example.com" }, { host: "-crm.example.com" }, { host: "crm..com" }, { host: "x".repeat(64) }, { host: "*.example.com" }, { host: "10.0.0.1" }, { host: "a.7" }, { host: "a.0x1f" }])("refuses the ingress %j", (ingress) => {
    const problems = problemsOf("prod", { ingress: JSON.stringify(ingress) });
    expect(problems.map((p) => p.key)).toContain("ingress.host");
  });

  it("wants https of an HTTPS target", () => {
    expect(refusal("httpsTargets", [{ url: "http://crm.example.com/" }])).toMatchObject({ key: "httpsTargets[0].url", message: "must be a URL that starts with https://" });
  });

  it.each([
    ["HTTPS://crm.example.com/healthz", "https://crm.example.com/healthz"],
    ["https:crm.example.com", "https://crm.example.com/"],
    ["https://m\u00fcnchen.example/healthz", "https://xn--mnchen-3ya.example/healthz"],
    ["https://shop.example.com/health?a=b", "https://shop.example.com/health?a=b"],
    ["https://shop.example.com", "https://shop.example.com"],
  ])("gives the prober the HTTPS target %s as it can read it", (url, read) => {
    expect(readChanged("dev", { httpsTargets: JSON.stringify([{ url }]) }).settings.httpsTargets[0]!.url).toBe(read);
  });

  it("tells an HTTPS target that is written in two ways", () => {
    expect(refusal("httpsTargets", [{ url: "https://crm.example.com/x" }, { url: "HTTPS://CRM.example.com/x" }]).message).toBe('has "https://crm.example.com/x" twice');
  });
});

describe("URLs that paths are added to", () => {
  it.each(["https://a.example.com/?x=1", "https://a.example.com/#x", "https://a.example.com/{{ .Labels.x }}", "https://a.example.com/x}}"])("are not such as %s", (address) => {
    const message = expect.stringContaining("no query, no fragment and no double braces");
    for (const link of ["prometheus", "alertmanager", "grafana", "commandCenter"]) expect(refusal("urls", { [link]: address })).toMatchObject({ key: `urls.${link}`, message });
    for (const key of ["runbookBaseUrl", "grafanaUrl"]) expect(refusal(key, address)).toMatchObject({ key, message });
  });
});

describe("addresses of mail", () => {
  const mail = (change: object) => ({ to: "ops@example.com", from: "crm@example.com", smarthost: "m.example.com:587", ...change });
  it.each(["ops", "ops@", "@example.com", "a b@example.com", "a@example.com b@example.com", "a@example.com,", "a@example.com;b@example.com", "https://example.com"])("are not %s", (to) => {
    expect(refusal("mail", mail({ to }))).toMatchObject({ key: "mail.to", message: expect.stringContaining("such as ops@example.com") });
  });
  it("are one sender, and receivers as Alertmanager takes them", () => {
    for (const to of ["ops@example.com", "root@localhost", "a@example.com, b@example.com", "On call <ops@example.com>,b@example.com"]) accepts("mail", mail({ to }));
    expect(refusal("mail", mail({ from: "a@example.com,b@example.com" })).key).toBe("mail.from");
  });
});

describe("what services refuse", () => {
  it.each([["crm", "#crm.alerts"], ["ops", "#ops.alerts"], ["crm", "crm-alerts"], ["ops", "#Ops"]])("is refused as the channel %s %s", (channel, name) => expect(refusal("slackChannels", { [channel]: name }).key).toBe(`slackChannels.${channel}`));

  it.each(["", "   ", "x".repeat(201), "Ac\0me", "Acme\nInc", "Ac\u0085me", "Acme \ud800"])("is refused as an organisation's name: %j", (name) => expect(refusal("orgs", [{ id: "a", name }]).key).toBe("orgs[0].name"));

  it("is trimmed of an organisation's name", () => expect(readChanged("dev", { orgs: JSON.stringify([{ id: "a", name: ` ${"x".repeat(200)}\n` }]) }).settings.orgs).toEqual([{ id: "a", name: "x".repeat(200) }]));

  const ranges = ["10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/", "fe80::1%eth0", "proxy", ""];
  it.each(ranges)("is refused as a trusted proxy, and nothing else: %s", (range) => {
    const good = ranges.indexOf(range) < 4;
    if (!good) return expect(refusal("trustedProxies", [range])).toMatchObject({ key: "trustedProxies[0]", message: "must be an address or a CIDR range such as 10.0.0.0/8" });
    accepts("trustedProxies", [range]);
    expect(() => new TrustedProxies([range])).not.toThrow();
  });
});

describe("credentials in URLs", () => {
  const address = "https://canary-user:canary-pw@host.example.com/x";
  it.each([
    ["remoteWrite", [{ url: address }], "remoteWrite[0].url", /secret remoteWritePassword/],
    ["grafanaUrl", address, "grafanaUrl", /secret grafanaToken/],
    ["httpsTargets", [{ url: address }], "httpsTargets[0].url", /in a secret/],
    ["runbookBaseUrl", address, "runbookBaseUrl", /in the secret/],
    ["qboRedirectUrl", address, "qboRedirectUrl", /in the secret/],
    ["urls", { grafana: "https://canary-pw@host.example.com" }, "urls.grafana", /in the secret/],
  ])("%s refuses them without repeating them", (key, value, path, where) => {
    const problem = refusal(key, value);
    expect(problem.key).toBe(path);
    expect(problem.message).toMatch(/must not contain a user or password/);
    expect(problem.message).toMatch(where);
    expect(JSON.stringify(problem)).not.toContain("canary");
  });
});

describe("versions", () => {
  it("know every image of the stack and no other", () => {
    expect([...thirdPartyImages].sort()).toEqual(Object.keys(thirdParty).sort());
    expect([...ownImages].sort()).toEqual([...built].sort());
    expect(refusal("versions", { "crm-db": "v3.15.0" })).toMatchObject({ key: "versions.crm-db", message: "is not a setting" });
  });

  it.each([{ prometheus: "" }, { prometheus: "sha256:12" }, { prometheus: "v3 15" }, { "crm-api": `sha256:${"a".repeat(64)}` }])("refuse %j", (versions) => {
    expect(refusal("versions", versions).key).toContain("versions");
  });

  it("accept tags, and digests of what others publish", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const { settings } = readChanged("dev", { versions: JSON.stringify({ prometheus: digest, kafka: "4.1.2", "crm-api": "1.0" }) });
    expect(imageOf(settings, "prometheus")).toBe(`prom/prometheus@${digest}`);
  });
});

it("knows the ports of all parts", () => {
  expect(streamsPerReplica).toBe(readEnv(eventsEnv, { KAFKA_BROKERS: "kafka:9092" }).MAX_CLIENTS);
  expect(ownPorts).toEqual(Object.fromEntries(Object.entries(parts).map(([name, { port }]) => [name, port])));
});

describe("the pattern of VIP tenants", () => {
  it.each(["vip-(", "a)|(b", "*", "vip-(?=x).*", "vip-(?!x).*", "(?<=vip).*", "(?<!vip).*", "(a)\\1", "(?<n>a)\\k<n>",
    "\\u0041", "\\x41", "\\y", "\\cA", "\\e", "\\0", "\\p{L}", "\\pN", "\\Qa.b\\E", "\\A", "\\z", "\\é", "[]", "[^]", "[]a]", "[[:alpha:]]+", "[\\b]", "[a\\e]", "[a-\\d]",
    "a{1001}", "a{1001,}", "a{0,1001}", "(a{500}){500}", "(?:(?:x|a{11}){10}b){10}", "((a{2})*){501}", "(a{2}){501}?",
  ])("refuses %s", (pattern) => {
    expect(refusal("vipPattern", pattern)).toMatchObject({ key: "vipPattern", message: expect.stringMatching(/regular expression|RE2/) });
  });

  it.each(["(?i)vip-.*", "(?:vip|premium)-.*", "\\(\\?=.*", "[(?=]x", "vip-\\d{2}", "(?<n>vip).*", "\\.\\w+",
    "\\-\\_\\/", "[\\w.-]+", "[^\\]]", "[a[]", "[\\d-z]", "\\bvip\\b.*", "{", "a{2", "]", "a{,5}", "a{1000}", "(a{10}){100}", "a{600}b{600}", "(a{600})(b{600})", "(a*){1000}", "a{1000}(?:b{2})",
  ])("accepts %s", (pattern) => expect(re2Refusal(pattern)).toBeUndefined());

  it("matches whole names as Prometheus does, with RE2's flags", () => {
    expect(vipRegExp("vip-.*|premium").test("vip-acme")).toBe(true);
    expect(vipRegExp("vip-.*|premium").test("not-premium")).toBe(false);
    expect(vipRegExp("(?iU)vip-.*").test("VIP-Acme")).toBe(true);
    const { settings } = readChanged("dev", { vipPattern: "(?i)VIP-.*" });
    expect(JSON.stringify(ruleGroups(settings))).toContain("(?i)VIP-.*");
  });
});
