/** Over TLS, with certificates made by openssl. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryTopic, Replica, sampleEvent, SseParser, type Received } from "./support.ts";

const hasOpenssl = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    console.warn("skipping tests over TLS: there is no openssl on the PATH");
    return false;
  }
})();

function certificate(folder: string, name: string): { cert: string; key: string } {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"], { stdio: "ignore" });
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
}

describe.skipIf(!hasOpenssl)("a stream over TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "crm-events-tls-"));
  const topic = new MemoryTopic(1);
  let pair: { cert: string; key: string };
  let events: Replica;

  beforeAll(async () => {
    pair = certificate(folder, "first");
    events = await new Replica(topic, { tls: pair }).start();
  });

  afterAll(async () => {
    await events.close();
    rmSync(folder, { recursive: true });
  });

  const wait = async (condition: () => boolean) => {
    for (let i = 0; i < 300 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(condition()).toBe(true);
  };

  function openTls(ca: string): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ port: events.port, host: "127.0.0.1", ca, ALPNProtocols: ["http/1.1"] }, () => resolve(socket)).once("error", reject);
    });
  }

  test("comes by HTTP/2 and by HTTP/1.1 on one port, as ALPN agrees", async () => {
    const received: Received[] = [];
    const parser = new SseParser((event) => received.push(event));
    const session = connectHttp2(`https://127.0.0.1:${events.port}`, { ca: pair.cert });
    const stream = session.request({ ":path": "/crm-events" });
    let headers: Record<string, unknown> = {};
    stream.on("response", (got) => (headers = got)).on("data", (bytes: Buffer) => parser.push(bytes));
    await wait(() => parser.retry !== undefined);
    expect(headers).toMatchObject({ ":status": 200, "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" });
    expect(headers).not.toHaveProperty("connection");

    const socket = await openTls(pair.cert);
    expect(socket.alpnProtocol).toBe("http/1.1");
    let text = "";
    socket.on("data", (bytes: Buffer) => (text += bytes.toString())).write("GET /crm-events HTTP/1.1\r\nHost: x\r\n\r\n");
    await wait(() => text.includes("retry: "));

    topic.append(0, sampleEvent("a", 1));
    events.pumpAll();
    await wait(() => received.length === 1 && text.includes("data: "));
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    socket.destroy();
    session.destroy();
  });

  test("takes a renewed certificate for new connections", async () => {
    const renewed = certificate(folder, "second");
    const open = await openTls(pair.cert);
    events.front.renew(renewed);
    const socket = await openTls(renewed.cert);
    expect(socket.getPeerCertificate().subject.CN).toBe("second");
    expect(open.destroyed).toBe(false);
    expect(() => events.front.renew({ cert: renewed.cert, key: pair.key })).toThrow();
    socket.destroy();
    open.destroy();
  });
});
