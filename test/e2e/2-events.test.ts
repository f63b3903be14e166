import { expect, it } from "vitest";
import { at, postJson, query, until } from "../support/stack.ts";

/** Collects the events of a stream until `stop`. */
function listen(url: string) {
  const controller = new AbortController();
  const events: any[] = [];
  const opened = fetch(url, { headers: { accept: "text/event-stream" }, signal: controller.signal }).then((response) => {
    expect(response.status).toBe(200);
    void read(response);
  });
  async function read(response: Response) {
    let buffer = "";
    try {
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        buffer += chunk;
        for (let end = buffer.indexOf("\n\n"); end >= 0; end = buffer.indexOf("\n\n")) {
          const data = buffer.slice(0, end).split("\n").filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trim()).join("\n");
          buffer = buffer.slice(end + 2);
          if (data) events.push(JSON.parse(data));
        }
      }
    } catch {
      // The test has stopped listening.
    }
  }
  return { opened, events, stop: () => controller.abort() };
}

it("brings an invoice paid through crm-api to a client of the event stream", async () => {
  const stream = listen(at("crm-events", "/crm-events"));
  await stream.opened;
  const invoice = await postJson(at("crm-api", "/invoices"), { org_id: "acme", customer: "End to end", amount_cents: 12_345, due_at: new Date(Date.now() + 864e5).toISOString() });
  await postJson(at("crm-api", `/invoices/${invoice.id}/payments`), { amount_cents: 12_345 });
  const paid = await until("invoice.paid at the client", 30, async () => stream.events.find((e) => e.type === "invoice.paid" && e.aggregate?.id === invoice.id));
  expect(paid).toMatchObject({ org_id: "acme", version: 1 });
  expect(paid.id).toBeTruthy();
  stream.stop();
});

it("counts every handled message of the group", async () => {
  const count = async () => Number((await query("sum(crm_events_messages_total)"))[0]?.value[1] ?? 0);
  const before = await count();
  await postJson(at("crm-api", "/leads"), { org_id: "acme", name: "End to End", email: "e2e@example.com" });
  await until("the counter", 30, async () => (await count()) > before);
});
