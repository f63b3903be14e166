/** Streams that are opened while events wait for the end of a rest. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import type { Transport } from "../../../services/crm-events/transport.ts";
import { MemoryTopic, Replica, sampleEvent } from "./support.ts";

/** A stream that notes what it gets. @param costMs for which a write keeps the process busy */
function noting(costMs: number): { transport: Transport; ids: () => string[] } {
  let text = "";
  const transport: Transport = {
    pending: 0,
    sent: 0,
    write: ({ body }) => {
      text += `${body}`;
      for (const end = performance.now() + costMs; performance.now() < end; );
      return true;
    },
    end: () => undefined,
    destroy: () => undefined,
    onClose: () => undefined,
    writable: async () => undefined,
  };
  return { transport, ids: () => [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id!) };
}

test("a newcomer gets what follows, one that returns what it missed too, and nobody anything twice", async () => {
  const topic = new MemoryTopic(1);
  const replica = new Replica(topic);
  const { errors, hub } = replica;
  replica.reach();
  const publish = async () => {
    topic.append(0, sampleEvent("a", 0));
    replica.pumpAll();
    await hub.room();
  };
  const [slow, late, back] = [noting(80), noting(0), noting(0)];
  hub.open(slow.transport, undefined);
  await publish();
  await publish();
  hub.open(late.transport, undefined);
  hub.open(back.transport, "epoch1.0");
  await publish();
  expect(slow.ids()).toEqual(["epoch1.0", "epoch1.1"]);
  await sleep(5);
  expect(back.ids().slice(0, 4)).toEqual(["epoch1.0", "epoch1.1", "epoch1.2", "epoch1.3"]);
  await publish();
  await vi.waitFor(() => expect(slow.ids()).toHaveLength(5), { timeout: 5_000 });
  expect(slow.ids()).toEqual(["epoch1.0", "epoch1.1", "epoch1.2", "epoch1.3", "epoch1.4"]);
  expect(late.ids()).toEqual(["epoch1.2", "epoch1.3", "epoch1.4"]);
  expect(back.ids()).toEqual(["epoch1.0", "epoch1.1", "epoch1.2", "epoch1.3", "epoch1.4"]);
  expect(errors).toEqual([]);
  await hub.drain(0);
});
