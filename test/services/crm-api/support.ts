/** A crm-api in memory for tests, with a publisher that keeps what it is given; and one that talks to a QuickBooks stand-in. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { InjectOptions } from "fastify";
import type { Clock } from "../../../services/crm-api/clock.ts";
import { readCrmApiEnv } from "../../../services/crm-api/env.ts";
import { partitionOf } from "../../../services/shared/kafka.ts";
import type { OutboxEvent, Publisher } from "../../../services/crm-api/outbox/publisher.ts";
import { createCrmApi, type CrmApi, type Replacements } from "../../../services/crm-api/service.ts";
import { openEmbeddedStore, type Store } from "../../../services/crm-api/store/store.ts";
import { createStandin, type Standin } from "../../../services/qbo-standin/app.ts";
import { createLogger, type Logger } from "../../../services/shared/log.ts";

export const silent = createLogger("test", "silent");

/** Stands still until it is moved; sleepers wake when their time comes. */
export class ManualClock implements Clock {
  #now: number;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  constructor(start = Date.parse("2026-06-01T12:00:00Z")) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const sleeper = { at: this.#now + ms, wake: resolve };
    this.#sleepers.add(sleeper);
    signal?.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    this.#sleepers.delete(sleeper);
  }

  /** How long the sleepers that wait now still sleep, in milliseconds, shortest first. */
  get waits(): number[] {
    return [...this.#sleepers].map((s) => s.at - this.#now).sort((a, b) => a - b);
  }

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const sleeper of this.#sleepers) if (sleeper.at <= this.#now) sleeper.wake();
    await sleep(0);
  }
}

/** Runs `speed` times as fast as the wall clock. */
export function fastClock(speed: number): Clock {
  const start = Date.now();
  return {
    now: () => Math.floor(start + (Date.now() - start) * speed),
    sleep: async (ms, signal) => {
      await sleep(ms / speed, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    },
  };
}

/** Keeps what it is given, unless the next call shall fail or a partition takes nothing. */
export class MemoryPublisher implements Publisher {
  readonly topic = "aetherlink.events";
  readonly partitions = 6;
  readonly events: OutboxEvent[] = [];
  readonly batches: number[] = [];
  failures: Error[] = [];
  /** Partitions that take nothing. */
  readonly away = new Set<number>();
  prepareFailure: Error | undefined;

  async prepare(): Promise<void> {
    if (this.prepareFailure !== undefined) throw this.prepareFailure;
  }

  partition(key: string): number {
    return partitionOf(key, this.partitions);
  }

  async publish(events: readonly OutboxEvent[]): Promise<ReadonlyMap<number, unknown>> {
    const failure = this.failures.shift();
    const refused = new Map<number, unknown>();
    for (const partition of events.map((e) => this.partition(e.key))) {
      if (failure !== undefined || this.away.has(partition)) refused.set(partition, failure ?? new Error("no leader"));
    }
    const taken = events.filter((e) => !refused.has(this.partition(e.key)));
    this.batches.push(taken.length);
    this.events.push(...taken);
    return refused;
  }

  release(): void {}

  async close(): Promise<void> {}

  get types(): string[] {
    return this.events.map((e) => e.type);
  }
}

export interface Answer<T = any> {
  readonly status: number;
  readonly body: T;
}

export interface TestApi {
  readonly service: CrmApi;
  readonly store: Store;
  readonly publisher: MemoryPublisher;
  get<T = any>(path: string): Promise<Answer<T>>;
  post<T = any>(path: string, body?: unknown): Promise<Answer<T>>;
  /** The exposition's value of a series, such as `crm_outbox_depth` or `crm_leads_total{org_id="acme"}`. */
  metric(series: string): Promise<number | undefined>;
  close(): Promise<void>;
}

export const testEnv = (extra: Record<string, string> = {}) => readCrmApiEnv({ KAFKA_BROKERS: "127.0.0.1:1", ORGS: JSON.stringify([{ id: "acme", name: "Acme" }, { id: "globex", name: "Globex" }]), ...extra });

/**
 * A service without listening; its background jobs run only after `service.start()`. The configured organisations are a
 * day old, so that their counters show at once what they do.
 * @param env more of the environment
 */
export async function startTestApi(env: Record<string, string> = {}, replace: Replacements = {}, log: Logger = silent): Promise<TestApi> {
  const store = replace.store ?? (await openEmbeddedStore(":memory:"));
  const publisher = new MemoryPublisher();
  const service = await createCrmApi(testEnv(env), log, { publisher, ...replace, store });
  await store.db.updateTable("orgs").set((eb) => ({ created_at: eb("created_at", "-", 86_400_000) })).execute();
  const send = async (options: InjectOptions): Promise<Answer> => {
    const response = await service.app.inject(options);
    const isJson = String(response.headers["content-type"]).startsWith("application/json");
    return { status: response.statusCode, body: isJson ? response.json() : response.body };
  };
  return {
    service,
    store,
    publisher,
    get: (path) => send({ method: "GET", url: path }),
    post: (path, body) => send({ method: "POST", url: path, ...(body === undefined ? {} : { payload: body as object }) }),
    metric: async (series) => metricOf(String((await send({ method: "GET", url: "/metrics" })).body), series),
    close: async () => {
      await service.app.close();
      await service.stop();
    },
  };
}

export function metricOf(exposition: string, series: string): number | undefined {
  const line = exposition.split("\n").find((l) => l.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Waits until `check` gives something, or throws what it said last. */
export async function eventually<T>(check: () => Promise<T | undefined | false> | T | undefined | false, ms = 15_000): Promise<T> {
  for (const end = Date.now() + ms; ; await sleep(20)) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`did not come true within ${ms} ms: ${check.toString().slice(0, 200)}`);
  }
}

export const clientSecret = "a-client-secret";
export const verifierToken = "a-verifier-token";

export interface TestQbo extends TestApi {
  readonly standin: Standin;
  readonly standinUrl: string;
  /** The stand-in's controls. */
  control(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<any>;
  /** Goes through the authorise page. */
  connect(orgId?: string): Promise<Answer>;
  /** Waits until every company is imported and nothing waits. */
  settled(): Promise<any>;
}

/** A service that listens on loopback, beside a stand-in that announces changes to it; background jobs run. */
export async function startTestQbo(options: { clock?: Clock; env?: Record<string, string>; store?: Store; limits?: { perSecond: number; perMinute: number }; log?: Logger } = {}): Promise<TestQbo> {
  const folder = mkdtempSync(join(tmpdir(), "crm-api-test-"));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), `${text}\n`);
    return join(folder, name);
  };
  const { app: standinApp, standin } = createStandin({
    clientId: "client",
    clientSecret: () => clientSecret,
    verifier: () => verifierToken,
    webhookUrl: undefined,
    accessTokenSeconds: 3600,
    log: silent,
    limits: options.limits ?? { perSecond: Number.POSITIVE_INFINITY, perMinute: Number.POSITIVE_INFINITY },
    processMetrics: false,
  });
  await standinApp.listen({ host: "127.0.0.1", port: 0 });
  const base = `http://127.0.0.1:${(standinApp.server.address() as AddressInfo).port}`;
  const env = {
    QBO_BASE_URL: base,
    QBO_CLIENT_ID: "client",
    QBO_CLIENT_SECRET_FILE: file("secret", clientSecret),
    QBO_WEBHOOK_VERIFIER_FILE: file("verifier", verifierToken),
    QBO_REDIRECT_URL: "http://crm-api:8080/qbo/callback",
    ...options.env,
  };
  const api = await startTestApi(env, { clock: options.clock ?? fastClock(20), ...(options.store === undefined ? {} : { store: options.store }) }, options.log);
  await api.service.app.listen({ host: "127.0.0.1", port: 0 });
  standin.webhooks.settings.url = `http://127.0.0.1:${(api.service.app.server.address() as AddressInfo).port}/qbo/webhooks`;
  api.service.start();
  const control: TestQbo["control"] = async (method, path, body) => {
    const response = await standinApp.inject({ method, url: `/standin${path}`, ...(body === undefined ? {} : { payload: body as object }) });
    if (response.statusCode >= 400) throw new Error(`${method} ${path}: ${response.body}`);
    return response.json();
  };
  return {
    ...api,
    standin,
    standinUrl: base,
    control,
    connect: (orgId) => connectThrough(api, orgId),
    settled: () => eventually(() => settledStatus(api)),
    close: async () => {
      await api.close();
      await standinApp.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function connectThrough(api: TestApi, orgId?: string): Promise<Answer> {
  const start = await api.service.app.inject({ method: "GET", url: `/qbo/connect${orgId === undefined ? "" : `?org_id=${orgId}`}` });
  const page = await fetch(String(start.headers.location), { redirect: "manual" });
  const back = new URL(String(page.headers.get("location")));
  return api.get(`${back.pathname}${back.search}`);
}

async function settledStatus(api: TestApi): Promise<any> {
  const { body } = await api.get("/qbo/status");
  const done = body.companies.length > 0 && body.companies.every((c: any) => c.imported_at !== null && c.webhook_events_waiting === 0 && c.writes_waiting === 0);
  return done ? body : undefined;
}
