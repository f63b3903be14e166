/** Clients that come back while one partition has no leader: nothing is known of its bounds. */
import { afterEach, expect, test } from "vitest";
import { MemoryTopic, Replica, sampleEvent, SseClient } from "./support.ts";

/** Partition 1 has no leader until it is given one. */
class HalfTopic extends MemoryTopic {
  led = false;
  override async bounds() {
    return this.led ? super.bounds() : { starts: [this.starts[0], undefined], ends: [this.ends[0], undefined] };
  }
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanups.splice(0).reverse()) await end();
});

/** A replica that began while partition 1 had no leader, where the group was, and a client that another one has served. */
async function setup(lastEventId: string, replayEvents = 100) {
  const topic = new HalfTopic(2);
  for (let i = 0; i < 20; i++) for (const partition of [0, 1]) topic.append(partition, sampleEvent(`p${partition}`, i));
  const replica = await new Replica(topic, { historyEvents: 10, replayEvents }).start([20, 10]);
  cleanups.push(() => replica.close(), () => expect(replica.errors).toEqual([]));
  const client = new SseClient(replica.port, { lastEventId });
  cleanups.push(() => client.socket.destroy());
  const seen = (key: string) => client.events.map(({ data }) => JSON.parse(data).data).filter((data) => data.key === key).map(({ sequence }) => sequence);
  return { topic, replica, client, seen };
}

test("one that is ahead in it gets the events of the others, and its own when there is a leader, from where it was", async () => {
  const { client, replica, seen, topic } = await setup("epoch1.f.f");
  await client.until(({ events }) => events.length === 5);
  topic.append(0, sampleEvent("p0", 20));
  replica.pump(0);
  await client.until(({ events }) => events.length === 6);
  expect(seen("p0")).toEqual([15, 16, 17, 18, 19, 20]);
  topic.led = true;
  replica.pump(1);
  await client.until(({ events }) => events.length === 11);
  expect(seen("p1")).toEqual([15, 16, 17, 18, 19]);
  expect(client.gaps).toEqual([]);
});

test.each([
  ["ahead", "epoch1.z.f"],
  ["too_far", "epoch1.0.f"],
])("one that the other partitions cannot serve is told so: %s", async (reason, id) => {
  const { client } = await setup(id, 10);
  await client.until(({ gaps }) => gaps.length === 1);
  expect(client.gaps[0]!.reason).toBe(reason);
});
