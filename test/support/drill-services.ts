/** Services that stand in the running stack for a while, for drills. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parts } from "../../components/topology.ts";
import { container } from "./drill.ts";
import { docker, prefix } from "./stack.ts";

const network = `${prefix}-backend`;

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * A self-signed certificate.
 * @returns undefined, with a printed reason, where there is no openssl
 */
export function makeCertificate(host: string, days: number): Certificate | undefined {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  try {
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", String(days), "-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`], { stdio: "ignore" });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } catch {
    console.warn("skipped: alerts on certificates, because there is no openssl to make one");
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const imageOf = async (part: string): Promise<string> => (await docker("inspect", "--format", "{{.Config.Image}}", container(part))).trim();

/** Removes what an earlier run may have left behind. */
const remove = (name: string): Promise<unknown> => docker("rm", "--force", container(name)).catch(() => undefined);

/** Runs a small server inside the stack, under a name of its own or in place of a part that must be stopped. */
async function serve(name: string, alias: string, script: string): Promise<() => Promise<unknown>> {
  const folder = mkdtempSync(join(tmpdir(), "server-"));
  const file = join(folder, "server.mjs");
  writeFileSync(file, script);
  await remove(name);
  await docker("create", "--name", container(name), "--network", network, "--network-alias", alias, "--entrypoint", "node", await imageOf("simulator"), "/srv/server.mjs");
  await docker("cp", file, `${container(name)}:/srv/server.mjs`);
  rmSync(folder, { recursive: true, force: true });
  await docker("start", container(name));
  return () => remove(name);
}

/**
 * Answers HTTPS requests to `host:8443` inside the stack.
 * @returns what removes it
 */
export const serveCertificate = (host: string, certificate: Certificate): Promise<() => Promise<unknown>> =>
  serve(host, host, `import { createServer } from "node:https";\ncreateServer(${JSON.stringify(certificate)}, (_request, response) => response.end("ok\\n")).listen(8443);\n`);

/**
 * Another program at the address of crm-api, which must be stopped: it answers every request well, and with nothing in it.
 * @returns what removes it
 */
export const otherProgram = (): Promise<() => Promise<unknown>> =>
  serve(
    "drill-crm-api",
    "crm-api",
    `import { createServer } from "node:http";\ncreateServer((_request, response) => response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end()).listen(${parts["crm-api"].port});\n`,
  );
