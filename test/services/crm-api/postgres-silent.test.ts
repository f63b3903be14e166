/** A PostgreSQL host that vanishes without a word: nothing answers, and nothing says so. The server here is a stand-in that can fall silent. */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import type pg from "pg";
import { openPool } from "../../../services/crm-api/store/postgres.ts";

const silentMs = 500;
let server: Server;
let pool: pg.Pool;
const sockets = new Set<Socket>();
/** Connections made until now answer no more; later ones do. */
let silenced = new Set<Socket>();

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
const ready = message("Z", Buffer.from("I"));
const welcome = Buffer.concat([message("R", Buffer.alloc(4)), ready]);
const done = Buffer.concat([message("C", Buffer.from("SELECT 0\0")), ready]);

beforeEach(async () => {
  silenced = new Set();
  server = createServer((socket) => {
    sockets.add(socket);
    let greeted = false;
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (bytes) => {
      if (silenced.has(socket) || bytes.toString("latin1", 0, 1) === "X") return;
      socket.write(greeted ? done : welcome);
      greeted = true;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  pool = openPool({ host: "127.0.0.1", port, database: "d", user: "u", tls: false }, () => undefined, silentMs);
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await pool.end();
  await new Promise((resolve) => server.close(resolve));
});

it("a query without an answer fails, and its connection with it", async () => {
  await pool.query("select 1");
  silenced = new Set(sockets);
  const begin = performance.now();
  await expect(pool.query("select 1")).rejects.toThrow("PostgreSQL is silent");
  expect(performance.now() - begin).toBeGreaterThanOrEqual(silentMs - 50);
  await pool.query("select 1");
});

it("a connection that waits for nothing may be silent, in the pool, between two queries and for notifications", async () => {
  const broken: Error[] = [];
  const client = await pool.connect();
  client.on("error", (error) => broken.push(error));
  await client.query("listen x");
  await pool.query("select 1");
  await sleep(3 * silentMs);
  expect([broken, sockets.size]).toEqual([[], 2]);
  // And is watched again once it is used.
  silenced = new Set(sockets);
  await expect(client.query("select 1")).rejects.toThrow("PostgreSQL is silent");
  client.release(true);
});
