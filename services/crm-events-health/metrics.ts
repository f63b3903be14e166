/** The probe's metrics in Prometheus' text format, written by hand: the client library takes 10 MB and more. */
import { healthProbe, stack, type MetricSpec } from "../../rules/metrics.ts";
import { verdictNames, type VerdictName } from "./verdict.ts";

/** Seconds. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class ProbeMetrics {
  readonly #checks = new Map<VerdictName, number>(verdictNames.map((name) => [name, 0]));
  readonly #buckets = durationBuckets.map(() => 0);
  #durationCount = 0;
  #durationSum = 0;
  retries = 0;
  timeouts = 0;

  /** One poll is done. @param seconds how long it took */
  poll(verdict: VerdictName, seconds: number): void {
    this.#checks.set(verdict, (this.#checks.get(verdict) ?? 0) + 1);
    this.#durationCount++;
    this.#durationSum += seconds;
    for (const [i, bound] of durationBuckets.entries()) if (seconds <= bound) this.#buckets[i]!++;
  }

  /** @param verdict what `/ready` answers with now. @param ageSeconds of the poll that it comes from */
  render(verdict: VerdictName, ageSeconds: number): string {
    const { name: duration } = healthProbe.duration;
    const buckets = durationBuckets.map((bound, i): [string, number] => [`${duration}_bucket{le="${bound}"}`, this.#buckets[i]!]);
    return [
      family(healthProbe.checks, [...this.#checks].map(([name, count]) => [`${healthProbe.checks.name}{verdict="${name}"}`, count])),
      family(healthProbe.status, verdictNames.map((name) => [`${healthProbe.status.name}{verdict="${name}"}`, name === verdict ? 1 : 0])),
      family(healthProbe.duration, [...buckets, [`${duration}_bucket{le="+Inf"}`, this.#durationCount], [`${duration}_sum`, this.#durationSum], [`${duration}_count`, this.#durationCount]]),
      family(healthProbe.retries, [[healthProbe.retries.name, this.retries]]),
      family(healthProbe.timeouts, [[healthProbe.timeouts.name, this.timeouts]]),
      family(healthProbe.verdictAge, [[healthProbe.verdictAge.name, ageSeconds]]),
      ...processFamilies(),
    ].join("");
  }
}

const startedAt = Date.now() / 1_000 - process.uptime();

/** What every scraped process exports. */
function processFamilies(): string[] {
  const { user, system } = process.cpuUsage();
  return [
    family(stack.processStart, [[stack.processStart.name, startedAt]]),
    family(stack.residentMemory, [[stack.residentMemory.name, process.memoryUsage.rss()]]),
    family(stack.processCpu, [[stack.processCpu.name, (user + system) / 1e6]]),
  ];
}

function family(spec: MetricSpec, samples: readonly (readonly [series: string, value: number])[]): string {
  return `# HELP ${spec.name} ${spec.help}\n# TYPE ${spec.name} ${spec.type}\n${samples.map(([series, value]) => `${series} ${value}\n`).join("")}`;
}
