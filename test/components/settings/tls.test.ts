/** Certificates in a stack's configuration: what is accepted, and the one error of what does not fit. */
import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { authority, privateKey } from "../../../components/settings/pem.ts";
import { readStack } from "../../../components/settings/read.ts";
import { certificateProblems } from "../../../components/settings/tls-checks.ts";
import { fixesOf } from "../../../components/settings/fixes.ts";
import { makeCertificate } from "./certificates.ts";
import { mended } from "./cli.ts";
import { changed, problemsOf, productionSecrets, readChanged, type Changes } from "./support.ts";

const ca = makeCertificate("Test authority");
const leaf = makeCertificate("events", { for: ["events.example.com", "*.internal.example.com"], by: ca });
const other = makeCertificate("other", { for: ["other.example.com"] });
const files = { "ca.pem": ca.cert, "cert.pem": leaf.cert, "key.pem": leaf.key };

const tls = (serverName: string, more: object = {}) => ({ crmEventsTls: JSON.stringify({ serverName, ...more }) });
const pairOf = ({ cert, key }: { readonly cert: string; readonly key: string }) => ({ crmEventsCertificate: { secret: cert }, crmEventsKey: { secret: key } });
const pair = pairOf(leaf);
const brokers = { kafkaBrokers: '["b:9093"]', kafkaTls: "true" };
const postgres = (more: object) => ({ postgres: JSON.stringify({ host: "db", port: 5432, database: "crm", user: "crm", tls: true, ...more }), postgresPassword: { secret: "pg" } });

describe("TLS of crm-events", () => {
  it("is on with a name, a certificate and its key, and off without", () => {
    expect(readChanged("dev", {}).settings.crmEventsTls).toBeUndefined();
    const { settings, warnings } = readChanged("dev", { ...tls("events.example.com", { ca: ca.cert }), ...pair });
    expect(settings.crmEventsTls).toEqual({ serverName: "events.example.com", ca: ca.cert });
    expect(warnings).toEqual([]);
    expect(problemsOf("dev", { ...tls("a.internal.example.com"), ...pair })).toEqual([]);
  });

  const cases: [changes: Changes, key: string, message: string][] = [
    [tls("events.example.com"), "crmEventsCertificate crmEventsKey", "is required because crmEventsTls is set"],
    [{ ...tls("crm-events"), ...pair }, "crmEventsTls.serverName", '"crm-events" is not a name in the first certificate of crmEventsCertificate'],
    [{ ...tls("events.example.com"), ...pair, crmEventsKey: { secret: other.key } }, "crmEventsKey", "is not the key of the first certificate"],
    [{ ...tls("events.example.com", { ca: other.cert }), ...pair }, "crmEventsTls.ca", "signed no certificate of crmEventsCertificate"],
    // The authority's certificate first: a chain in the wrong order.
    [{ ...tls("events.example.com"), ...pair, crmEventsCertificate: { secret: ca.cert + leaf.cert } }, "crmEventsCertificate", "the server's own comes first"],
    [{ ...tls("events.example.com"), ...pair, crmEventsCertificate: { secret: "CANARY" } }, "crmEventsCertificate", "must be PEM: from -----BEGIN CERTIFICATE-----"],
    [{ ...tls("events.example.com"), ...pair, crmEventsCertificate: { secret: leaf.cert + leaf.key } }, "crmEventsCertificate", "holds a private key, which belongs in crmEventsKey"],
    [{ ...tls("events.example.com"), ...pair, crmEventsKey: { secret: leaf.cert } }, "crmEventsKey", "must be one private key as PEM"],
  ];
  it.each(cases)("needs what belongs together: %#", (changes, keys, message) => {
    const problems = problemsOf("dev", changes);
    expect(problems.map((p) => p.key).sort().join(" ")).toBe(keys);
    for (const problem of problems) expect(problem.message).toContain(message);
    for (const text of [leaf.key, other.key, leaf.cert, "CANARY"]) expect(problems.map((p) => p.message + p.fix).join("\n")).not.toContain(text.trim());
    const good = problems.reduce((source, { fix }) => mended(source, fix, files), changed("dev", changes));
    expect(() => readStack(good)).not.toThrow();
  });

  it.each(["https://events.example.com", "events.example.com:9010", "10.0.0.1", "::1", "Events.example.com", "", "a b"])("refuses the name %s", (name) => {
    expect(problemsOf("dev", { ...tls(name), ...pair })).toMatchObject([{ key: "crmEventsTls.serverName", message: expect.stringContaining("must be a lower-case DNS name"), fix: expect.stringContaining("events.example.com") }]);
  });

  // Prometheus takes neither the subject for a name nor a star for a part of one.
  it.each([["events.example.com", []], ["events", ["ev*.example.com"]]] as const)("refuses a certificate for the subject %s with the names %j", (subject, names) => {
    const given = makeCertificate(subject, { for: names, by: ca });
    expect(problemsOf("dev", { ...tls("events.example.com"), ...pairOf(given) }).map((p) => p.key)).toEqual(["crmEventsTls.serverName"]);
  });

  it("refuses an Ingress before it, which would speak plain HTTP to it", () => {
    const changes = { ...productionSecrets, ...tls("events.example.com"), ...pair, ingress: '{"host":"crm.example.com"}' };
    const problems = problemsOf("prod", changes);
    expect(problems).toMatchObject([{ key: "crmEventsTls", message: expect.stringContaining("cannot be had with ingress") }]);
    expect(() => readStack(mended(changed("prod", changes), problems[0]!.fix))).not.toThrow();
  });

  it("warns of a certificate that has ended, and of one that nothing uses", () => {
    const ended = makeCertificate("events", { for: ["events.example.com"], until: new Date("2024-05-06T07:08:09Z") });
    const changes = { ...tls("events.example.com"), crmEventsCertificate: { secret: ended.cert }, crmEventsKey: { secret: ended.key } };
    expect(readChanged("dev", changes).warnings).toEqual(["[crmEventsCertificate] has ended on 2024-05-06: Prometheus and command-center refuse it; set it with: pulumi config set --secret crmEventsCertificate --stack dev < cert.pem"]);
    expect(readChanged("dev", { crmEventsKey: { secret: leaf.key } }).warnings).toEqual(["[crmEventsKey] is used by nothing because crmEventsTls is not set; remove it with: pulumi config rm crmEventsKey --stack dev"]);
  });

  it("takes an encrypted certificate for a good one where nothing is deployed", () => {
    const base = changed("dev", tls("events.example.com"), true);
    const opaque = { text: "[secret]", secret: true, opaque: true };
    const values = new Map([...base.values, ["crmEventsCertificate", opaque], ["crmEventsKey", opaque]] as const);
    expect(readStack({ ...base, values }).warnings).toEqual([]);
  });

  it("is judged by the certificate alone while the key cannot be read", () => {
    const { crmEventsTls } = readChanged("dev", { ...tls("events.example.com"), ...pair }).settings;
    const judge = (serverName: string) => certificateProblems({ crmEventsTls: { ...crmEventsTls, serverName } } as never, new Map([["crmEventsCertificate", leaf.cert]]), fixesOf({ stack: "dev", project: "p" }));
    expect(judge("events.example.com")).toEqual([]);
    expect(judge("x.example.com").map((p) => p.key)).toEqual(["crmEventsTls.serverName"]);
  });
});

describe("authorities of other servers", () => {
  it("are kept as the certificates that they are", () => {
    const { settings } = readChanged("dev", { ...brokers, kafkaCa: `# Issuer: us\r\n${ca.cert}\n\n${other.cert.trim()}`, ...postgres({ ca: ca.cert }) });
    expect(settings.kafka.ca).toBe(ca.cert + other.cert);
    expect(settings.postgres!.ca).toBe(ca.cert);
  });

  const cases: [changes: Changes, key: string, message: string][] = [
    [{ kafkaCa: ca.cert }, "kafkaCa", "is for given brokers; the built-in broker has no certificate"],
    [{ ...brokers, kafkaTls: "false", kafkaCa: ca.cert }, "kafkaCa", "checks nothing, because kafkaTls is false"],
    [postgres({ tls: false, ca: ca.cert }), "postgres.ca", "checks nothing, because postgres.tls is false"],
    [{ ...brokers, kafkaCa: "ca.pem" }, "kafkaCa", "must be PEM"],
    [{ ...brokers, kafkaCa: ca.cert.replaceAll("\n", " ").replace("CERTIFICATE----- M", "CERTIFICATE-----M") }, "kafkaCa", "with its line breaks"],
    [{ ...brokers, kafkaCa: ca.cert + ca.key }, "kafkaCa", "holds a private key, which everything rendered would show"],
    [postgres({ ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }), "postgres.ca", "must be PEM"],
    [{ ...tls("events.example.com", { ca: "x" }), ...pair }, "crmEventsTls.ca", "must be PEM"],
  ];
  it.each(cases)("have one error: %#", (changes, key, message) => {
    const problems = problemsOf("dev", changes);
    expect(problems.map((p) => p.key)).toEqual([key]);
    expect(problems[0]!.message).toContain(message);
    expect(() => readStack(mended(changed("dev", changes), problems[0]!.fix, files))).not.toThrow();
  });
});

describe("PEM text", () => {
  it("is a key without a password, and one only", () => {
    const { privateKey: rsa } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    for (const type of ["pkcs1", "pkcs8"] as const) expect(privateKey.safeParse(rsa.export({ type, format: "pem" })).success, type).toBe(true);
    const locked = rsa.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "CANARY" }) as string;
    expect(privateKey.safeParse(locked).error!.issues.map((i) => i.message)).toEqual([expect.stringContaining("needs a password")]);
    expect(privateKey.safeParse(leaf.key + other.key).success).toBe(false);
    expect(privateKey.parse(`-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${leaf.key}`)).toContain(leaf.key);
  });

  it("is read the same again", () => expect(authority.parse(authority.parse(ca.cert))).toBe(ca.cert));
});

describe("the health probe", () => {
  it("has the documented defaults, and takes others", () => {
    expect(readChanged("prod", productionSecrets).settings.healthProbe).toEqual({ windowMode: "sustained", windowMinutes: 5, promTimeoutMs: 1500, promRetries: 2 });
    expect(readChanged("dev", { healthProbe: '{"windowMode":"strict","windowMinutes":"10"}' }).settings.healthProbe).toEqual({ windowMode: "strict", windowMinutes: 10, promTimeoutMs: 1500, promRetries: 2 });
  });

  it.each([
    ['{"windowMode":"lenient"}', "healthProbe.windowMode", '"sustained"|"strict"'],
    ['{"windowMinutes":0}', "healthProbe.windowMinutes", "must be a whole number from 1 to 1440"],
    ['{"windowMinutes":2.5}', "healthProbe.windowMinutes", "must be a whole number from 1 to 1440"],
    ['{"promTimeoutMs":5}', "healthProbe.promTimeoutMs", "must be a whole number from 10 to 60000"],
    ['{"promRetries":11}', "healthProbe.promRetries", "must be a whole number from 0 to 10"],
    ['{"window":5}', "healthProbe.window", "is not a setting"],
    ['{"windowMinutes":1,"promTimeoutMs":4000}', "healthProbe.promTimeoutMs", "of 4000 with 2 retries lets a poll take 12.3 s, but samples may be missing for a fifth of the 1 min window only"],
  ])("has one error: %s", (healthProbe, key, message) => {
    const problems = problemsOf("dev", { healthProbe });
    expect(problems.map((p) => p.key)).toEqual([key]);
    expect(problems[0]!.message).toContain(message);
    expect(() => readStack(mended(changed("dev", { healthProbe }), problems[0]!.fix))).not.toThrow();
  });
});
