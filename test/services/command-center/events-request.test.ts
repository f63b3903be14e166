/** crm-events over TLS, as the command center asks it. */
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { commandCenterEnv } from "../../../services/command-center/env.ts";
import { EventFeed } from "../../../services/command-center/event-feed.ts";
import { getEvents, jsonOf, type EventsAddress } from "../../../services/command-center/events-request.ts";
import { reasonOf } from "../../../services/command-center/sources/get-json.ts";
import { readEnv } from "../../../services/shared/env.ts";
import { createLogger } from "../../../services/shared/log.ts";
import { makeCertificate, type Certificate } from "../../components/settings/certificates.ts";
import { crmEvent, FakeServer } from "./fakes.ts";

const ca = makeCertificate("Authority");
const middle = makeCertificate("Between", { by: ca });
const leaf = makeCertificate("events", { for: ["events.example.com"], by: ca });

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A crm-events with one event and an open stream. @returns its address */
async function serve({ cert, key }: Certificate): Promise<string> {
  server = createServer({ cert, key }, (request, response) => {
    if (request.url?.startsWith("/crm-events/history")) return void response.end(JSON.stringify({ last_event_id: "e.1", events: [crmEvent(1)] }));
    if (request.url === "/teapot") return void response.writeHead(418).end();
    response.writeHead(200, { "content-type": "text/event-stream" }).write(`retry: 100\nid: e.2\n\nid: e.3\ndata: ${JSON.stringify(crmEvent(2))}\n\n`);
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const get = (address: EventsAddress, path = "/crm-events/history", signal: AbortSignal = AbortSignal.timeout(5000)) => getEvents(address, path, {}, signal);
const refusal = (address: EventsAddress, path?: string, signal?: AbortSignal): Promise<string> => get(address, path, signal).then(() => "none", reasonOf);

describe("a request over TLS", () => {
  it("goes to an address by the name that the certificate has", async () => {
    const url = await serve(leaf);
    expect(await jsonOf(await get({ url, serverName: "events.example.com", ca: ca.cert }))).toMatchObject({ last_event_id: "e.1" });
    expect(await refusal({ url, serverName: "crm-events", ca: ca.cert })).toBe("has a certificate for another name");
    expect(await refusal({ url, ca: ca.cert })).toBe("has a certificate for another name");
  });

  it("trusts the given authority and nobody else, and one that another has signed too", async () => {
    const url = await serve(leaf);
    expect(await refusal({ url, serverName: "events.example.com" })).toBe("has a certificate of an unknown authority");
    expect(await refusal({ url, serverName: "events.example.com", ca: makeCertificate("Authority").cert })).toBe("has a certificate of an unknown authority");
    server!.close();
    const below = await serve(makeCertificate("events", { for: ["events.example.com"], by: middle }));
    expect(await refusal({ url: below, serverName: "events.example.com", ca: middle.cert })).toBe("none");
  });

  it("refuses a certificate that has ended", async () => {
    const url = await serve(makeCertificate("events", { for: ["events.example.com"], by: ca, until: new Date(Date.now() - 1000) }));
    expect(await refusal({ url, serverName: "events.example.com", ca: ca.cert })).toBe("has a certificate that has expired");
  });

  it("says of a server without TLS that it has none", async () => {
    const plain = await new FakeServer((_request, response) => void response.end("{}")).start();
    expect(await refusal({ url: plain.url.replace("http:", "https:"), serverName: "events.example.com", ca: ca.cert })).toBe("does not speak TLS");
    await plain.stop();
  });

  it("ends with its signal's reason, in the body too, and says other answers", async () => {
    const address = { url: await serve(leaf), serverName: "events.example.com", ca: ca.cert };
    expect(await refusal(address, "/teapot")).toBe("answers 418");
    expect(await refusal(address, "/crm-events", AbortSignal.abort(new Error("before")))).toBe("cannot be read");
    const stop = new AbortController();
    const body = await get(address, "/crm-events", stop.signal);
    await expect((async () => {
      for await (const _chunk of body) stop.abort(new Error("enough"));
    })()).rejects.toThrow("enough");
    await vi.waitFor(async () => expect(await new Promise((resolve) => server!.getConnections((_error, count) => resolve(count)))).toBeLessThanOrEqual(1));
  });
});

it("the feed follows crm-events over TLS", async () => {
  const feed = new EventFeed({ url: await serve(leaf), serverName: "events.example.com", ca: ca.cert, log: createLogger("test", "silent") });
  const got: string[] = [];
  feed.subscribe((items) => got.push(...items.map((i) => i.id)));
  feed.start();
  await vi.waitFor(() => expect(got).toEqual(["event-1", "event-2"]), 10_000);
  expect(feed.section()).toMatchObject({ ok: true, problem: null });
  await feed.stop();
});

it("what is for TLS is refused without it", () => {
  const env = { CRM_API_URL: "http://a", CRM_EVENTS_URL: "http://b", PROMETHEUS_URL: "http://c", ALERTMANAGER_URL: "http://d" };
  expect(() => readEnv(commandCenterEnv, { ...env, CRM_EVENTS_SERVER_NAME: "events.example.com" })).toThrow("CRM_EVENTS_SERVER_NAME: is for https");
  expect(() => readEnv(commandCenterEnv, { ...env, CRM_EVENTS_URL: "https://b", CRM_EVENTS_SERVER_NAME: "events.example.com" })).not.toThrow();
});
