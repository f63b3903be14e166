import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { developmentSecret } from "../../components/part.ts";
import { filesUnder } from "../support/render.ts";
import { at, docker, prefix, root, stackName } from "../support/stack.ts";

/** What the stack's secret files hold; in development they are known texts, which are as good as canaries. */
const secrets = [developmentSecret, "services/T000/B000/crm"];
/** The stand-in that plays Slack is told its own paths; nobody else may know them. */
const knows = (container: string, secret: string) => secret.startsWith("services/") && container === `${prefix}-slack-standin`;
const containers = async () => (await docker("ps", "--all", "--format", "{{.Names}}", "--filter", `label=crm.stack=${prefix}`)).split("\n").filter(Boolean);

describe("a secret of the running stack", () => {
  it("stands in no description or log of any container", async () => {
    for (const container of await containers()) {
      for (const secret of secrets.filter((s) => !knows(container, s))) {
        expect(await docker("inspect", container), `inspect ${container}`).not.toContain(secret);
        expect(execFileSync("sh", ["-c", 'docker logs "$1" 2>&1', "sh", container], { encoding: "utf8", maxBuffer: 64 << 20 }), `log of ${container}`).not.toContain(secret);
      }
    }
  });

  it("stands in nothing that was rendered but the secret files", () => {
    for (const [path, text] of Object.entries(filesUnder(join(root, ".state/render", stackName)))) {
      if (path.startsWith("secrets/")) continue;
      for (const secret of secrets) if (!(secret.startsWith("services/") && /compose\.yaml|resources\.json/.test(path))) expect(text, path).not.toContain(secret);
    }
  });

  it("stands in no answer, metric or configuration page", async () => {
    const pages = [at("prometheus", "/api/v1/status/config"), at("prometheus", "/metrics"), at("alertmanager", "/api/v2/status"), at("alertmanager", "/metrics"), at("crm-api", "/metrics"), at("crm-api", "/qbo/status"), at("crm-events", "/metrics"), at("command-center", "/metrics"), at("simulator", "/metrics")];
    for (const page of pages) {
      const text = await (await fetch(page)).text();
      for (const secret of secrets) expect(text, page).not.toContain(secret);
    }
  });

  it("is a file that only the process's own user can read, and nobody has in the environment", async () => {
    const listing = await docker("exec", `${prefix}-alertmanager`, "ls", "-ln", "/run/secrets/crm");
    const files = listing.trim().split("\n").slice(1);
    expect(files.length).toBeGreaterThanOrEqual(3);
    for (const line of files) expect(line).toMatch(/^-r--------\s+1\s+65534\s/);
    for (const container of (await containers()).filter((c) => !c.endsWith("-loader"))) {
      const environment = await docker("inspect", "--format", "{{json .Config.Env}}", container);
      for (const secret of secrets.filter((s) => !knows(container, s))) expect(environment, container).not.toContain(secret);
    }
  });
});
