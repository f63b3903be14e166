/** The bundled command center as its own process, over fake sources. */
import { spawn, type ChildProcess } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { bundleFolder, bundleServices } from "../../../tools/bundle.ts";
import { type apiAlert, fakeAlertmanager, fakeCrmApi, fakePrometheus, fakeSlack, FakeEvents, healthySamples, watchdog } from "./fakes.ts";

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** `/qbo/status` of one connected company. */
export function qboStatus(company: Record<string, unknown>) {
  const times = { last_sync_at: new Date(Date.now() - 62_000).toISOString(), refresh_token_expires_at: new Date(Date.now() + 99 * 86_400_000).toISOString() };
  return { state: "connected", environment: "stand-in", connect_path: "/qbo/connect", companies: [{ org_id: "acme", realm_id: "9130347", state: "connected", ...times, webhook_events_waiting: 0, writes_waiting: 0, writes_failed: 0, problem: null, ...company }] };
}

/** What the sources answer; tests change it while the service runs. */
export function healthyState() {
  return {
    samples: healthySamples(),
    alerts: [watchdog()] as ReturnType<typeof apiAlert>[],
    qbo: qboStatus({}) as unknown,
    messages: [] as unknown[],
  };
}

export class Stack {
  readonly state = healthyState();
  readonly prometheus = fakePrometheus(this.state.samples);
  readonly alertmanager = fakeAlertmanager(this.state);
  readonly crmApi = fakeCrmApi(this.state);
  readonly slack = fakeSlack(this.state);
  readonly events = new FakeEvents();
  readonly #port: number;
  #process: ChildProcess | undefined;
  /** What the service wrote, for a failing test. */
  output = "";

  constructor(port: number) {
    this.#port = port;
  }

  static async start(): Promise<Stack> {
    await bundleServices(["command-center"]);
    const stack = new Stack(await freePort());
    for (const source of stack.sources) await source.start();
    await stack.startService();
    return stack;
  }

  get sources() {
    return [this.prometheus, this.alertmanager, this.crmApi, this.slack, this.events];
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async startService(): Promise<void> {
    const child = spawn(process.execPath, [join(bundleFolder("command-center"), "server.mjs")], {
      env: {
        HOST: "127.0.0.1",
        PORT: String(this.#port),
        LOG_LEVEL: "warn",
        POLL_SECONDS: "0.3",
        PROMETHEUS_URL: this.prometheus.url,
        ALERTMANAGER_URL: this.alertmanager.url,
        CRM_API_URL: this.crmApi.url,
        CRM_EVENTS_URL: this.events.url,
        SLACK_INBOX_URL: this.slack.url,
        LINKS: JSON.stringify({ Grafana: "http://localhost:3000", Prometheus: "http://localhost:9090", Alertmanager: "http://localhost:9093" }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    for (const out of [child.stdout, child.stderr]) out.on("data", (chunk) => (this.output += chunk));
    const deadline = Date.now() + 20_000;
    while (!(await fetch(`${this.url}/healthz`).then((r) => r.ok, () => false))) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(`the command center did not start: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** @param signal SIGKILL for a crash */
  async stopService(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.kill(signal);
    return ended;
  }

  /** Brings back whatever a case that failed has left stopped. */
  async startAll(): Promise<void> {
    for (const source of this.sources) {
      await source.start().catch((error: NodeJS.ErrnoException) => {
        // It runs: its own port is taken, by itself.
        if (error.code !== "EADDRINUSE") throw error;
      });
    }
    if (this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null) await this.startService();
  }

  async stop(): Promise<void> {
    await this.stopService();
    for (const source of this.sources) await source.stop();
  }
}
