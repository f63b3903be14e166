/** A real Prometheus on a free port, with rules and targets of a test's own. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureTool } from "../../airgap/tools.ts";

export interface TestPrometheus {
  readonly url: string;
  /** Result of an instant query, as label sets with values. */
  query(expr: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** Path of the program, or why there is none. */
export async function findPrometheus(): Promise<{ program: string } | { missing: string }> {
  try {
    return { program: await ensureTool("prometheus") };
  } catch (error) {
    return { missing: (error as Error).message };
  }
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

/**
 * Starts Prometheus.
 * @param program its path
 * @param files its configuration folder, with `prometheus.yml`
 * @param flags further command-line flags
 * @param prepare fills its storage, whose folder it is given, before the program starts
 * @throws Error with the end of its log when it is not ready after 30 s
 */
export async function startPrometheus(program: string, files: (port: number) => Readonly<Record<string, string>>, flags: readonly string[] = [], prepare?: (storage: string) => Promise<void>): Promise<TestPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), "prometheus-"));
  const port = await freePort();
  for (const [path, text] of Object.entries(files(port))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  await prepare?.(join(folder, "data"));
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`, ...flags];
  const process = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  process.stderr!.on("data", (chunk: Buffer) => (log = (log + chunk).slice(-4000)));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await ended(process);
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; !(await ready(url)); tries++) {
    if (tries === 150 || process.exitCode !== null) {
      await stop();
      throw new Error(`Prometheus did not become ready:\n${log}`);
    }
    await sleep(200);
  }
  const query: TestPrometheus["query"] = async (expr) => {
    const response = await fetch(`${url}/api/v1/query`, { method: "POST", body: new URLSearchParams({ query: expr }) });
    const answer = (await response.json()) as { status: string; error?: string; data: { result: Awaited<ReturnType<TestPrometheus["query"]>> } };
    if (answer.status !== "success") throw new Error(`${answer.error}: ${expr}`);
    return answer.data.result;
  };
  return { url, query, stop };
}

const ready = (url: string): Promise<boolean> =>
  fetch(`${url}/-/ready`).then(
    (r) => r.ok,
    () => false,
  );

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exit = once(process, "exit");
  process.kill("SIGKILL");
  await exit;
}
