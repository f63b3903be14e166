/**
 * Ends the real process by SIGKILL again and again while business goes on, at each point at which an event could be lost
 * or invented, and then compares the store with what a real Kafka has. `LONG=1` repeats each point 100 times instead of 5
 * and keeps the figures in bench/results.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createStandin } from "../../../services/qbo-standin/app.ts";
import { findCompany } from "../../../services/crm-api/qbo/companies.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";
import { freePort, kafkaMissing, startKafka, type TestBroker } from "../../support/kafka.ts";
import { endOffsets, readTopic, type TopicMessage } from "../../support/kafka-topic.ts";
import { keepResult, long } from "../long-results.ts";
import { clientSecret, eventually, metricOf, silent, verifierToken } from "./support.ts";

const cycles = long ? 100 : 5;
const topic = "aetherlink.events";
const child = new URL("crash-child.ts", import.meta.url).pathname;
const orgs = JSON.stringify([{ id: "acme", name: "Acme" }]);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "crm-crash-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Running {
  readonly process: ChildProcess;
  readonly url: string;
  /** The signal that ended it, or its exit code. */
  readonly ended: Promise<NodeJS.Signals | number | null>;
}

async function run(brokers: string, env: Record<string, string>): Promise<Running> {
  const started = spawn(process.execPath, [child], { env: { PATH: process.env["PATH"], KAFKA_BROKERS: brokers, KAFKA_TOPIC: topic, DATA_DIR: folder, ORGS: orgs, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  const killOnExit = () => started.kill("SIGKILL");
  process.on("exit", killOnExit);
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => started.once("exit", (code, signal) => resolve(signal ?? code)));
  void ended.then(() => process.off("exit", killOnExit));
  const url = await new Promise<string>((resolve, reject) => {
    let output = "";
    started.stdout.on("data", (chunk) => {
      output += chunk;
      const match = /Server listening at (http:\S+?)"/.exec(output);
      if (match?.[1] !== undefined) resolve(match[1]);
    });
    void ended.then((how) => reject(new Error(`the process ended before it listened: ${String(how)}\n${output}`)));
  });
  return { process: started, url, ended };
}

interface Acknowledged {
  readonly invoices: Set<string>;
  readonly payments: Set<string>;
}

/** Does business until the process is gone; keeps what it said yes to. */
async function doBusiness(url: string, acknowledged: Acknowledged): Promise<void> {
  const post = async (path: string, body: object): Promise<any> => {
    const response = await fetch(`${url}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(20_000) });
    if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  for (;;) {
    try {
      const invoice = await post("/invoices", { org_id: "acme", customer: "x", amount_cents: 300 });
      acknowledged.invoices.add(invoice.id);
      for (const amount_cents of [100, 200]) acknowledged.payments.add((await post(`/invoices/${invoice.id}/payments`, { amount_cents })).payment.id);
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

async function crashOnce(brokers: string, point: string, acknowledged: Acknowledged): Promise<void> {
  const running = await run(brokers, { CRASH_AT: point, CRASH_AFTER: String(Math.floor(Math.random() * 12)) });
  await doBusiness(running.url, acknowledged);
  expect(await running.ended).toBe("SIGKILL");
}

/** Lets a process without crashes send what is left. */
async function drain(brokers: string): Promise<void> {
  const running = await run(brokers, {});
  await eventually(async () => metricOf(await (await fetch(`${running.url}/metrics`)).text(), "crm_outbox_depth") === 0, 60_000);
  running.process.kill("SIGTERM");
  expect(await running.ended).toBe(0);
}

async function storeState() {
  const store = await openEmbeddedStore(join(folder, "crm.db"));
  const state = {
    events: await store.db.selectFrom("outbox").select(["event_id", "key", "value"]).orderBy("seq").execute(),
    invoices: await store.db.selectFrom("invoices").selectAll().execute(),
    payments: await store.db.selectFrom("payments").selectAll().execute(),
    totals: await store.db.selectFrom("totals").selectAll().where("org_id", "=", "acme").execute(),
  };
  await store.close();
  return state;
}

interface Proxy {
  /** While true, bytes vanish in both directions and connections stay open; what came before is cut when it ends. */
  swallow(yes: boolean): void;
  close(): Promise<void>;
}

/** A network between clients and the broker. */
async function startProxy(port: number, target: string): Promise<Proxy> {
  const [host, targetPort] = target.split(":");
  const sockets = new Set<Socket>();
  let swallowing = false;
  const pass = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.on("data", (bytes) => void (swallowing || to.write(bytes)));
    from.on("error", () => to.destroy()).on("close", () => (sockets.delete(from), to.destroy()));
  };
  const server = createServer((client) => {
    const broker = connect(Number(targetPort), host);
    pass(client, broker);
    pass(broker, client);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const cut = () => sockets.forEach((s) => s.destroy());
  return {
    swallow: (yes) => {
      swallowing = yes;
      // Streams with a hole in them are of no use.
      if (!yes) cut();
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type State = Awaited<ReturnType<typeof storeState>>;

/** @returns how many copies beyond the first Kafka has */
function compare(state: State, messages: readonly TopicMessage[]): number {
  const first = new Map<string, TopicMessage>();
  const twins: string[] = [];
  for (const m of messages) {
    const id = m.headers["event-id"]!;
    const known = first.get(id);
    if (known === undefined) first.set(id, m);
    else if (known.value !== m.value || known.key !== m.key || known.partition !== m.partition) twins.push(id);
  }
  const stored = new Set(state.events.map((e) => e.event_id));
  expect({ lost: [...stored].filter((id) => !first.has(id)), phantom: [...first.keys()].filter((id) => !stored.has(id)), twins }).toEqual({ lost: [], phantom: [], twins: [] });
  const order = (list: readonly { key: string; id: string }[]) => Object.fromEntries([...Map.groupBy(list, (e) => e.key)].map(([key, same]) => [key, same.map((e) => e.id)]));
  expect(order([...first].map(([id, m]) => ({ key: m.key, id })))).toEqual(order(state.events.map((e) => ({ key: e.key, id: e.event_id }))));
  for (const [id, m] of first) expect(JSON.parse(m.value)).toMatchObject({ id, type: m.headers["event-type"] });
  return messages.length - first.size;
}

function expectConsistent(state: State, acknowledged: Acknowledged): void {
  const ids = (rows: readonly { id: string }[]) => new Set(rows.map((r) => r.id));
  const [invoices, payments] = [ids(state.invoices), ids(state.payments)];
  expect([...acknowledged.invoices].filter((id) => !invoices.has(id))).toEqual([]);
  expect([...acknowledged.payments].filter((id) => !payments.has(id))).toEqual([]);
  const total = (kind: string) => state.totals.find((t) => t.kind === kind);
  expect(total("invoice_created")?.count).toBe(state.invoices.length);
  expect(total("invoice_paid")?.count).toBe(state.invoices.filter((i) => i.status === "paid").length);
  expect(total("payment")?.amount_cents).toBe(state.payments.reduce((sum, p) => sum + p.amount_cents, 0));
  expect(state.invoices.reduce((sum, i) => sum + i.paid_cents, 0)).toBe(total("payment")?.amount_cents);
  const events = (type: string) => state.events.filter((e) => JSON.parse(e.value).type === type).length;
  expect([events("invoice.created"), events("payment.received")]).toEqual([state.invoices.length, state.payments.length]);
}

describe.skipIf(kafkaMissing)("crashes between the store and Kafka", () => {
  let broker: TestBroker;
  beforeAll(async () => {
    broker = await startKafka();
  });
  beforeEach(async () => {
    await broker.stop();
    broker = await startKafka();
  });
  afterAll(() => broker.stop());

  it.each(["before-commit", "after-commit", "after-publish", "before-mark"])(
    "%s: nothing lost, nothing invented, copies carry the same id, order kept",
    async (point) => {
      const acknowledged: Acknowledged = { invoices: new Set(), payments: new Set() };
      for (let cycle = 0; cycle < cycles; cycle++) await crashOnce(broker.address, point, acknowledged);
      await drain(broker.address);
      const state = await storeState();
      const messages = await readTopic(broker.address, topic);
      const copies = compare(state, messages);
      expectConsistent(state, acknowledged);
      console.log(`${point}: ${cycles} crashes, ${state.events.length} events, ${copies} copies, 0 lost, 0 phantom`);
      // The crash really fell where it should: what was acknowledged by Kafka and not marked comes again.
      if (point === "before-mark") expect(copies).toBeGreaterThanOrEqual(cycles);
      expect(state.events.length).toBeGreaterThan(cycles);
      keepResult("crm-api-crashes", point, { crashes: cycles, events: state.events.length, copies, lost: 0, invented: 0 });
    },
    cycles * 30_000 + 120_000,
  );

  it("a broker that dies or stands still loses nothing that was said yes to", async () => {
    const running = await run(broker.address, {});
    const acknowledged: Acknowledged = { invoices: new Set(), payments: new Set() };
    const business = doBusiness(running.url, acknowledged);
    await sleep(1_500);
    await broker.kill();
    await sleep(3_000);
    await broker.start();
    await sleep(3_000);
    broker.pause();
    // Longer than the client waits for an answer.
    await sleep(long ? 30_000 : 13_000);
    expect((await fetch(`${running.url}/healthz`)).status).toBe(200);
    broker.resume();
    await sleep(2_000);
    running.process.kill("SIGTERM");
    await running.ended;
    await business.catch(() => undefined);
    await drain(broker.address);
    const state = await storeState();
    const copies = compare(state, await readTopic(broker.address, topic));
    expectConsistent(state, acknowledged);
    console.log(`broker killed and stopped: ${state.events.length} events, ${copies} copies, 0 lost, 0 phantom`);
  }, 240_000);

  it("a network that swallows everything for a while loses nothing that was said yes to", async () => {
    await broker.stop();
    const port = await freePort();
    broker = await startKafka({ "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}` });
    const network = await startProxy(port, broker.address);
    const running = await run(`127.0.0.1:${port}`, {});
    const acknowledged: Acknowledged = { invoices: new Set(), payments: new Set() };
    const business = doBusiness(running.url, acknowledged);
    await sleep(2_000);
    network.swallow(true);
    await sleep(long ? 30_000 : 12_000);
    network.swallow(false);
    await sleep(2_000);
    running.process.kill("SIGTERM");
    await running.ended;
    await business.catch(() => undefined);
    await drain(`127.0.0.1:${port}`);
    const state = await storeState();
    const copies = compare(state, await readTopic(`127.0.0.1:${port}`, topic));
    expectConsistent(state, acknowledged);
    console.log(`network cut off: ${state.events.length} events, ${copies} copies, 0 lost, 0 phantom`);
    await network.close();
  }, 240_000);

  it("a topic with another partition count gets nothing, and health says why", async () => {
    const { Admin } = await import("@platformatic/kafka");
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker.address] });
    await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 });
    await admin.close();
    const running = await run(broker.address, { KAFKA_PARTITIONS: "6" });
    const unwell: any = await eventually(async () => {
      const response = await fetch(`${running.url}/healthz`);
      return response.status === 503 ? response.json() : undefined;
    });
    expect(unwell.reason).toMatch(/topic aetherlink\.events has 3 partitions, but KAFKA_PARTITIONS is 6/);
    running.process.kill("SIGTERM");
    expect(await running.ended).toBe(0);
    expect((await endOffsets(broker.address, topic)).reduce((a, b) => a + b, 0n)).toBe(0n);
  });
});

describe("a crash between a token's refresh and its store", () => {
  it("loses no connection", async () => {
    const { app, standin } = createStandin({ clientId: "client", clientSecret: () => clientSecret, verifier: () => verifierToken, webhookUrl: undefined, accessTokenSeconds: 3600, log: silent, processMetrics: false });
    await app.listen({ host: "127.0.0.1", port: 0 });
    standin.oauth.policy = "always";
    const base = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    writeFileSync(join(folder, "secret"), clientSecret);
    const env = { QBO_BASE_URL: base, QBO_CLIENT_ID: "client", QBO_CLIENT_SECRET_FILE: join(folder, "secret"), QBO_REDIRECT_URL: "http://crm-api/qbo/callback", QBO_SYNC_SECONDS: "1" };
    const nobody = "127.0.0.1:1";
    const state = async (url: string): Promise<any> => (await fetch(`${url}/qbo/status`)).json();

    const first = await run(nobody, env);
    const page = await fetch((await fetch(`${first.url}/qbo/connect`, { redirect: "manual" })).headers.get("location")!, { redirect: "manual" });
    const back = new URL(page.headers.get("location")!);
    expect((await fetch(`${first.url}${back.pathname}${back.search}`)).status).toBe(200);
    await eventually(async () => (await state(first.url)).state === "connected");
    first.process.kill("SIGTERM");
    await first.ended;

    for (let cycle = 0; cycle < cycles; cycle++) {
      standin.oauth.expireAccess();
      const before = standin.oauth.refreshes;
      expect(await (await run(nobody, { ...env, CRASH_AT: "after-refresh" })).ended).toBe("SIGKILL");
      expect(standin.oauth.refreshes).toBe(before + 1);
      const next = await run(nobody, env);
      const began = Date.now();
      const status: any = await eventually(async () => {
        const now = await state(next.url);
        return Date.parse(now.companies[0].last_sync_at) > began ? now : undefined;
      });
      expect(status.state).toBe("connected");
      next.process.kill("SIGTERM");
      await next.ended;
    }
    const store = await openEmbeddedStore(join(folder, "crm.db"));
    expect(await findCompany(store.db, standin.nextRealm)).toMatchObject({ state: "connected", generation: 1 + cycles });
    await store.close();
    await app.close();
    keepResult("crm-api-crashes", "after-refresh", { crashes: cycles, connectionsLost: 0 });
  }, cycles * 30_000 + 60_000);
});
