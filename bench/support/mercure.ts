/** Mercure's own server as a rival: found by `MERCURE_BIN`, configured for anonymous subscribers of one topic. */
import { execFileSync, type ChildProcess } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../test/support/kafka.ts";
import { spawnOn } from "./machine.ts";

const key = "a-key-for-one-benchmark-on-loopback-only";
const topic = "https://example.com/events";

/** Why Mercure takes no part, or undefined. */
export const mercureMissing: string | undefined = process.env["MERCURE_BIN"] ? undefined : "Mercure is absent: set MERCURE_BIN to its server program";

export interface MercureServer {
  readonly child: ChildProcess;
  readonly version: string;
  readonly port: number;
  /** Path of the stream. */
  readonly path: string;
  /** Headers of a publication. */
  readonly headers: Record<string, string>;
  /** Body of a publication. */
  body(data: string): string;
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(typ: string, claims: object): string {
  const text = `${encode({ alg: "HS256", typ })}.${encode(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

/** Version 1 and version 0 differ in configuration, tokens and the parameter that names the topic. */
function dialects(port: number) {
  const address = `http://127.0.0.1:${port}`;
  const audience = `${address}/.well-known/mercure`;
  const now = Math.floor(Date.now() / 1_000);
  const details = [{ type: "https://mercure.rocks/authorization-detail", actions: ["publish"], topics: [{ match: "*", match_type: "exact" }, "*"] }];
  const common = { iss: "https://localhost", aud: audience, sub: "bench", client_id: "bench", iat: now, exp: now + 86_400, jti: randomUUID() };
  const site = (directives: string) => `{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n${address} {\n\tbind 127.0.0.1\n\tmercure {\n\t\tanonymous\n\t\ttransport local\n${directives}\n\t}\n}\n`;
  return [
    {
      config: site(`\t\tissuer https://localhost {\n\t\t\tpublisher {\n\t\t\t\tjwt ${key} HS256\n\t\t\t}\n\t\t}`),
      path: `/.well-known/mercure?match=${encodeURIComponent(topic)}`,
      mint: (program: string) => execFileSync(program, ["mercure-token", "--iss", "https://localhost", "--aud", audience, "--key", key, "--publish", "*"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim(),
    },
    {
      config: site(`\t\tpublisher_jwt ${key} HS256`),
      path: `/.well-known/mercure?topic=${encodeURIComponent(topic)}`,
      mint: () => token("JWT", { ...common, authorization_details: details, mercure: { publish: ["*"] } }),
    },
  ];
}

/** Starts it on a core and waits until it answers. @throws Error when no known configuration suits it */
export async function startMercure(core: number): Promise<MercureServer> {
  const program = process.env["MERCURE_BIN"]!;
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "bench-mercure-"));
  const file = join(folder, "Caddyfile");
  for (const { config, mint, path } of dialects(port)) {
    writeFileSync(file, config);
    try {
      execFileSync(program, ["validate", "--config", file, "--adapter", "caddyfile"], { stdio: "ignore", env: { ...process.env, HOME: folder } });
    } catch {
      continue;
    }
    const child = spawnOn(core, program, ["run", "--config", file, "--adapter", "caddyfile"], { PATH: process.env["PATH"], HOME: folder });
    child.stdout!.resume();
    await waitForPort(port);
    const headers = { Authorization: `Bearer ${mint(program)}`, "Content-Type": "application/x-www-form-urlencoded" };
    return { child, port, path, headers, version: versionOf(program), body: (data) => `${new URLSearchParams({ topic, data })}` };
  }
  throw new Error(`${program} takes none of the configurations that this benchmark knows`);
}

function versionOf(program: string): string {
  return `in Caddy ${execFileSync(program, ["version"], { encoding: "utf8" }).split(" ")[0]!.trim()}`;
}

async function waitForPort(port: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const status = await new Promise<number>((resolve) => request({ port, host: "127.0.0.1", path: "/" }, (response) => (response.resume(), resolve(response.statusCode ?? 0))).on("error", () => resolve(0)).end());
    if (status !== 0) return;
    await sleep(100);
  }
  throw new Error("Mercure does not answer");
}
