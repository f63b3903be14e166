/**
 * The whole life of a stack by the Make targets' programs: nothing to do, down, up on the same data, down with its data.
 * The last of the suite, because nothing of the stack is left after it. With KEEP=1 it does not run.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { at, docker, getJson, postJson, prefix, query, root, stackName, until, up } from "../support/stack.ts";

const down = (...args: string[]) => spawnSync(process.execPath, ["tools/down.ts", stackName, ...args], { cwd: root, encoding: "utf8" });
const list = async (...args: string[]) => (await docker(...args)).split("\n").filter(Boolean).sort();
const containers = () => list("ps", "--all", "--quiet", "--no-trunc", "--filter", `label=crm.stack=${prefix}`);
const volumes = async () => (await list("volume", "ls", "--quiet")).filter((name) => name.startsWith(`${prefix}-`));
const networks = async () => (await list("network", "ls", "--format", "{{.Name}}")).filter((name) => name.startsWith(`${prefix}-`));
const secretFiles = join(root, ".state/render", stackName, "secrets");
const isData = (volume: string) => volume.endsWith("-data");

/** Volumes without a name, which the stack's images declare. */
async function unnamedVolumes(): Promise<string[]> {
  const mounts = await docker("inspect", "--format", '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}}\n{{end}}{{end}}', ...(await containers()));
  return mounts.split("\n").filter((name) => /^[0-9a-f]{64}$/.test(name));
}

const org = "lifecycle";
const invoices = async () => (await getJson<{ invoices: { id: string; amount_cents: number }[] }>(at("crm-api", `/invoices?org_id=${org}`))).invoices;
const silences = async () => (await getJson<{ id: string; comment: string }[]>(at("alertmanager", "/api/v2/silences"))).filter((s) => s.comment === org).map((s) => s.id);
const generated = async (time: number) => (await getJson(at("prometheus", `/api/v1/query?time=${time}&query=${encodeURIComponent(`crm_invoices_generated_total{org_id="${org}"}`)}`))).data.result.map((s: { value: [number, string] }) => s.value[1]) as string[];
/** Kinds of the events of its organisation; each comes at least once. */
const events = async () => [...new Set((await getJson<{ events: { org_id: string; type: string }[] }>(at("crm-events", "/crm-events/history?n=10000"))).events.filter((e) => e.org_id === org).map((e) => e.type))].sort();

/** One of each kind of data: CRM, Kafka, Alertmanager, Prometheus. @returns a time at which Prometheus has the invoice */
async function makeData(): Promise<number> {
  const known = (await getJson<{ orgs: { id: string }[] }>(at("crm-api", "/orgs"))).orgs;
  if (!known.some(({ id }) => id === org)) await postJson(at("crm-api", "/orgs"), { id: org, name: "Lifecycle" });
  await postJson(at("crm-api", "/invoices"), { org_id: org, customer: "Customer", amount_cents: 12_345 });
  const [startsAt, endsAt] = [0, 3_600_000].map((ms) => new Date(Date.now() + ms).toISOString());
  await postJson(at("alertmanager", "/api/v2/silences"), { matchers: [{ name: "org_id", value: org, isRegex: false, isEqual: true }], startsAt, endsAt, createdBy: "test", comment: org });
  await until("the invoice's event", 120, async () => (await events()).includes("invoice.created"));
  const expected = (await invoices()).length;
  const [sample] = await until("the invoice in Prometheus", 120, async () => {
    const found = await query(`crm_invoices_generated_total{org_id="${org}"} == ${expected}`);
    return found.length > 0 ? found : undefined;
  });
  return sample!.value[0];
}

describe.skipIf(process.env.KEEP)("the life of a stack", () => {
  // Before each, so that a second try does not begin on what a failed one took down.
  beforeEach(async () => {
    const { code, output } = await up("--compose");
    expect(code, output).toBe(0);
  });

  it("goes on untouched when make up has nothing to do", async () => {
    const starts = async () => list("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", ...(await containers()));
    const before = await starts();
    expect(before.length).toBeGreaterThan(15);
    const begin = Date.now();
    const { code, output } = await up("--compose");
    const seconds = (Date.now() - begin) / 1000;
    expect(code, output).toBe(0);
    expect(output).toContain("nothing has changed and everything is healthy");
    expect(await starts()).toEqual(before);
    expect(seconds).toBeLessThan(120);
  });

  it("keeps its data and no secret over make down, and has the data again after make up", async () => {
    const time = await makeData();
    const shown = async () => ({ invoices: await invoices(), silences: await silences(), generated: await generated(time), events: await events() });
    const before = await shown();
    expect(before.invoices[0]).toMatchObject({ amount_cents: 12_345 });
    expect(before.silences.length).toBeGreaterThan(0);
    const data = (await volumes()).filter(isData);
    expect(data.map((name) => name.slice(prefix.length + 1))).toEqual(expect.arrayContaining(["alertmanager-data", "crm-api-data", "kafka-data", "prometheus-data"]));
    const unnamed = await unnamedVolumes();
    expect(existsSync(secretFiles)).toBe(true);

    const { status, stderr } = down();
    expect(status, stderr).toBe(0);
    expect(await containers()).toEqual([]);
    expect(await networks()).toEqual([]);
    expect(await volumes()).toEqual(data);
    expect((await list("volume", "ls", "--quiet")).filter((name) => unnamed.includes(name))).toEqual([]);
    expect(existsSync(secretFiles)).toBe(false);

    const { code, output } = await up("--compose");
    expect(code, output).toBe(0);
    for (const [what, was] of Object.entries(before)) {
      await until(`the same ${what}`, 120, async () => {
        const now = JSON.stringify((await shown())[what as keyof typeof before]);
        if (now !== JSON.stringify(was)) throw new Error(`${now} instead of ${JSON.stringify(was)}`);
        return true;
      });
    }
  });

  it("leaves nothing after make down DATA=delete", async () => {
    const { status, stderr } = down("--data");
    expect(status, stderr).toBe(0);
    expect({ containers: await containers(), volumes: await volumes(), networks: await networks() }).toEqual({ containers: [], volumes: [], networks: [] });
    expect(existsSync(secretFiles)).toBe(false);
    // A further one has nothing to do and is no mistake, as after this suite.
    expect(down("--data").status).toBe(0);
  });
});
