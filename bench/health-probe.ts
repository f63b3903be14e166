/**
 * The health probe at its limits, 0.10 CPU and 64 MB, beside a bare Node server at the same limits: start, memory, and the
 * time to answer, while every bad answer of Prometheus comes in turn.
 *
 *   npm exec -- node bench/health-probe.ts [rounds] [requests]      default: 3 rounds of 10000
 *
 * Needs root on Linux: the limits are control groups, as a container's are.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { badAnswers, FakePrometheus, values } from "../test/services/crm-events-health/fake-prometheus.ts";
import { freePort } from "../test/support/kafka.ts";
import { limitsMissing, spawnLimited } from "../test/support/limits.ts";
import { bundleFolder, bundleServices } from "../tools/bundle.ts";
import { root } from "../tools/service-sources.ts";
import { describeMachine, median, ofRounds, quantile, spread } from "./support/machine.ts";

const limits = { cpu: 0.1, memoryMiB: 64 };
const connections = 10;
/** Requests per second of the part in which it is not overloaded. */
const calmPerSecond = 20;
const calmRequests = 400;

interface Result {
  readonly startSeconds: number;
  readonly peakMiB: number;
  readonly ownMiB: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly calmP99: number;
  readonly throttled: number;
}

const bare = `require("node:http").createServer((request, response) => response.end("{}")).listen(process.env.PORT, "127.0.0.1")`;

function ask(agent: Agent, port: number): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: "/ready", agent }, (response) => response.resume().once("end", () => resolve(performance.now() - began))).once("error", reject);
  });
}

async function measure(file: string, env: Record<string, string>, requests: number): Promise<Result> {
  const port = await freePort();
  const began = performance.now();
  const limited = spawnLimited(process.execPath, [file], limits, { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: `${port}`, LOG_LEVEL: "error", ...env });
  limited.child.stdout!.resume();
  limited.child.stderr!.on("data", (text: Buffer) => process.stderr.write(text));
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  try {
    while (!(await ask(agent, port).then(() => true, () => false))) await sleep(20);
    const startSeconds = (performance.now() - began) / 1_000;
    await sleep(2_000);

    const calm: number[] = [];
    for (let i = 0, next = performance.now(); i < calmRequests; i++, next += 1_000 / calmPerSecond) {
      await sleep(Math.max(0, next - performance.now()));
      calm.push(await ask(agent, port));
    }
    const times: number[] = [];
    const flatOut = performance.now();
    const client = async () => {
      while (times.length < requests) times.push(await ask(agent, port));
    };
    await Promise.all(Array.from({ length: connections }, client));
    const perSecond = times.length / ((performance.now() - flatOut) / 1_000);
    const { anonymousBytes, oomKills, peakBytes, throttledPeriods } = limited.usage();
    if (oomKills > 0) throw new Error("it was killed for want of memory");
    const sorted = times.toSorted((a, b) => a - b);
    const calmSorted = calm.toSorted((a, b) => a - b);
    return { startSeconds, peakMiB: peakBytes / 2 ** 20, ownMiB: anonymousBytes / 2 ** 20, perSecond, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), calmP99: quantile(calmSorted, 0.99), throttled: throttledPeriods };
  } finally {
    agent.destroy();
    await limited.stop();
  }
}

if (limitsMissing !== undefined) throw new Error(limitsMissing);
const [rounds = 3, requests = 10_000] = process.argv.slice(2).map(Number);
await bundleServices(["crm-events-health"]);
const folder = mkdtempSync(join(tmpdir(), "bench-health-"));
const bareFile = join(folder, "bare.cjs");
writeFileSync(bareFile, bare);
const prometheus = new FakePrometheus(values("1", "2"));
const url = await prometheus.listen();
const kinds = Object.values(badAnswers);
let turn = 0;
const change = setInterval(() => (prometheus.answer = turn++ % 2 === 0 ? values("1", "2") : kinds[(turn >> 1) % kinds.length]!.answer), 1_000);
const servers: Record<string, () => Promise<Result>> = {
  "crm-events-health": () => measure(join(bundleFolder("crm-events-health"), "server.mjs"), { PROM_URL: url, POLL_SECONDS: "1" }, requests),
  "bare Node server": () => measure(bareFile, {}, requests),
};
const results = new Map<string, Result[]>(Object.keys(servers).map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0 ? Object.keys(servers) : Object.keys(servers).toReversed()) {
    const result = await servers[name]!();
    results.get(name)!.push(result);
    console.log(`round ${round + 1}, ${name}: ${JSON.stringify(result, (_key, value: unknown) => (typeof value === "number" ? Math.round(value * 10) / 10 : value))}`);
  }
}
clearInterval(change);
await prometheus.close();
rmSync(folder, { recursive: true });

const columns: [title: string, pick: (result: Result) => number, show: (value: number) => string][] = [
  ["start", (r) => r.startSeconds, (v) => `${v.toFixed(1)} s`],
  ["most memory", (r) => r.peakMiB, (v) => `${v.toFixed(0)} MiB`],
  ["of it its own", (r) => r.ownMiB, (v) => `${v.toFixed(0)} MiB`],
  [`p99 at ${calmPerSecond} requests per second`, (r) => r.calmP99, (v) => `${v.toFixed(0)} ms`],
  ["requests per second, flat out", (r) => r.perSecond, (v) => v.toFixed(0)],
  ["p50", (r) => r.p50, (v) => `${v.toFixed(0)} ms`],
  ["p99", (r) => r.p99, (v) => `${v.toFixed(0)} ms`],
];
const probe = results.get("crm-events-health")!;
const worst = (pick: (result: Result) => number) => Math.max(...probe.map(pick));
const judge = (met: boolean, goal: string, value: string) => `- ${met ? "met" : "missed"}: ${goal} (${value})`;
const p99 = median(probe.map((r) => r.p99));
const text = [
  "# The health probe within 0.10 CPU and 64 MB",
  "",
  `\`npm exec -- node bench/health-probe.ts ${process.argv.slice(2).join(" ")}\``.replace(/ `$/, "`"),
  "",
  `${describeMachine()}. Limits by control groups. ${requests} requests for \`/ready\` from ${connections} connections, each as soon as the one before is answered, while Prometheus is polled every second and answers badly in ${kinds.length} ways in turn. ${ofRounds(rounds)}. The most memory counts page cache too, which the kernel takes back when it must.`,
  "",
  `| server | ${columns.map(([title]) => title).join(" | ")} |`,
  `| --- |${columns.map(() => " --- |").join("")}`,
  ...[...results].map(([name, all]) => `| ${name} | ${columns.map(([, pick, show]) => spread(all.map(pick), show)).join(" | ")} |`),
  "",
  "## Goals",
  "",
  judge(p99 < 250, "p99 of `/ready` under 250 ms", `${p99.toFixed(0)} ms`),
  judge(worst((r) => r.peakMiB) <= limits.memoryMiB, "never over 64 MB, not killed", `${worst((r) => r.peakMiB).toFixed(0)} MiB`),
  judge(worst((r) => r.startSeconds) < 10, "answers within 10 s of its start", `${worst((r) => r.startSeconds).toFixed(1)} s`),
  "",
].join("\n");
mkdirSync(join(root, "bench/results"), { recursive: true });
writeFileSync(join(root, "bench/results/health-probe.md"), text);
console.log(`\n${text}`);
