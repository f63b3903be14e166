/** The end of a service: nobody who merely stays connected can hold it up. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { closeWithin } from "../../../services/shared/lifecycle.ts";
import { freePort } from "../../support/kafka.ts";

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** @returns the connection, once it is there. @param text what the client says before it falls silent */
async function connected(port: number, text = ""): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(port, "127.0.0.1", resolve).on("error", reject);
  sockets.push(socket);
  await promise;
  if (text !== "") socket.write(text);
  return socket;
}

describe("an HTTP server", () => {
  const listening = async (server: Server): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  };
  const closing = (server: Server) => () => new Promise((resolve) => server.close(resolve));

  it("is closed after the grace although a client is silent", async () => {
    const server = createServer();
    const socket = await connected(await listening(server));
    const began = performance.now();
    await closeWithin(server, closing(server), 200);
    expect(performance.now() - began).toBeGreaterThanOrEqual(190);
    while (!socket.closed) await sleep(5);
  });

  it("ends a request under way within the grace, and is closed with it", async () => {
    const server = createServer((_request, response) => void setTimeout(() => response.end("done"), 100));
    const port = await listening(server);
    const answer = fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
    await new Promise((resolve) => server.once("request", resolve));
    const began = performance.now();
    await closeWithin(server, closing(server), 15_000);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await (await answer).text()).toBe("done");
  });
});

describe("a service in a process of its own", () => {
  const folder = mkdtempSync(join(tmpdir(), "lifecycle-"));
  const secret = join(folder, "secret");
  writeFileSync(secret, "secret");
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ["crm-api", { KAFKA_BROKERS: "127.0.0.1:1", DATA_DIR: "" }],
    ["crm-events", { KAFKA_BROKERS: "127.0.0.1:1" }],
    ["crm-events-health", { PROM_URL: "http://127.0.0.1:1" }],
    ["simulator", { CRM_API_URL: "http://127.0.0.1:1", TENANTS: '["t"]', ORGS: '[{"id":"acme","name":"Acme"}]' }],
    ["slack-standin", {}],
    ["qbo-standin", { QBO_CLIENT_ID: "client", QBO_CLIENT_SECRET_FILE: secret, QBO_WEBHOOK_VERIFIER_FILE: secret }],
  ])("%s ends with 0 on SIGTERM although clients are silent, or stopped half-way", async (name, env) => {
    const port = await freePort();
    const server = new URL(`../../../services/${name}/server.ts`, import.meta.url).pathname;
    const data = "DATA_DIR" in env && { DATA_DIR: mkdtempSync(join(folder, "data-")) };
    const child = spawn(process.execPath, [server], { env: { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: String(port), ...env, ...data }, stdio: "ignore" });
    children.push(child);
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    while (child.exitCode === null && !(await fetch(`http://127.0.0.1:${port}/healthz`).then(() => true, () => false))) await sleep(50);
    await connected(port);
    await connected(port, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    await sleep(100);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });
});
