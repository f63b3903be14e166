import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dashboardRevisions } from "../../components/config/grafana.ts";
import { environment, reloadScript, startScript } from "../../components/grafana.ts";
import { sampleSettings } from "../support/settings.ts";

const s = sampleSettings();
const revisions = dashboardRevisions(s);
const noCurl = spawnSync("curl", ["--version"]).status !== 0;
if (noCurl) console.warn("skipped: there is no curl here, which the image of Grafana has");

let folder: string;
const password = () => join(folder, "admin-password");
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "grafana-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A script as the container runs it, with its fixed paths moved below the test's folder. */
const moved = (script: string) => script.replaceAll("/run/secrets/crm/admin-password", password()).replaceAll("/var/lib/grafana", folder).replaceAll("/run.sh", join(folder, "run.sh"));

describe("Grafana's environment", () => {
  it("names the password's file, in the form that Grafana reads itself", () => {
    expect(environment["GF_SECURITY_ADMIN_PASSWORD"]).toBe("$__file{/run/secrets/crm/admin-password}");
    expect(Object.keys(environment).filter((name) => name.endsWith("__FILE"))).toEqual([]);
  });

  it("keeps Grafana from installing, updating and asking for anything outside", () => {
    const off = Object.entries(environment).filter(([name]) => /^GF_(ANALYTICS|NEWS|PLUGINS)_/.test(name));
    expect(Object.fromEntries(off)).toEqual({
      GF_PLUGINS_PREINSTALL_DISABLED: "true",
      GF_PLUGINS_PREINSTALL_AUTO_UPDATE: "false",
      GF_ANALYTICS_REPORTING_ENABLED: "false",
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false",
      GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: "false",
      GF_NEWS_NEWS_FEED_ENABLED: "false",
    });
  });
});

describe("Grafana's start", () => {
  /** Puts a program of that name before the real ones. */
  const program = (name: string, body: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const start = () => spawnSync("sh", ["-c", moved(startScript)], { encoding: "utf8", env: { ...process.env, PATH: `${folder}:${process.env.PATH}` } });
  beforeEach(() => {
    writeFileSync(password(), 'a"b\\c d\n');
    program("grafana", `echo "$@" > ${folder}/arguments; cat > ${folder}/input`);
    program("run.sh", "echo started");
  });

  it("sets nothing before there is a database", () => {
    expect(start()).toMatchObject({ status: 0, stdout: "started\n" });
    expect(existsSync(join(folder, "arguments"))).toBe(false);
  });

  it("puts the file's password into a database that is there, by a pipe", () => {
    writeFileSync(join(folder, "grafana.db"), "x");
    expect(start()).toMatchObject({ status: 0, stdout: "started\n" });
    expect(readFileSync(join(folder, "arguments"), "utf8")).toBe("cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin\n");
    expect(readFileSync(join(folder, "input"), "utf8")).toBe('a"b\\c d\n');
  });

  it("goes on and says so when that fails", () => {
    writeFileSync(join(folder, "grafana.db"), "x");
    program("grafana", "echo no such user >&2; exit 1");
    const { status, stdout, stderr } = start();
    expect({ status, stdout }).toEqual({ status: 0, stdout: "started\n" });
    expect(stderr).toContain("the one before stays");
  });
});

describe.skipIf(noCurl)("Grafana's reload", () => {
  let server: Server;
  let known: string;
  let asked: string[];
  let startedAt: number;

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const path = `${request.method} ${request.url}`;
    if (request.url === "/api/health") return void response.end("{}");
    if (request.url === "/metrics") return void response.end(`other_seconds 1\nprocess_start_time_seconds ${startedAt.toExponential(9)}\n`);
    if (request.headers.authorization !== `Basic ${Buffer.from(`admin:${known}`).toString("base64")}`) return void response.writeHead(401).end();
    asked.push(path);
    const uid = /^\/api\/dashboards\/uid\/(.+)$/.exec(request.url ?? "")?.[1];
    response.end(uid === undefined ? "{}" : JSON.stringify({ dashboard: { description: `What it shows. Revision ${revisions[uid]}` } }));
  }
  beforeEach(async () => {
    asked = [];
    startedAt = Date.now() / 1000 - 3600;
    server = createServer(answer).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(() => void server.close());

  const reload = () =>
    new Promise<{ code: number; output: string }>((resolve) => {
      const script = moved(`set -eu\nreload() {\n${reloadScript(s)}\n}\nHOST=127.0.0.1\nif reload; then exit 0; else exit 4; fi`).replaceAll("$HOST:3000", `$HOST:${(server.address() as AddressInfo).port}`);
      const child = execFile("sh", ["-c", script], (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, output: stdout + stderr }));
    });

  it.each(["plain", 'a"b', "a\\b", 'a\\"b\\\\', "a b#c$d'e:f%g", "ünïcode"])("logs in with the password %s and waits for every dashboard", async (text) => {
    writeFileSync(password(), text);
    known = text;
    expect(await reload()).toEqual({ code: 0, output: "" });
    expect(asked).toEqual(["GET /api/org", "POST /api/admin/provisioning/datasources/reload", "POST /api/admin/provisioning/dashboards/reload", ...Object.keys(revisions).map((uid) => `GET /api/dashboards/uid/${uid}`)]);
  });

  it("leaves a Grafana alone that is restarted next, because its password has just changed", async () => {
    writeFileSync(password(), "new");
    known = "old";
    const { code, output } = await reload();
    expect({ code, asked }).toEqual({ code: 0, asked: [] });
    expect(output).toContain("reads the new files then");
  });

  it("fails where somebody has changed the password by hand, and says what sets it back", async () => {
    writeFileSync(password(), "of the file");
    const before = startedAt - 60;
    utimesSync(password(), before, before);
    known = "by hand";
    const { code, output } = await reload();
    expect(code).toBe(4);
    expect(output).toContain("changed by hand; restart 127.0.0.1, which sets it back");
  });
});
