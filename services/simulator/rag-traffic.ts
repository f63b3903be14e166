/** Made-up traffic of a RAG service, as counters by tenant. */
import { rag } from "../../rules/metrics.ts";
import { counter, type Registry } from "../shared/metrics.ts";
import { random, type Random } from "./random.ts";
import type { Scenarios } from "./scenarios.ts";

/** What a tenant is like. */
interface Habits {
  readonly tenant: string;
  readonly requestsPerSecond: number;
  /** Shares of requests and of answers. */
  readonly hits: number;
  readonly reranked: number;
  readonly lowConfidence: number;
  readonly random: Random;
}

const missingShare = 0.05;
const unsureShare = 0.4;

/** Well on the healthy side of every threshold, the stricter ones of VIP tenants too. */
function habitsOf(seed: number, tenant: string, index: number): Habits {
  const r = random(seed, 7_000_000 + index);
  return { tenant, requestsPerSecond: r.between(1.5, 4), hits: r.between(0.55, 0.8), reranked: r.between(0.3, 0.7), lowConfidence: r.between(0.03, 0.07), random: r };
}

export class RagTraffic {
  readonly #tenants: readonly Habits[];
  readonly #scenarios: Scenarios;
  readonly #hits;
  readonly #requests;
  readonly #answers;
  readonly #unsure;
  /** Parts of requests that did not make a whole one yet. */
  readonly #carry = new Map<string, number>();

  constructor(tenants: readonly string[], seed: number, scenarios: Scenarios, registry: Registry) {
    this.#tenants = tenants.map((tenant, index) => habitsOf(seed, tenant, index));
    this.#scenarios = scenarios;
    this.#hits = counter(registry, rag.cacheHits);
    this.#requests = counter(registry, rag.cacheRequests);
    this.#answers = counter(registry, rag.answers);
    this.#unsure = counter(registry, rag.lowConfidence);
    // Every series exists from the start, so that its first increase is seen.
    for (const tenant of tenants) {
      for (const one of [this.#hits, this.#requests, this.#unsure]) one.inc({ tenant }, 0);
      for (const rerank of ["true", "false"]) this.#answers.inc({ tenant, rerank }, 0);
    }
  }

  /** Lets some time pass. @param seconds since the last call */
  pass(seconds: number): void {
    for (const habits of this.#tenants) {
      const wanted = habits.requestsPerSecond * seconds * habits.random.between(0.7, 1.3) + (this.#carry.get(habits.tenant) ?? 0);
      const whole = Math.floor(wanted);
      this.#carry.set(habits.tenant, wanted - whole);
      for (let i = 0; i < whole; i++) this.#request(habits);
    }
  }

  #request({ tenant, hits, reranked, lowConfidence, random: r }: Habits): void {
    this.#requests.inc({ tenant });
    if (r.next() < (this.#scenarios.active("cache-misses", tenant) ? missingShare : hits)) this.#hits.inc({ tenant });
    this.#answers.inc({ tenant, rerank: r.next() < reranked ? "true" : "false" });
    if (r.next() < (this.#scenarios.active("low-confidence", tenant) ? unsureShare : lowConfidence)) this.#unsure.inc({ tenant });
  }
}
