import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Agenda } from "../../../services/simulator/agenda.ts";
import { dealOf } from "../../../services/simulator/deal.ts";
import { random } from "../../../services/simulator/random.ts";
import { RagTraffic } from "../../../services/simulator/rag-traffic.ts";
import { Scenarios } from "../../../services/simulator/scenarios.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";

const orgs = ["acme", "globex"];
const deals = (from: number, to: number, seed = 1) => Array.from({ length: to - from }, (_, i) => dealOf(seed, from + i, orgs));

describe("random", () => {
  it("gives the same numbers for the same seed, spread evenly", () => {
    const draw = (...seed: number[]) => {
      const r = random(...seed);
      return Array.from({ length: 10_000 }, () => r.next());
    };
    expect(draw(1, 2)).toEqual(draw(1, 2));
    expect(draw(1, 2)).not.toEqual(draw(2, 1));
    const buckets = Array.from({ length: 10 }, () => 0);
    for (const x of draw(42)) buckets[Math.floor(x * 10)]! += 1;
    for (const n of buckets) expect(n).toBeGreaterThan(880);
  });
});

describe("dealOf", () => {
  it("decides a deal by seed and number alone", () => {
    expect(dealOf(1, 17, orgs)).toEqual(dealOf(1, 17, orgs));
    expect(deals(0, 20, 1)).not.toEqual(deals(0, 20, 2));
  });

  it("has more than 85 % of invoices paid in time in every stretch of business, from the first one on", () => {
    for (let from = 0; from < 200; from++) {
      for (const length of [40, 100]) {
        const invoices = deals(from, from + length).filter((d) => d.outcome !== "rejected" && d.outcome !== "void");
        const good = invoices.filter((d) => d.outcome === "on-time" || d.outcome === "refunded");
        expect(good.length / invoices.length).toBeGreaterThan(0.85);
      }
    }
    const early = deals(0, 20);
    expect(early.every((d) => d.outcome === "on-time" || d.outcome === "rejected")).toBe(true);
  });

  it("gives whole cents the CRM accepts, to all organisations", () => {
    const many = deals(0, 2000);
    expect(many.every((d) => Number.isSafeInteger(d.amountCents) && d.amountCents >= 5000 && d.amountCents < 1_000_000)).toBe(true);
    expect(new Set(many.map((d) => d.orgId))).toEqual(new Set(orgs));
    expect(new Set(many.map((d) => d.outcome)).size).toBe(6);
  });
});

describe("Agenda", () => {
  it("gives tasks back in order of time, and of arrival at the same time", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 50 }), (times) => {
        const agenda = new Agenda<[number, number]>(100);
        times.forEach((at, i) => agenda.add(at, [at, i]));
        const out: [number, number][] = [];
        for (let task = agenda.takeDue(99); task !== undefined; task = agenda.takeDue(99)) out.push(task);
        expect(out).toEqual(times.map((at, i): [number, number] => [at, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]));
      }),
    );
  });

  it("keeps what is not due yet, and no more than its limit", () => {
    const agenda = new Agenda<string>(2);
    expect([agenda.add(5, "a"), agenda.add(3, "b"), agenda.add(1, "c")]).toEqual([true, true, false]);
    expect([agenda.takeDue(2), agenda.takeDue(4), agenda.takeDue(4), agenda.takeDue(5)]).toEqual([undefined, "b", undefined, "a"]);
  });
});

describe("Scenarios", () => {
  const setup = () => {
    const clock = { now: 1_000_000 };
    return { clock, scenarios: new Scenarios(["vip-initech", "acme-corp"], () => clock.now) };
  };

  it("last as long as asked for, or until they are stopped", () => {
    const { clock, scenarios } = setup();
    expect(scenarios.start("burn", { seconds: 10 })).toBeUndefined();
    expect(scenarios.start("silence", undefined)).toBeUndefined();
    clock.now += 9999;
    expect([scenarios.active("burn"), scenarios.active("silence")]).toEqual([true, true]);
    clock.now += 1;
    expect([scenarios.active("burn"), scenarios.active("silence")]).toEqual([false, true]);
    scenarios.stop("silence");
    expect(scenarios.list().filter((s) => s.active)).toEqual([]);
  });

  it("are about one tenant or about all", () => {
    const { scenarios } = setup();
    scenarios.start("cache-misses", { tenant: "vip-initech" });
    expect([scenarios.active("cache-misses", "vip-initech"), scenarios.active("cache-misses", "acme-corp")]).toEqual([true, false]);
    scenarios.start("cache-misses", {});
    expect(scenarios.active("cache-misses", "acme-corp")).toBe(true);
  });

  it("refuse options that mean nothing", () => {
    const { scenarios } = setup();
    expect(scenarios.start("cache-misses", { tenant: "nobody" })).toBe("tenant: known ones are vip-initech, acme-corp");
    expect(scenarios.start("burn", { tenant: "acme-corp" })).toBe("tenant: burn is about no tenant");
    expect(scenarios.start("burn", { seconds: -1 })).toMatch(/^seconds: /);
    expect(scenarios.start("burn", { second: 1 })).toMatch(/second/);
    expect(scenarios.list().some((s) => s.active)).toBe(false);
  });
});

describe("RagTraffic", () => {
  const tenants = ["acme-corp", "vip-initech", "premium-umbrella"];
  const setup = async () => {
    const registry = createRegistry(false);
    const scenarios = new Scenarios(tenants);
    const traffic = new RagTraffic(tenants, 1, scenarios, registry);
    const value = async (name: string, labels: Record<string, string>) => {
      const metric = (await registry.getMetricsAsJSON()).find((m) => m.name === name)!;
      return metric.values.filter((v) => Object.entries(labels).every(([k, x]) => v.labels[k as keyof typeof v.labels] === x)).reduce((sum, v) => sum + v.value, 0);
    };
    /** Shares over `seconds`, in percent. */
    const shares = async (tenant: string, seconds: number) => {
      const read = async () => [await value("aether_cache_hits_total", { tenant }), await value("aether_cache_requests_total", { tenant }), await value("aether_rag_lowconfidence_total", { tenant }), await value("aether_rag_answers_total", { tenant }), await value("aether_rag_answers_total", { tenant, rerank: "true" })];
      const before = await read();
      for (let i = 0; i < seconds; i++) traffic.pass(1);
      const [hits, requests, unsure, answers, reranked] = (await read()).map((x, i) => x - before[i]!) as [number, number, number, number, number];
      return { requests, cache: (100 * hits) / requests, unsure: (100 * unsure) / answers, reranked: (100 * reranked) / answers };
    };
    return { registry, scenarios, shares };
  };

  it("has every series from the start, at 0", async () => {
    const { registry } = await setup();
    const text = await registry.metrics();
    for (const tenant of tenants) for (const series of [`aether_cache_hits_total{tenant="${tenant}"} 0`, `aether_rag_answers_total{tenant="${tenant}",rerank="false"} 0`, `aether_rag_lowconfidence_total{tenant="${tenant}"} 0`]) expect(text).toContain(series);
  });

  it("is healthy for every tenant, VIP thresholds included, over the windows that are judged", async () => {
    const { shares } = await setup();
    for (const tenant of tenants) {
      for (let i = 0; i < 5; i++) {
        const { requests, cache, unsure, reranked } = await shares(tenant, 300);
        expect(requests).toBeGreaterThan(300);
        expect(cache).toBeGreaterThan(45);
        expect(unsure).toBeLessThan(12);
        expect(reranked).toBeGreaterThan(15);
      }
    }
  });

  it("crosses the thresholds for the tenant that a scenario names, and for no other", async () => {
    const { scenarios, shares } = await setup();
    scenarios.start("cache-misses", { tenant: "vip-initech" });
    scenarios.start("low-confidence", { tenant: "vip-initech" });
    const bad = await shares("vip-initech", 300);
    expect(bad.cache).toBeLessThan(20);
    expect(bad.unsure).toBeGreaterThan(20);
    const good = await shares("acme-corp", 300);
    expect(good.cache).toBeGreaterThan(45);
    expect(good.unsure).toBeLessThan(12);
  });
});
