import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { appliedOf, changedSecrets, readApplied, restartForSecrets } from "../../tools/compose.ts";
import { failedLoaders, loaderReports } from "../../tools/health.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";

let folder: string;
let docker: FakeDocker | undefined;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "rendered-"))));
afterEach(() => {
  docker?.remove();
  docker = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function render(secrets: Record<string, string>, compose = "services: {}\n"): void {
  writeFileSync(join(folder, "compose.yaml"), compose);
  for (const [path, text] of Object.entries(secrets)) {
    mkdirSync(join(folder, "secrets", path, ".."), { recursive: true });
    writeFileSync(join(folder, "secrets", path), text);
  }
}

describe("what was applied", () => {
  it("differs by the file and by each part's secrets, and shows none of them", () => {
    render({ "grafana/admin-password": "canary", "alertmanager/slack-crm": "one" });
    const first = appliedOf(folder);
    expect(JSON.stringify(first)).not.toContain("canary");
    expect(appliedOf(folder)).toEqual(first);
    render({ "grafana/admin-password": "two" });
    const second = appliedOf(folder);
    expect(second.all).not.toBe(first.all);
    expect(changedSecrets(first, second)).toEqual(["grafana"]);
    render({}, "services: { x: {} }\n");
    expect(changedSecrets(second, appliedOf(folder))).toEqual([]);
    expect(appliedOf(folder).all).not.toBe(second.all);
  });

  it("is not known before the first time, nor from what an earlier version wrote", () => {
    const path = join(folder, "applied");
    expect(readApplied(path)).toBeUndefined();
    for (const text of ["5f1d9c5f1d9c5f1d", "1234567890123456"]) {
      writeFileSync(path, text);
      expect(readApplied(path)?.all).toBeUndefined();
      expect(changedSecrets(readApplied(path), { all: "x", secrets: { grafana: "y" } })).toEqual(["grafana"]);
    }
  });
});

describe("after secrets have changed", () => {
  const started = { "crm-dev-grafana": "2026-01-01T00:00:00.1Z", "crm-dev-kafka-exporter-2": "2026-01-01T00:00:00Z", "crm-dev-other": "2026-01-01T00:00:00Z" };
  const run = async (changed: string[], since: string): Promise<string[]> => {
    docker = fakeDocker(`case "$*" in
      ps*) printf '%s\\n' ${Object.keys(started).join(" ")};;
      ${Object.entries(started).map(([name, at]) => `inspect*${name}) echo ${at};;`).join("\n")}
    esac`);
    await restartForSecrets("crm-dev", changed, Date.parse(since));
    return docker.calls().filter((call) => call.startsWith("restart"));
  };

  it("restarts those that read them when they start", async () => {
    expect(await run(["grafana", "kafka-exporter", "alertmanager"], "2026-01-02T00:00:00Z")).toEqual(["restart --time 30 crm-dev-grafana", "restart --time 30 crm-dev-kafka-exporter-2"]);
    expect(docker!.calls()[0]).toContain("label=crm.stack=crm-dev --filter label=crm.restart-on-secrets=true");
  });

  it("restarts none that was started since, nor any other", async () => {
    expect(await run(["grafana"], "2026-01-01T00:00:00Z")).toEqual([]);
    docker!.remove();
    expect(await run(["kafka", "alertmanager"], "2026-01-02T00:00:00Z")).toEqual([]);
  });
});

it("shows what each loader that failed has said, and no other", async () => {
  docker = fakeDocker(`case "$1" in
    ps) printf '%s\\n' crm-dev-prometheus crm-dev-prometheus-config-loader crm-dev-grafana-secrets-loader crm-dev-blackbox-config-loader;;
    inspect) printf '3 \\n0 \\n127 no such file\\n';;
    logs) echo "words of $4"; echo "more" >&2;;
  esac`);
  expect(await loaderReports("crm-dev")).toEqual(["crm-dev-prometheus-config-loader ended with code 3:\nwords of crm-dev-prometheus-config-loader\nmore", "crm-dev-blackbox-config-loader ended with code 127 no such file:\nwords of crm-dev-blackbox-config-loader\nmore"]);
});

it("names the loaders that are to run again: those that failed or never ran", async () => {
  docker = fakeDocker(`printf '%s\\n' 'crm-dev-a-config-loader|Exited (0) 2 days ago' 'crm-dev-b-config-loader|Exited (4) 2 days ago' 'crm-dev-c-secrets-loader|Created' 'crm-dev-kafka|Exited (1) 1 minute ago'`);
  expect(await failedLoaders("crm-dev")).toEqual(["crm-dev-b-config-loader", "crm-dev-c-secrets-loader"]);
});
