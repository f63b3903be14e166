/** The embedded store: one process, durable, and its tables' history. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newId } from "../../../services/crm-api/crm/ids.ts";
import { readCrmApiEnv } from "../../../services/crm-api/env.ts";
import { openEmbeddedStore } from "../../../services/crm-api/store/store.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "crm-store-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a script with this store's code in a process of its own. */
const otherProcess = (script: string) =>
  spawnSync(process.execPath, ["--input-type=module", "-e", `import { openEmbeddedStore } from ${JSON.stringify(new URL("../../../services/crm-api/store/store.ts", import.meta.url).href)};\n${script}`], { encoding: "utf8" });

describe("the embedded store", () => {
  it("refuses a second process, also one that starts while the first only reads", async () => {
    const path = join(folder, "crm.db");
    const store = await openEmbeddedStore(path);
    await store.db.selectFrom("orgs").selectAll().execute();
    const second = otherProcess(`try { await openEmbeddedStore(${JSON.stringify(path)}); console.log("opened") } catch (e) { console.log(e.name + ": " + e.message) }`);
    expect(second.stdout).toMatch(/^StoreInUse: .*set PG_HOST to run several replicas/);
    await store.close();
    expect(otherProcess(`await (await openEmbeddedStore(${JSON.stringify(path)})).close(); console.log("opened")`).stdout).toBe("opened\n");
  });

  it("lets the next process in after a SIGKILL, with everything that was committed", async () => {
    const path = join(folder, "crm.db");
    const killed = otherProcess(`const s = await openEmbeddedStore(${JSON.stringify(path)});
      await s.db.insertInto("orgs").values({ id: "kept", name: "Kept", created_at: 1 }).execute();
      await s.transaction(async (tx) => { await tx.insertInto("orgs").values({ id: "lost", name: "Lost", created_at: 1 }).execute(); process.kill(process.pid, "SIGKILL"); await new Promise(() => {}); });`);
    expect(killed.signal).toBe("SIGKILL");
    const store = await openEmbeddedStore(path);
    expect((await store.db.selectFrom("orgs").select("id").execute()).map((o) => o.id)).toEqual(["kept"]);
    await store.close();
  });

  it("writes through to the disk", async () => {
    const store = await openEmbeddedStore(join(folder, "crm.db"));
    const pragma = async (name: string) => Object.values((await sql.raw<Record<string, unknown>>(`pragma ${name}`).execute(store.db)).rows[0] ?? {})[0];
    expect([await pragma("journal_mode"), await pragma("synchronous"), await pragma("locking_mode"), await pragma("foreign_keys")]).toEqual(["wal", 2, "exclusive", 1]);
    await store.close();
  });

  it("says that it is full, loses nothing that was committed, and goes on when there is room", async () => {
    const store = await openEmbeddedStore(":memory:");
    const insert = (id: string) => store.transaction((tx) => tx.insertInto("orgs").values({ id, name: "x".repeat(50_000), created_at: 1 }).execute());
    await insert("first");
    const limit = (pages: string) => sql.raw(`pragma max_page_count = ${pages}`).execute(store.db);
    await limit("1");
    await expect(insert("second")).rejects.toMatchObject({ message: "database or disk is full", errcode: 13 });
    await limit("100000");
    await insert("third");
    expect((await store.db.selectFrom("orgs").select("id").orderBy("id").execute()).map((o) => o.id)).toEqual(["first", "third"]);
    await store.close();
  });

  it("names the folder that it cannot write to", async () => {
    await expect(openEmbeddedStore(join(folder, "missing", "crm.db"))).rejects.toThrow(/cannot open the embedded store .*missing.*DATA_DIR/);
  });

  it("tells a damaged file from one that it may not write", async () => {
    const path = join(folder, "crm.db");
    writeFileSync(path, "this was a database once. ".repeat(400));
    const damaged = /crm\.db is damaged \(.+\): restore it from a copy$/;
    await expect(openEmbeddedStore(path)).rejects.toThrow(damaged);
    rmSync(path);
    const store = await openEmbeddedStore(path);
    await sql`insert into orgs (id, name, created_at) with recursive n(i) as (select 1 union all select i + 1 from n where i < 40) select i, hex(randomblob(2000)), 1 from n`.execute(store.db);
    await store.close();
    const file = readFileSync(path);
    // The first page holds the list of tables: it stays readable, and nothing after it does.
    writeFileSync(path, file.fill(0xff, 4096));
    await expect(openEmbeddedStore(path)).rejects.toThrow(damaged);
  });

  it("takes over the queue of an older version, invoices before what builds on them", async () => {
    const path = join(folder, "crm.db");
    const store = await openEmbeddedStore(path);
    // As the first version left it.
    const columns = "id text primary key, org_id text not null, kind text not null, subject_id text not null, invoice_id text not null, created_at bigint not null, done_at bigint, failed_at bigint, attempts integer not null, next_attempt_at bigint not null, problem text";
    for (const table of ["qbo_pushes", "idempotency_keys"]) await sql.raw(`drop table ${table}`).execute(store.db);
    await sql.raw(`create table qbo_pushes (${columns})`).execute(store.db);
    for (const column of ["refreshed_at", "home_currency"]) await sql.raw(`alter table qbo_connections drop column ${column}`).execute(store.db);
    await sql.raw("drop index outbox_unsent").execute(store.db);
    await sql.raw("alter table outbox drop column held_partition").execute(store.db);
    await sql.raw("create index outbox_unsent on outbox (seq, created_at) where sent_at is null").execute(store.db);
    await sql`delete from kysely_migration where name <> '001-initial'`.execute(store.db);
    for (const [id, kind] of [["a", "payment.create"], ["b", "invoice.create"], ["c", "payment.void"]]) {
      await sql`insert into qbo_pushes values (${id}, 'acme', ${kind}, 's', 'i', 1, null, null, 2, 3, 'why')`.execute(store.db);
    }
    await store.close();
    const again = await openEmbeddedStore(path);
    const rows = await again.db.selectFrom("qbo_pushes").selectAll().orderBy("seq").execute();
    expect(rows.map((r) => r.id)).toEqual(["b", "a", "c"]);
    expect(rows[0]).toMatchObject({ org_id: "acme", kind: "invoice.create", invoice_id: "i", created_at: 1, done_at: null, attempts: 2, next_attempt_at: 3, problem: "why" });
    await again.close();
  });

  it("refuses a file that a newer version wrote", async () => {
    const path = join(folder, "crm.db");
    const store = await openEmbeddedStore(path);
    await sql`insert into kysely_migration (name, timestamp) values ('999-from-the-future', '')`.execute(store.db);
    await store.close();
    await expect(openEmbeddedStore(path)).rejects.toThrow(/999-from-the-future/);
  });
});

describe("ids", () => {
  it("sort in the order in which they were made, even when the clock stands still or goes back", () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => newId(i % 3 === 0 ? 1_700_000_000_000 : 1_700_000_000_000 - i));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("the environment", () => {
  const base = { KAFKA_BROKERS: "kafka:9092" };
  it.each([
    [{}, /KAFKA_BROKERS/],
    [{ ...base, REPLICAS: "2" }, /REPLICAS: 2 replicas need PostgreSQL: set PG_HOST/],
    [{ ...base, ORGS: "{" }, /ORGS: is not JSON/],
    [{ ...base, ORGS: '[{"id":"a b","name":"x"}]' }, /ORGS\.0\.id/],
    [{ ...base, ORGS: '[{"id":"acme","name":"Ac\\u0000me"}]' }, /ORGS\.0\.name: must not contain control characters/],
    [{ ...base, ORGS: '[{"id":"acme","name":"Acme \\ud800"}]' }, /ORGS\.0\.name: must not contain control characters/],
    [{ ...base, QBO_CLIENT_ID: "x" }, /QBO_CLIENT_SECRET_FILE: is required with QBO_CLIENT_ID/],
    [{ ...base, PG_PASSWORD_FILE: "/x" }, /PG_HOST/],
    [{ ...base, KAFKA_PARTITIONS: "0" }, /KAFKA_PARTITIONS/],
  ])("%j is refused by name", (env, message) => {
    expect(() => readCrmApiEnv(env)).toThrow(message);
  });

  it("takes several replicas with PostgreSQL", () => {
    expect(readCrmApiEnv({ ...base, REPLICAS: "3", PG_HOST: "db" })).toMatchObject({ REPLICAS: 3, PG_HOST: "db", PORT: 8080, KAFKA_PARTITIONS: 6 });
  });

  it("ends the process with a clear line, and no stack, when it is wrong", () => {
    const server = new URL("../../../services/crm-api/server.ts", import.meta.url).pathname;
    try {
      execFileSync(process.execPath, [server], { env: { PATH: process.env["PATH"], REPLICAS: "2" }, encoding: "utf8", stdio: "pipe" });
      expect.unreachable();
    } catch (error) {
      const { status, stdout } = error as { status: number; stdout: string };
      expect(status).toBe(1);
      expect(JSON.parse(stdout.trim())).toMatchObject({ level: "fatal", message: "cannot start", reason: expect.stringContaining("KAFKA_BROKERS") });
    }
  });
});
