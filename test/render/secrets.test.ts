import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { filesUnder } from "../support/render.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "secrets-"));
const out = join(folder, "out");
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => rmSync(out, { recursive: true, force: true }));

const run = (...args: string[]) => spawnSync(process.execPath, ["render/secrets.ts", "--out", out, ...args], { cwd: root, encoding: "utf8" });

describe("npm run render:secrets", () => {
  it("refuses a production stack without its secrets, and writes nothing", () => {
    for (const target of ["kubernetes", "docker"]) {
      const { status, stderr, stdout } = run("--stack", "prod", "--set", `target=${target}`);
      expect(status).toBe(1);
      expect(stderr).toContain("[slackWebhook] is required in production");
      expect(stderr).toContain("[grafanaAdminPassword]");
      expect(stderr).toContain("[postgresPassword] is required because postgres is set; set it with: pulumi config set --secret postgresPassword --stack prod");
      expect(stdout).toBe("");
      expect(existsSync(out)).toBe(false);
    }
  }, 60_000);

  it("refuses a development stack that lacks a secret which has no stand-in", () => {
    const { status, stderr } = run("--stack", "dev", "--set", 'postgres={"host":"db","port":5432,"database":"crm","user":"crm","tls":false}');
    expect(status).toBe(1);
    expect(stderr).toContain("[postgresPassword]");
    expect(existsSync(out)).toBe(false);
  });

  it("keeps what an earlier call has written when it refuses", () => {
    mkdirSync(join(out, "secrets"), { recursive: true });
    writeFileSync(join(out, "secrets/grafana"), "kept");
    expect(run("--stack", "prod").status).toBe(1);
    expect(readFileSync(join(out, "secrets/grafana"), "utf8")).toBe("kept");
  });

  it("writes a development stack's stand-ins, in a folder that only the owner enters", () => {
    const { status, stdout } = run("--stack", "dev");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\d+ secret files in /);
    expect(Object.keys(filesUnder(join(out, "secrets")))).toContain("crm-api/qbo-client-secret");
    expect(statSync(join(out, "secrets")).mode & 0o777).toBe(0o700);
  });

  it("removes what an earlier call has written and this one does not, and leaves files of others; whatever the umask", () => {
    const secrets = join(out, "secrets");
    mkdirSync(join(secrets, "kafka-exporter"), { recursive: true });
    mkdirSync(join(secrets, "somebody-else"));
    for (const file of ["kafka-exporter/kafka-sasl-password", "grafana-secrets.yaml", "somebody-else/key"]) writeFileSync(join(secrets, file), "old");
    const { status, stderr } = spawnSync("sh", ["-c", `umask 077; exec "$0" render/secrets.ts --stack dev --out "$1"`, process.execPath, out], { cwd: root, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readdirSync(secrets).sort()).toEqual(["alertmanager", "crm-api", "grafana", "qbo-standin", "somebody-else"]);
    expect(statSync(join(secrets, "grafana")).mode & 0o777).toBe(0o755);
    expect(statSync(join(secrets, "grafana/admin-password")).mode & 0o777).toBe(0o444);
  }, 60_000);
});

describe("encrypted values", () => {
  const given = { slackWebhook: "https://hooks.slack.com/services/T1/B1/abc", qboClientSecret: "s3cret", qboWebhookVerifier: "verifier", postgresPassword: "p$(w", grafanaAdminPassword: "aB3<x>9" };
  const project = join(folder, "project");

  /** A project whose CLI decrypts what it is told to. */
  function decrypting(answer: Record<string, string>) {
    mkdirSync(project, { recursive: true });
    copyFileSync(join(root, "Pulumi.yaml"), join(project, "Pulumi.yaml"));
    const prod = readFileSync(join(root, "Pulumi.prod.yaml"), "utf8");
    // Keys without the project's name are its own.
    writeFileSync(join(project, "Pulumi.prod.yaml"), `${prod}${stringify(Object.fromEntries(Object.keys(given).map((key) => [key, { secure: "v1:xyz" }])), { indent: 2 }).replace(/^/gm, "  ")}`.trimEnd());
    const json = JSON.stringify(Object.fromEntries(Object.entries(answer).map(([key, value]) => [`crm-observability:${key}`, { value, secret: true }])));
    writeFileSync(join(project, "answer.json"), json);
    writeFileSync(join(project, "pulumi"), `#!/bin/sh\ncat "${join(project, "answer.json")}"\n`, { mode: 0o755 });
    const script = `import { writeSecrets } from "${root}render/secrets.ts"; await writeSecrets("prod", ${JSON.stringify(out)}, {}, ${JSON.stringify(project)}).catch((e) => { console.error(e.message); process.exitCode = 1; });`;
    return spawnSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8", env: { ...process.env, PATH: [project, process.env.PATH].join(delimiter) } });
  }

  it("are written as they are", () => {
    const { status, stderr } = decrypting(given);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const data = Object.values(filesUnder(join(out, "secrets"))).map((text) => (parse(text) as { data: Record<string, string> }).data);
    const written = data.flatMap(Object.values).map((encoded: string) => Buffer.from(encoded, "base64").toString());
    expect(written.sort()).toEqual([given.slackWebhook, ...Object.values(given)].sort());
  });

  it("that the CLI does not give are an error, not a file", () => {
    const { postgresPassword: _left, ...rest } = given;
    const { status, stderr } = decrypting(rest);
    expect(status).toBe(1);
    expect(stderr).toContain("did not give: postgresPassword");
    expect(existsSync(out)).toBe(false);
  });

  it("that are wrong once decrypted are told without their content", () => {
    const { status, stderr } = decrypting({ ...given, slackWebhook: "http://CANARY" });
    expect(status).toBe(1);
    expect(stderr).toContain("[slackWebhook] must be an https:// URL");
    expect(stderr).not.toContain("CANARY");
    expect(existsSync(out)).toBe(false);
  });
});
