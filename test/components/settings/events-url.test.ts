/** The address of crm-events that the program gives out follows its TLS. */
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, expect, it } from "vitest";
import type { Platform, WorkloadArgs } from "../../../components/platform/platform.ts";
import type { Settings } from "../../../components/settings/schema.ts";
import { sampleSettings } from "../../support/settings.ts";

const asked: WorkloadArgs[] = [];
const platform: Platform = {
  reloads: true,
  run: (name, args) => {
    asked.push(args);
    return { name, ready: [], url: args.publish === undefined ? undefined : `http://localhost:${args.publish}` };
  },
};

beforeAll(() => pulumi.runtime.setMocks({ newResource: (args) => ({ id: args.name, state: {} }), call: () => ({}) }, "project", "sample", true));

/** Its address, and what the platform is asked to look at for its health. */
async function events(overrides: Partial<Settings>) {
  // Only now: a resource class that is loaded before the mocks would look for an engine.
  const { crmApi, crmEvents } = await import("../../../components/services.ts");
  const stack = { settings: sampleSettings(overrides), secrets: {}, platform };
  const urls = [crmEvents(stack).workload.url, crmApi(stack).workload.url];
  return { urls, health: asked.at(-2)!.health };
}

it("is https with a certificate, and its health is asked over TLS", async () => {
  expect(await events({})).toMatchObject({ urls: ["http://localhost:9010", "http://localhost:8080"], health: { http: { port: 9010, path: "/healthz" } } });
  expect((await events({})).health).not.toHaveProperty("http.tls");
  const tls = { crmEventsTls: { serverName: "events.example.com" } };
  expect(await events({ ...tls, portOffset: 100 })).toMatchObject({ urls: ["https://localhost:9110", "http://localhost:8180"], health: { http: { port: 9010, path: "/healthz", tls: true } } });
});
