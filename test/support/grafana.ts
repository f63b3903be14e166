/** A real Grafana on a free port, with provisioning of a test's own. Grafana is in no package registry: it has to be there. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./prometheus.ts";

const password = "only-for-this-test";

export interface TestGrafana {
  /** Folder of its configuration files. */
  readonly folder: string;
  /** Calls the API as administrator; status and JSON. */
  api(method: "GET" | "POST", path: string, body?: unknown): Promise<{ status: number; json: any }>;
  stop(): Promise<void>;
}

/** Home folder of an installed Grafana, or why there is none. */
export function findGrafana(): { home: string } | { missing: string } {
  const home = [process.env["GRAFANA_HOME"], "/usr/share/grafana"].find((folder) => folder && existsSync(join(folder, "conf/defaults.ini")));
  return home ? { home } : { missing: "no Grafana here: set GRAFANA_HOME to the folder of an unpacked Grafana 13" };
}

/**
 * Starts Grafana with `files` as its configuration folder.
 * @param files by path, with the folder that they are in; `provisioning/` is read at the start
 * @throws Error with the end of its log when it is not healthy after 60 s
 */
export async function startGrafana(home: string, files: (folder: string) => Readonly<Record<string, string>>): Promise<TestGrafana> {
  const folder = mkdtempSync(join(tmpdir(), "grafana-"));
  for (const [path, text] of Object.entries(files(folder))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const port = await freePort();
  const program = [join(home, "bin/grafana"), "/usr/sbin/grafana"].find((path) => existsSync(path)) ?? "grafana";
  const env = {
    ...process.env,
    GF_SERVER_HTTP_ADDR: "127.0.0.1",
    GF_SERVER_HTTP_PORT: String(port),
    GF_PATHS_DATA: join(folder, "data"),
    GF_PATHS_LOGS: join(folder, "logs"),
    GF_PATHS_PROVISIONING: join(folder, "provisioning"),
    GF_SECURITY_ADMIN_PASSWORD: password,
    GF_ANALYTICS_REPORTING_ENABLED: "false",
    GF_ANALYTICS_CHECK_FOR_UPDATES: "false",
    GF_PLUGINS_PREINSTALL_DISABLED: "true",
  };
  const child = spawn(program, ["server", "--homepath", home], { env, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (log = (log + chunk).slice(-4000)));
  const url = `http://127.0.0.1:${port}/api`;
  const stop = async () => {
    if (child.exitCode === null) {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  const api: TestGrafana["api"] = async (method, path, body) => {
    const headers = { authorization: `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`, "content-type": "application/json" };
    const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: response.status, json: await response.json().catch(() => undefined) };
  };
  for (let tries = 0; (await api("GET", "/health").catch(() => undefined))?.status !== 200; tries++) {
    if (tries === 120 || child.exitCode !== null) {
      await stop();
      throw new Error(`Grafana did not become healthy:\n${log}`);
    }
    await sleep(500);
  }
  return { folder, api, stop };
}
