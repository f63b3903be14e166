/** The calls that the adapter itself makes, to an engine wherever the provider would look for it. */
import type * as fileSystem from "node:fs";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { removeContainer, removeNetwork, stopContainer } from "../../components/platform/docker-engine.ts";

// As on a machine whose engine is a user's own.
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof fileSystem>();
  return { ...fs, existsSync: (path: string) => path !== "/var/run/docker.sock" && fs.existsSync(path) };
});

let folder: string;
let engine: Server;
let calls: string[];
/** Answers by the beginning of the path; every other is 404. */
let answers: Record<string, unknown>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "engine-"));
  calls = [];
  answers = {};
  for (const name of ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", folder);
  engine = createServer((request, response) => {
    const path = decodeURIComponent(request.url!);
    calls.push(`${request.method} ${path}`);
    const known = Object.keys(answers).find((start) => path.startsWith(start));
    if (request.method !== "GET") response.writeHead(204).end();
    else if (known === undefined) response.writeHead(404).end('{"message":"no such thing"}');
    else response.end(JSON.stringify(answers[known]));
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  pulumi.runtime.setAllConfig({});
  await new Promise((resolve) => engine.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

const listen = (at: string | number) => new Promise<void>((resolve) => (typeof at === "number" ? engine.listen(at, "127.0.0.1", resolve) : engine.listen(at, resolve)));
const address = () => `127.0.0.1:${(engine.address() as AddressInfo).port}`;
const mine = { "/containers/x/json": { Id: "1", Config: { Labels: { "crm.stack": "crm-dev" } } } };
const removed = ["GET /containers/x/json", "DELETE /containers/1?force=true&v=true"];

describe("the engine is that of", () => {
  it.each(["tcp", "http"])("DOCKER_HOST as %s", async (scheme) => {
    await listen(0);
    answers = mine;
    vi.stubEnv("DOCKER_HOST", `${scheme}://${address()}`);
    await removeContainer("x", "crm-dev");
    expect(calls).toEqual(removed);
  });

  it("DOCKER_HOST as a socket anywhere", async () => {
    const socket = join(folder, "any.sock");
    await listen(socket);
    answers = mine;
    vi.stubEnv("DOCKER_HOST", `unix://${socket}`);
    await removeContainer("x", "crm-dev");
    expect(calls).toEqual(removed);
  });

  it("the stack's configuration, before DOCKER_HOST", async () => {
    await listen(0);
    answers = mine;
    pulumi.runtime.setAllConfig({ "docker:host": `tcp://${address()}` });
    vi.stubEnv("DOCKER_HOST", "tcp://127.0.0.1:9");
    await removeContainer("x", "crm-dev");
    expect(calls).toEqual(removed);
  });

  it("nothing that is reached over ssh, where the provider alone is at work", async () => {
    vi.stubEnv("DOCKER_HOST", "ssh://host.example.com");
    await expect(removeContainer("x", "crm-dev")).resolves.toBeUndefined();
  });

  it("an address at which nothing answers, which is an error", async () => {
    vi.stubEnv("DOCKER_HOST", "tcp://127.0.0.1:9");
    await expect(removeContainer("x", "crm-dev")).rejects.toThrow("127.0.0.1:9");
  });
});

describe("what an interrupted update has left behind", () => {
  beforeEach(async () => {
    await listen(0);
    vi.stubEnv("DOCKER_HOST", `tcp://${address()}`);
  });

  it("is removed when it is the stack's own, and nobody else's by that name", async () => {
    answers = mine;
    await removeContainer("x", "crm-other");
    await removeContainer("y", "crm-dev");
    expect(calls).toEqual(["GET /containers/x/json", "GET /containers/y/json"]);
  });

  it("is a network with the containers on it, by its exact name", async () => {
    answers = { "/networks": [{ Id: "n1", Name: "crm-a.b-edge" }, { Id: "n2", Name: "crm-aXb-edge" }], "/containers/json": [{ Id: "c1" }] };
    await removeNetwork("crm-a.b-edge", "crm-a.b");
    expect(calls.filter((call) => call.startsWith("DELETE"))).toEqual(["DELETE /containers/c1?force=true&v=true", "DELETE /networks/n1"]);
    expect(calls[1]).toContain('{"label":["crm.stack=crm-a.b"],"network":["crm-a.b-edge"]}');
  });
});

describe("a container whose port another one needs", () => {
  const container = (running: boolean) => ({ "/containers/x/json": { Id: "1", State: { Running: running }, Config: { Labels: { "crm.stack": "crm-dev" } } } });
  beforeEach(async () => {
    await listen(0);
    vi.stubEnv("DOCKER_HOST", `tcp://${address()}`);
  });

  it("is stopped when it is the stack's own, and not removed", async () => {
    answers = container(true);
    await stopContainer("x", "crm-dev");
    expect(calls).toEqual(["GET /containers/x/json", "POST /containers/1/stop?t=30"]);
  });

  it("is left alone when it does not run, is nobody's or somebody else's", async () => {
    answers = container(true);
    await stopContainer("x", "crm-other");
    await stopContainer("y", "crm-dev");
    answers = container(false);
    await stopContainer("x", "crm-dev");
    expect(calls.filter((call) => !call.startsWith("GET"))).toEqual([]);
  });
});

it("a local engine is found where a user's own one listens", async () => {
  mkdirSync(join(folder, ".docker/run"), { recursive: true });
  await listen(join(folder, ".docker/run/docker.sock"));
  answers = mine;
  await removeContainer("x", "crm-dev");
  expect(calls).toEqual(removed);
});
