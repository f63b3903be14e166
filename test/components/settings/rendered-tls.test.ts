/** Settings that services have, followed into what both targets are given. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { authorityFile } from "../../../components/authorities.ts";
import { rendered, type Rendered } from "../../support/render.ts";
import { makeCertificate } from "./certificates.ts";

const [kafkaCa, postgresCa, eventsCa] = ["Kafka", "PostgreSQL", "Events"].map((name) => makeCertificate(name).cert) as [string, string, string];
const sets = [
  'kafkaBrokers=["broker.example.com:9093"]',
  "kafkaTls=true",
  `kafkaCa=${kafkaCa}`,
  `postgres=${JSON.stringify({ host: "db.example.com", port: 5432, database: "crm", user: "crm", tls: true, ca: postgresCa })}`,
  `crmEventsTls=${JSON.stringify({ serverName: "events.example.com", ca: eventsCa })}`,
  'urls={"commandCenter":"https://ops.example.com/"}',
  `healthProbe=${JSON.stringify({ windowMode: "strict", windowMinutes: 7, promTimeoutMs: 900, promRetries: 1 })}`,
];

let docker: Rendered;
let kubernetes: Rendered;
let plain: Rendered;
beforeAll(async () => {
  [docker, kubernetes, plain] = await Promise.all([rendered("dev", ...sets), rendered("dev", "target=kubernetes", ...sets), rendered("dev")]);
}, 120_000);
afterAll(() => [docker, kubernetes, plain].forEach((r) => rmSync(r.folder, { recursive: true, force: true })));

interface Program {
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  /** Names of its secret files. */
  readonly files: readonly string[];
}

/** A program on Docker; a replica's files are its part's. */
function onDocker(r: Rendered, name: string): Program {
  const inputs = (n: string) => r.resources.find((x) => x.type === "docker:index/container:Container" && x.name === n)?.inputs as { envs?: string[]; command?: string[]; uploads?: { file: string }[] } | undefined;
  const env = Object.fromEntries(inputs(`crm-dev-${name}`)!.envs!.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  const uploads = inputs(`crm-dev-${name.replace(/-\d$/, "")}-secrets-loader`)?.uploads ?? [];
  return { env, args: inputs(`crm-dev-${name}`)!.command ?? [], files: uploads.map((u) => u.file.replace("/stage/", "")) };
}

interface Pods {
  readonly spec: { readonly template: { readonly spec: { readonly containers: { env: { name: string; value: string }[]; args?: string[] }[] } } };
}

function onKubernetes(r: Rendered, part: string): Program {
  const { spec } = r.resources.find((x) => x.inputs.kind === "StatefulSet" && x.name === part)!.inputs as unknown as Pods;
  const [container] = spec.template.spec.containers;
  const secret = r.resources.find((x) => x.inputs.kind === "Secret" && x.name === `${part}-secrets`)?.inputs as { data: object } | undefined;
  return { env: Object.fromEntries(container!.env.map((e) => [e.name, e.value])), args: container!.args ?? [], files: Object.keys(secret?.data ?? {}) };
}

/** A part's program on both targets; replicas on Docker are looked at by the first. */
const both = (part: string, replica = part): Program[] => [onDocker(docker, replica), onKubernetes(kubernetes, part)];

describe("authorities", () => {
  const [kafka, postgres, events] = [authorityFile("kafka", kafkaCa)!, authorityFile("postgres", postgresCa)!, authorityFile("crm-events", eventsCa)!];
  const nameOf = ({ files }: typeof kafka) => Object.keys(files)[0]!;

  it("reach the programs that call, as files whose variables name them", () => {
    for (const p of both("crm-api")) {
      expect(p.env).toMatchObject({ KAFKA_TLS: "true", KAFKA_TLS_CA_FILE: kafka.path, PG_TLS: "true", PG_TLS_CA_FILE: postgres.path });
      expect(p.files).toEqual(expect.arrayContaining([nameOf(kafka), nameOf(postgres)]));
    }
    for (const p of both("crm-events", "crm-events-1")) {
      expect(p.env).toMatchObject({ KAFKA_TLS_CA_FILE: kafka.path });
      expect(p.files).toContain(nameOf(kafka));
    }
    for (const p of both("kafka-exporter")) {
      expect(p.args).toEqual(expect.arrayContaining(["--tls.enabled", `--tls.ca-file=${kafka.path}`]));
      expect(p.files).toEqual([nameOf(kafka)]);
    }
    for (const p of both("command-center")) {
      expect(p.env).toMatchObject({ CRM_EVENTS_URL: "https://crm-events:9010", CRM_EVENTS_SERVER_NAME: "events.example.com", CRM_EVENTS_CA_FILE: events.path });
      expect(p.files).toEqual([nameOf(events)]);
    }
  });

  it("have another file when they change, so that what read the old one is started anew", () => {
    expect(authorityFile("kafka", postgresCa)!.path).not.toBe(kafka.path);
    expect(authorityFile("kafka", undefined)).toBeUndefined();
  });
});

describe("TLS of crm-events", () => {
  it("has its certificate and key as secret files, which nothing rendered shows", () => {
    for (const p of both("crm-events", "crm-events-1")) {
      expect(p.env).toMatchObject({ TLS_CERT_FILE: "/run/secrets/crm/tls-certificate", TLS_KEY_FILE: "/run/secrets/crm/tls-key" });
      expect(p.files).toEqual(expect.arrayContaining(["tls-certificate", "tls-key"]));
    }
    for (const text of [...Object.values(docker.files), ...Object.values(kubernetes.files)]) expect(text).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
  });

  it("is how Prometheus scrapes it, and nothing else, on both targets", () => {
    const [text] = [docker, kubernetes].map((r) => r.files["config/prometheus/prometheus.yml"]!);
    expect(kubernetes.files["config/prometheus/prometheus.yml"]).toBe(text);
    const jobs = (parse(text!) as { scrape_configs: { job_name: string; scheme?: string; tls_config?: object }[] }).scrape_configs;
    expect(jobs.filter((j) => j.scheme === "https").map((j) => [j.job_name, j.tls_config])).toEqual([["crm-events", { server_name: "events.example.com", ca: eventsCa }]]);
    expect(plain.files["config/prometheus/prometheus.yml"]).not.toMatch(/tls_config|scheme:/);
  });

  it("is how it is asked whether it is well, whatever its certificate", () => {
    const check = (r: Rendered) => (r.resources.find((x) => x.name === "crm-dev-crm-events-1" && x.type.endsWith(":Container"))!.inputs as { healthcheck: { tests: string[] } }).healthcheck.tests.join(" ");
    expect(check(docker)).toBe("CMD wget -q --no-check-certificate -O /dev/null https://127.0.0.1:9010/healthz");
    expect(check(plain)).toBe("CMD wget -q -O /dev/null http://127.0.0.1:9010/healthz");
    const set = kubernetes.resources.find((x) => x.inputs.kind === "StatefulSet" && x.name === "crm-events")!;
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) expect(set.inputs).toHaveProperty(`spec.template.spec.containers.0.${probe}.httpGet`, { path: "/healthz", port: 9010, scheme: "HTTPS" });
    expect(JSON.stringify(kubernetes.resources.filter((x) => x.inputs.kind === "StatefulSet" && x.name !== "crm-events"))).not.toContain("HTTPS");
  });

  it("is not there unless asked for", () => {
    const { env, files } = onDocker(plain, "crm-events-1");
    expect(Object.keys(env).filter((name) => name.startsWith("TLS_"))).toEqual([]);
    expect(files).toEqual([]);
    expect(onDocker(plain, "command-center").env).toMatchObject({ CRM_EVENTS_URL: "http://crm-events:9010" });
    expect(Object.keys(onDocker(plain, "command-center").env).filter((name) => name.startsWith("CRM_EVENTS_"))).toEqual(["CRM_EVENTS_URL"]);
  });
});

it("crm-events lets in pages of the command center by their origin, whatever path its address has", () => {
  for (const p of both("crm-events", "crm-events-1")) expect(p.env).toMatchObject({ CORS_ORIGINS: "https://ops.example.com" });
});

it("the health probe gets its window and its patience", () => {
  for (const p of both("crm-events-health")) expect(p.env).toMatchObject({ WINDOW_MODE: "strict", WINDOW_MINUTES: "7", PROM_TIMEOUT_MS: "900", PROM_RETRIES: "1" });
  expect(onDocker(plain, "crm-events-health").env).toMatchObject({ WINDOW_MODE: "sustained", WINDOW_MINUTES: "5", PROM_TIMEOUT_MS: "1500", PROM_RETRIES: "2" });
});
