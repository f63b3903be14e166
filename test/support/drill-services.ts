/** Services that stand in the running stack for a while, for drills. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { container } from "./drill.ts";
import { docker, prefix, until } from "./stack.ts";

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

/**
 * Answers HTTPS requests to `host:8443` inside the stack.
 * @returns what removes it
 */
export async function serveCertificate(host: string, certificate: Certificate): Promise<() => Promise<unknown>> {
  const folder = mkdtempSync(join(tmpdir(), "https-"));
  const file = join(folder, "server.mjs");
  writeFileSync(file, `import { createServer } from "node:https";\ncreateServer(${JSON.stringify(certificate)}, (_request, response) => response.end("ok\\n")).listen(8443);\n`);
  await remove(host);
  await docker("create", "--name", container(host), "--network", network, "--network-alias", host, "--entrypoint", "node", await imageOf("simulator"), "/srv/server.mjs");
  await docker("cp", file, `${container(host)}:/srv/server.mjs`);
  rmSync(folder, { recursive: true, force: true });
  await docker("start", container(host));
  return () => remove(host);
}

/**
 * crm-api with nothing in its store, at the address of the real one, which must be stopped.
 * @returns what removes it
 */
export async function emptyStore(): Promise<() => Promise<unknown>> {
  const name = "drill-crm-api";
  const environment = (JSON.parse(await docker("inspect", "--format", "{{json .Config.Env}}", container("crm-api"))) as string[]).filter((line) => /^(NODE_ENV|PORT|KAFKA_\w+)=/.test(line));
  await remove(name);
  const variables = [...environment, "DATA_DIR=/data", "ORGS=[]"].flatMap((line) => ["--env", line]);
  await docker("run", "--detach", "--name", container(name), "--network", network, "--network-alias", "crm-api", "--user", "1000", "--tmpfs", "/data:uid=1000,mode=0700", ...variables, await imageOf("crm-api"));
  const health = `fetch("http://127.0.0.1:8080/healthz").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`;
  await until("crm-api on an empty store", 60, async () => docker("exec", container(name), "node", "-e", health).then(() => true));
  return () => remove(name);
}
