import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { rendered } from "../support/render.ts";

interface Compose {
  readonly services: Readonly<Record<string, { readonly ports?: readonly string[]; readonly environment?: readonly string[] }>>;
}

it.each([
  ["192.168.1.5:19092", "0.0.0.0"],
  ["localhost.example.com:19092", "0.0.0.0"],
  ["127.example.com:19092", "0.0.0.0"],
  ["LOCALHOST:19092", "127.0.0.1"],
  ["127.0.0.2:19092", "127.0.0.1"],
])("publishes the broker that is advertised as %s on %s, and every other port on 127.0.0.1", async (external, address) => {
  const { folder } = await rendered("dev", `kafkaExternal=${external}`);
  const { services } = parse(readFileSync(join(folder, "compose.yaml"), "utf8")) as Compose;
  rmSync(folder, { recursive: true, force: true });
  expect(services.kafka!.ports).toEqual([`${address}:19092:19092`]);
  expect(services.kafka!.environment!.join()).toContain(`EXTERNAL://${external}`);
  const others = Object.entries(services).flatMap(([name, { ports = [] }]) => (name === "kafka" ? [] : ports));
  expect(others.length).toBeGreaterThan(3);
  expect(others.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
}, 60_000);
