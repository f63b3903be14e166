/** The probe as its image runs it, within 0.10 CPU and 64 MB. Its latency is measured by the bench, not here. */
import { Agent, get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFolder, bundleServices } from "../../../tools/bundle.ts";
import { freePort } from "../../support/kafka.ts";
import { limitsMissing, spawnLimited, type LimitedProcess } from "../../support/limits.ts";
import { badAnswers, FakePrometheus, values } from "./fake-prometheus.ts";

const limits = { cpu: 0.1, memoryMiB: 64 };

describe.skipIf(limitsMissing)("within 0.10 CPU and 64 MB", () => {
  const prometheus = new FakePrometheus(values("1", "2"));
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  let probe: LimitedProcess;
  let port: number;
  let output = "";

  beforeAll(async () => {
    await bundleServices(["crm-events-health"]);
    port = await freePort();
    probe = spawnLimited(process.execPath, [join(bundleFolder("crm-events-health"), "server.mjs")], limits, {
      PATH: process.env["PATH"],
      HOST: "127.0.0.1",
      PORT: `${port}`,
      PROM_URL: await prometheus.listen(),
      PROM_TIMEOUT_MS: "300",
      POLL_SECONDS: "0.3",
      WINDOW_MINUTES: "0.1",
    });
    for (const stream of [probe.child.stdout!, probe.child.stderr!]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    for (let i = 0; i < 300 && !output.includes("listening"); i++) await sleep(100);
    expect(output).toContain('"message":"listening"');
  });

  afterAll(async () => {
    agent.destroy();
    await probe?.stop();
    await prometheus.close();
  });

  /** @returns status and body */
  function ask(path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      get({ host: "127.0.0.1", port, path, agent }, (response: IncomingMessage) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode!, body }));
      }).on("error", reject);
    });
  }

  const verdict = async () => (JSON.parse((await ask("/ready")).body) as { status: string }).status;

  async function waitFor(wanted: string): Promise<void> {
    for (let i = 0; i < 400 && (await verdict()) !== wanted; i++) await sleep(100);
    expect(await verdict()).toBe(wanted);
  }

  test("it answers 10 000 requests, each with a verdict, while every bad answer of Prometheus comes in turn", { timeout: 170_000 }, async () => {
    prometheus.answer = values("1", "2");
    await waitFor("ready");
    const kinds = Object.values(badAnswers);
    const counts = new Map<string, number>();
    let turn = 0;
    const change = setInterval(() => (prometheus.answer = turn++ % 3 === 0 ? values("1", "2") : kinds[turn % kinds.length]!.answer), 700);
    let left = 10_000;
    const client = async () => {
      while (left-- > 0) {
        const { status, body } = await ask(left % 50 === 0 ? "/metrics" : "/ready");
        const name = body.startsWith("#") ? "metrics" : (JSON.parse(body) as { status: string }).status;
        counts.set(`${status} ${name}`, (counts.get(`${status} ${name}`) ?? 0) + 1);
      }
    };
    try {
      await Promise.all(Array.from({ length: 10 }, client));
      // Every kind has its turn, also when the requests were done sooner.
      while (turn < kinds.length * 1.5) await sleep(200);
    } finally {
      clearInterval(change);
    }
    expect([...counts.values()].reduce((a, b) => a + b)).toBe(10_000);
    expect([...counts.keys()].filter((key) => !["200 ready", "500 unknown", "500 warming_up", "200 metrics"].includes(key))).toEqual([]);
    prometheus.answer = values("1", "2");
    await waitFor("ready");
    const { anonymousBytes, oomKills, peakBytes } = probe.usage();
    expect(probe.child.exitCode).toBeNull();
    expect(oomKills).toBe(0);
    // Control groups of version 2 may count some pages of socket buffers beyond the limit, for which nothing is killed.
    expect(peakBytes).toBeLessThanOrEqual((limits.memoryMiB + 4) * 1024 * 1024);
    // Without the page cache of the program's own file, which the kernel gives back when it must.
    expect(anonymousBytes).toBeLessThan(limits.memoryMiB * 1024 * 1024 * 0.9);
  });
});
