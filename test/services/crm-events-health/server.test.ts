/** The start of the probe's process, as far as it can fail. */
import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";

const server = new URL("../../../services/crm-events-health/server.ts", import.meta.url).pathname;
let taken: Server | undefined;
afterEach(() => taken?.close());

/** Runs until it ends by itself. */
const ended = (env: Record<string, string>) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [server], { env: { PATH: process.env["PATH"], HOST: "127.0.0.1", ...env }, timeout: 15_000 }, (error, stdout, stderr) => resolve({ code: error?.code, stdout, stderr }));
  });

test("a wrong environment is one line of JSON", async () => {
  const { code, stdout, stderr } = await ended({ PROM_URL: "http://127.0.0.1:1", WINDOW_MODE: "lenient", LOG_LEVEL: "loud" });
  expect([code, stderr]).toEqual([1, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ level: "fatal", service: "crm-events-health", message: "cannot start", reason: expect.stringMatching(/WINDOW_MODE: one of sustained, strict is expected/) });
});

test("a port that is taken is one line of JSON", async () => {
  taken = createServer();
  await new Promise<void>((resolve) => taken!.listen(0, "127.0.0.1", resolve));
  const { code, stdout, stderr } = await ended({ PROM_URL: "http://127.0.0.1:1", PORT: `${(taken.address() as AddressInfo).port}` });
  expect([code, stderr]).toEqual([1, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ level: "fatal", message: "cannot start", reason: expect.stringContaining("EADDRINUSE") });
});
