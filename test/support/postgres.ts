/** A private PostgreSQL server for tests: a cluster of its own on a free port of 127.0.0.1, from the programs that are installed. */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { freePort } from "./kafka.ts";

/** A running server with an empty database `crm` of user `crm`. */
export interface TestPostgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Makes another empty database. @returns its name */
  createDatabase(): Promise<string>;
  /** Ends the server at once, without any clean-up (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; returns when it answers. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

const installed = "/usr/lib/postgresql";

function findPrograms(): string | undefined {
  const versions = existsSync(installed) ? readdirSync(installed).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((v) => join(installed, v, "bin")).find((bin) => existsSync(join(bin, "initdb")) && existsSync(join(bin, "postgres")));
}

const programs = findPrograms();

/** Why no server can be started here, or undefined; for `describe.skipIf(postgresMissing)`. Printed once, so that a skip is never silent. */
export const postgresMissing: string | undefined = programs === undefined ? `no PostgreSQL: there is no ${installed}/*/bin with initdb and postgres (Debian: apt-get install postgresql)` : undefined;
if (postgresMissing !== undefined) console.warn(`skipping tests against a real PostgreSQL: ${postgresMissing}`);

/** PostgreSQL refuses to run as root: then it runs as the user that its package made, or as nobody. */
function runAs(): Pick<SpawnOptions, "uid" | "gid"> {
  if (process.getuid?.() !== 0) return {};
  for (const user of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, user], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })));
      return { uid: uid!, gid: gid! };
    } catch {
      // The next one.
    }
  }
  throw new Error("there is neither a user postgres nor nobody to run PostgreSQL as");
}

const user = "crm";
const password = "test password, not a secret";

/** @throws Error with the reason of `postgresMissing`, or with the server's log when it does not come up */
export async function startPostgres(): Promise<TestPostgres> {
  if (programs === undefined) throw new Error(postgresMissing);
  const identity = runAs();
  const folder = mkdtempSync(join(tmpdir(), "test-postgres-"));
  const [data, log, passwordFile] = [join(folder, "data"), join(folder, "log"), join(folder, "password")];
  writeFileSync(passwordFile, password);
  if (identity.uid !== undefined && identity.gid !== undefined) for (const path of [folder, passwordFile]) chownSync(path, identity.uid, identity.gid);
  const port = await freePort();
  execFileSync(join(programs, "initdb"), ["--pgdata", data, "--username", user, "--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"], { ...identity, stdio: "ignore", cwd: folder });

  let child: ChildProcess | undefined;
  const connect = async (database: string): Promise<pg.Client> => {
    const client = new pg.Client({ host: "127.0.0.1", port, user, password, database, connectionTimeoutMillis: 2_000 });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    ending.once("exit", () => resolve()).kill(signal);
    await promise;
  };
  const start = async (): Promise<void> => {
    const out = openSync(log, "a");
    // Only a power cut loses what was not synced, SIGKILL does not; and a slow disk then holds nothing up.
    const options = ["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c", `unix_socket_directories=${folder}`, "-c", "max_connections=60", "-c", "fsync=off"];
    const launch = (): ChildProcess => (child = spawn(join(programs, "postgres"), options, { ...identity, stdio: ["ignore", out, out], cwd: folder }));
    let server = launch();
    for (const giveUp = Date.now() + 60_000; ; await sleep(100)) {
      try {
        return await (await connect("postgres")).end();
      } catch (error) {
        if (Date.now() > giveUp) throw new Error(`PostgreSQL does not answer: ${String(error)}\n${readFileSync(log, "utf8").slice(-2_000)}`, { cause: error });
        // Processes of a killed server may hold its memory for a moment, in which a new one ends at once.
        if (server.exitCode !== null || server.signalCode !== null) server = launch();
      }
    }
  };
  const createDatabase = async (name = `crm_${Math.random().toString(36).slice(2)}`): Promise<string> => {
    const client = await connect("postgres");
    await client.query(`create database ${name}`);
    await client.end();
    return name;
  };
  const killOnExit = () => child?.kill("SIGKILL");
  process.on("exit", killOnExit);
  await start();
  await createDatabase("crm");
  return {
    host: "127.0.0.1",
    port,
    user,
    password,
    database: "crm",
    createDatabase: () => createDatabase(),
    kill: () => end("SIGKILL"),
    start,
    stop: async () => {
      process.off("exit", killOnExit);
      await end("SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
