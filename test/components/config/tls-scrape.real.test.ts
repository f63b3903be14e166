/** A real Prometheus scrapes crm-events over TLS as its rendered configuration says: verified by name and authority. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { prometheusFiles } from "../../../components/config/prometheus.ts";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { startService, type Service } from "../../../services/crm-events/service.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { findPrometheus, startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { sampleSettings } from "../../support/settings.ts";
import { makeCertificate } from "../settings/certificates.ts";

const ca = makeCertificate("Authority");
const leaf = makeCertificate("events", { for: ["events.example.com"], by: ca });
const found = await findPrometheus();

interface Job {
  job_name: string;
  scheme?: string;
  static_configs: { targets: string[] }[];
}

/** The rendered scrape job of crm-events, with another name or authority under another job's name. */
function jobOf(name: string, tls: { serverName: string; ca?: string }, target: string): Job {
  const text = prometheusFiles(sampleSettings({ timing: "fast", crmEventsTls: tls }))["prometheus.yml"]!;
  const job = (parse(text) as { scrape_configs: Job[] }).scrape_configs.find((j) => j.job_name === "crm-events")!;
  return { ...job, job_name: name, static_configs: [{ targets: [target] }] };
}

describe.skipIf("missing" in found)("Prometheus", () => {
  const folder = mkdtempSync(join(tmpdir(), "tls-scrape-"));
  let service: Service;
  let prometheus: TestPrometheus;

  beforeAll(async () => {
    writeFileSync(join(folder, "cert"), leaf.cert);
    writeFileSync(join(folder, "key"), leaf.key);
    const env = readEnv(eventsEnv, { KAFKA_BROKERS: "127.0.0.1:9", HOST: "127.0.0.1", PORT: "0", TLS_CERT_FILE: join(folder, "cert"), TLS_KEY_FILE: join(folder, "key") });
    service = await startService(env, createLogger("test", "silent"));
    const target = `127.0.0.1:${service.address.port}`;
    const jobs = [
      jobOf("right", { serverName: "events.example.com", ca: ca.cert }, target),
      jobOf("another-name", { serverName: "crm-events", ca: ca.cert }, target),
      jobOf("another-authority", { serverName: "events.example.com", ca: makeCertificate("Authority").cert }, target),
      jobOf("public-authorities", { serverName: "events.example.com" }, target),
    ];
    prometheus = await startPrometheus((found as { program: string }).program, () => ({ "prometheus.yml": stringify({ global: { scrape_interval: "1s", scrape_timeout: "1s" }, scrape_configs: jobs }) }));
  });

  afterAll(async () => {
    await prometheus?.stop();
    for (const part of [...(service?.parts ?? [])].reverse()) await part.close();
    rmSync(folder, { recursive: true });
  });

  it("takes the certificate by its name and authority, and no other", async () => {
    const targets = async () => {
      const { data } = (await (await fetch(`${prometheus.url}/api/v1/targets`)).json()) as { data: { activeTargets: { scrapePool: string; health: string; lastError: string }[] } };
      return new Map(data.activeTargets.map((t) => [t.scrapePool, t]));
    };
    await expect.poll(async () => [...(await targets()).values()].filter((t) => t.health !== "unknown").length, { timeout: 60_000 }).toBe(4);
    const now = await targets();
    expect(now.get("right")).toMatchObject({ health: "up", lastError: "" });
    expect(now.get("another-name")!.lastError).toContain("certificate is valid for events.example.com, not crm-events");
    expect(now.get("another-authority")!.lastError).toMatch(/certificate signed by unknown authority/);
    expect(now.get("public-authorities")!.lastError).toMatch(/certificate signed by unknown authority/);
    expect((await prometheus.query('crm_events_sse_clients{job="right"}')).map((s) => s.value[1])).toEqual(["0"]);
  });
});
