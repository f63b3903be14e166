/** The certificate of crm-events as its environment names it: read at the start, taken anew when its files change. */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { eventsEnv } from "../../../services/crm-events/env.ts";
import { startService, type Service } from "../../../services/crm-events/service.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { makeCertificate, type Certificate } from "../../components/settings/certificates.ts";

const first = makeCertificate("first", { for: ["events.example.com"] });
const second = makeCertificate("second", { for: ["events.example.com"] });

let folder: string;
let service: Service | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "crm-events-certificate-"));
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(async () => {
  vi.useRealTimers();
  for (const part of [...(service?.parts ?? [])].reverse()) await part.close();
  service = undefined;
  rmSync(folder, { recursive: true });
});

let seconds = Date.now() / 1000;
/** Writes the two files, each time later than before. */
function write(cert: string, key: string): void {
  seconds += 10;
  for (const [name, text] of [["cert", cert], ["key", key]] as const) {
    writeFileSync(join(folder, name), text);
    utimesSync(join(folder, name), seconds, seconds);
  }
}

const start = async () => {
  // Nobody listens on the discard port.
  const env = readEnv(eventsEnv, { KAFKA_BROKERS: "127.0.0.1:9", HOST: "127.0.0.1", PORT: "0", TLS_CERT_FILE: join(folder, "cert"), TLS_KEY_FILE: join(folder, "key") });
  service = await startService(env, createLogger("test", "silent"));
};

/** Common name of the certificate that a new connection is shown, and the answer of /healthz. */
function ask(trusted: Certificate): Promise<{ name: string; status: number | undefined }> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: service!.address.port, path: "/healthz", servername: "events.example.com", ca: trusted.cert, agent: false };
    get(options, (response) => {
      resolve({ name: String((response.socket as TLSSocket).getPeerCertificate().subject.CN), status: response.statusCode });
      response.resume();
    }).on("error", reject);
  });
}

test("is served by its name, and a renewed one from the next look on", async () => {
  write(first.cert, first.key);
  await start();
  expect(await ask(first)).toEqual({ name: "first", status: 200 });
  write(second.cert, second.key);
  vi.advanceTimersByTime(10_000);
  expect(await ask(second)).toEqual({ name: "second", status: 200 });
  // Half of a renewal, or a file that is none, leaves the one before.
  write(first.cert, second.key);
  vi.advanceTimersByTime(10_000);
  write("nonsense", first.key);
  vi.advanceTimersByTime(10_000);
  expect(await ask(second)).toEqual({ name: "second", status: 200 });
});

test.each([
  ["another's key", first.cert, second.key],
  ["no certificate", "missing", first.key],
  ["no key", first.cert, "missing"],
])("that cannot be used is an error which names the variables and shows no content: %s", async (_what, cert, key) => {
  write(cert, key);
  const error = await start().then(() => undefined, (e: Error) => e.message);
  expect(error).toMatch(/^TLS_CERT_FILE \/.+\/cert and TLS_KEY_FILE \/.+\/key are no certificate and its key as PEM: /);
  expect(error).not.toMatch(/BEGIN|missing/);
});
