/**
 * The finance windows in a real Prometheus that is killed, away and started again, sixty times as fast: 5 minutes are 5
 * seconds. Every recorded value must be the store's own sum between two of the samples that Prometheus has.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { seconds } from "../../components/settings/timing.ts";
import { counterSeries, gainByOrg, type DurableCounter } from "../../rules/finance-windows.ts";
import { crmApi } from "../../rules/metrics.ts";
import { findPrometheus, freePort } from "../support/prometheus.ts";
import { dice } from "./support/store.ts";

const found = await findPrometheus();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const speed = 60;
const counter: DurableCounter = { metric: crmApi.paymentsCents, stem: "crm:payments_cents" };
const window = "1h";
const windowSeconds = seconds(window) / speed;
const quick = (expr: string): string => expr.replace(/(\[|offset )(\d+[smhd])/g, (_, before: string, time: string) => `${before}${(seconds(time) * 1000) / speed}ms`);

type Series = { metric: Record<string, string>; values: [number, string][] };

describe.skipIf("missing" in found)("finance windows over restarts", () => {
  const folder = mkdtempSync(join(tmpdir(), "finance-restart-"));
  const store = new Map<string, number>([["old", 123_456_789]]);
  let server: Server;
  let port: number;
  let target: number;
  let prometheus: ChildProcess | undefined;
  let payments: NodeJS.Timeout;

  const listen = async () => {
    server = createServer((_, response) => response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end([...store].map(([org, cents]) => `${counter.metric.name}{org_id="${org}"} ${cents}\n`).join(""))).listen(target, "127.0.0.1");
    await once(server, "listening");
  };
  const hangUp = async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  };
  const launch = async () => {
    const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`, `--query.lookback-delta=${300 / speed}s`];
    prometheus = spawn("program" in found ? found.program : "", args, { stdio: "ignore" });
    for (let tries = 0; !(await fetch(`http://127.0.0.1:${port}/-/ready`).then((r) => r.ok, () => false)); tries++) {
      if (tries > 300) throw new Error("Prometheus did not become ready");
      await sleep(100);
    }
  };
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    const exit = once(prometheus!, "exit");
    prometheus!.kill(signal);
    await exit;
    prometheus = undefined;
  };
  const range = async (name: string): Promise<Series[]> => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query`, { method: "POST", body: new URLSearchParams({ query: `${name}[1h]` }) });
    return ((await answer.json()) as { data: { result: Series[] } }).data.result;
  };

  beforeAll(async () => {
    [port, target] = [await freePort(), await freePort()];
    const rules = [...counterSeries(counter), { record: "test:gain:by_org", expr: gainByOrg(counter, window) }].map(({ record, expr }) => ({ record, expr: quick(expr) }));
    writeFileSync(join(folder, "rules.yml"), stringify({ groups: [{ name: "finance", interval: "500ms", rules }] }));
    const config = { global: { scrape_interval: "250ms", scrape_timeout: "250ms", evaluation_interval: "500ms" }, rule_files: ["rules.yml"], scrape_configs: [{ job_name: "crm_api", static_configs: [{ targets: [`127.0.0.1:${target}`] }] }] };
    writeFileSync(join(folder, "prometheus.yml"), stringify(config));
    const random = dice(7);
    payments = setInterval(() => {
      for (const [org, cents] of store) if (random(3) === 0) store.set(org, cents + 1 + random(99_999));
    }, 40);
    await listen();
    await launch();
  });
  afterAll(async () => {
    clearInterval(payments);
    if (prometheus) await end("SIGKILL");
    await hangUp();
    rmSync(folder, { recursive: true, force: true });
  });

  it("are exact sums of the store", { timeout: 300_000 }, async () => {
    await sleep(10_000);
    store.set("new", 0);
    await sleep(8_000);
    await end("SIGKILL");
    await sleep(14_000);
    await launch();
    await sleep(8_000);
    await hangUp();
    await sleep(14_000);
    await listen();
    await sleep(8_000);
    await end("SIGTERM");
    await launch();
    // Until the window has left all of that behind.
    await sleep((windowSeconds + 15) * 1000);
    const [recorded, scraped] = [await range("test:gain:by_org"), await range(counter.metric.name)];
    expect(recorded.map((r) => r.metric.org_id).sort()).toEqual(["new", "old"]);
    for (const series of recorded) {
      const samples = scraped.find((s) => s.metric.org_id === series.metric.org_id)!.values.map(([at, value]) => ({ at, value: Number(value) }));
      expect(series.values.length).toBeGreaterThan(100);
      for (const [at, value] of series.values) expect(allowed(samples, at), `${series.metric.org_id} at ${at}`).toContain(Number(value));
      expect(Number(series.values.at(-1)![1])).toBeGreaterThan(0);
    }
  });
});

/**
 * Gains that a window may show at a time: between samples at its edges. A sample has the time at which its scrape began,
 * so an evaluation may just not have seen it: one that is a little older counts too. Where the start lies between a gap's
 * bridged and its open part, either side of the gap does.
 */
function allowed(samples: readonly { at: number; value: number }[], now: number): number[] {
  const slack = 1.5;
  const start = now - windowSeconds;
  const newest = (limit: number) => {
    const last = samples.findLast((s) => s.at <= limit);
    return last ? samples.filter((s) => s.at <= limit && s.at > last.at - slack) : [];
  };
  const before = newest(start);
  const age = start - (before.at(-1)?.at ?? -Infinity);
  const after = samples.find((s) => s.at > start && s.at <= now);
  const from = [...(age < 12 + slack ? before : []), ...(age > 5 - slack && after ? [after] : [])];
  const gains = newest(now).flatMap((last) => from.map((first) => last.value - first.value));
  return gains.length > 0 ? gains : [0];
}
