/** Alerts of the event pipeline and of QuickBooks, each from its cause to its message in Slack. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Settings } from "../../components/settings/schema.ts";
import { expectMessage, expectMuted, expectNoMessage, expectResolved, firingNow, firingParts, mark, silence } from "../support/alert-messages.ts";
import { eventCauses } from "../support/alert-proofs.ts";
import { eventLine, flood, produce, takeCommits } from "../support/drill-kafka.ts";
import { allUp, askInside, container, cutOff, freshPrometheus, putRight, reconnect, restart, scenario, start, stop } from "../support/drill.ts";
import { openStreams } from "../support/streams.ts";
import { at, docker, emptyInbox, postJson, query, runningSettings, sleep, until } from "../support/stack.ts";

let settings: Settings;
let since: number;

/** Looks for every alert of a cause, in the order of the list. */
async function seen(names: readonly string[], options: Parameters<typeof expectMessage>[3] = {}): Promise<void> {
  for (const name of names) await expectMessage(settings, name, since, options);
}

const value = async (expr: string): Promise<number> => Number((await query(expr))[0]?.value[1] ?? NaN);
const twoMembers = async (): Promise<boolean> => (await value('kafka:group_consumer_count{consumergroup="crm-events-sse"}')) === 2;

/** Undoes whatever the cases do, and waits until nothing is told any more. */
async function recover(): Promise<void> {
  await docker("update", "--cpus", "0.5", container("crm-events-2"));
  // Right after a first start Kafka does not keep commits yet.
  await until("Kafka to take commits", 120, () => takeCommits(true).then(() => true));
  await putRight(settings);
  await scenario("silence", false);
  await askInside("qbo-standin", "DELETE", "http://127.0.0.1:8091/standin/faults");
  // The restarts and dead letters of the last minutes would be told for as long as the windows last.
  await freshPrometheus();
  await allUp();
  await silence();
  since = await mark();
}

beforeAll(async () => {
  settings = await runningSettings();
  await recover();
  await emptyInbox();
});

// A case begins where the one before it ended; after a failure, where the first one began.
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await recover();
});

afterAll(recover);

describe("QuickBooks", () => {
  it("QuickBooks revokes the tokens, then answers 429", async () => {
    const [expiring, limited] = eventCauses["QuickBooks revokes the tokens, then answers 429"];
    // The simulator would connect the company again at once.
    await scenario("silence", true);
    await askInside("qbo-standin", "POST", "http://127.0.0.1:8091/standin/revoke");
    await postJson(at("crm-api", "/qbo/sync"));
    await expectMessage(settings, expiring, since);
    await askInside("qbo-standin", "POST", "http://127.0.0.1:8091/standin/faults", { mode: "429", count: 2 });
    await scenario("silence", false);
    await expectMessage(settings, limited, since, { windowSeconds: 30 });
    await expectResolved(expiring, since);
  });
});

describe("clients and replicas", () => {
  it("sixty clients connect", async () => {
    const streams = await openStreams(at("crm-events", "/crm-events"), 60);
    try {
      await seen(eventCauses["sixty clients connect"]);
    } finally {
      streams.close();
    }
    await expectResolved("CrmEventsTooManyClients", since);
  });

  it("a replica restarts four times and then stays away; the last client leaves", async () => {
    await stop("command-center");
    const starts = `process_start_time_seconds{instance="crm-events-2:9010"}`;
    for (let times = 0; times < 4; times++) {
      const before = await value(starts);
      await restart("crm-events-2");
      await until("a scrape of the new process", 60, async () => (await value(starts)) > before);
    }
    await stop("crm-events-2");
    await seen(eventCauses["a replica restarts four times and then stays away"]);
    const [clients, target] = eventCauses["the command center stops, and with it the last client"];
    await expectMessage(settings, clients, since);
    await expectMessage(settings, target, since, { about: "command-center:3001" });
  });

  it("the last replica restarts without Kafka: what follows from that is muted", async () => {
    const [down, errors] = eventCauses["the last replica restarts without Kafka"];
    for (const part of ["command-center", "crm-events-2"]) await stop(part);
    await cutOff("crm-events-1");
    await restart("crm-events-1");
    await expectMessage(settings, down, since, { windowSeconds: 60 });
    await until("the group without a member", 120, async () => (await firingParts(down, since)).some(({ part }) => part.lines.join().includes("has had no member")));
    for (const name of ["CrmEventsUnderReplicatedConsumers", "ServiceReplicaDown", "CrmEventsNoClients"]) await expectMuted(name, down);
    await refusals();
    await expectMessage(settings, errors, since, { windowSeconds: 30 });
  });

  it("all replicas stop, and come back", async () => {
    const [down, availability] = eventCauses["all replicas stop, and come back"];
    const before = await mark();
    for (const part of ["command-center", "crm-events-2", "crm-events-1"]) await stop(part);
    const message = await expectMessage(settings, down, before, { windowSeconds: 60 });
    expect(JSON.stringify(message.payload)).toContain("No replica of crm-events has answered");
    await expectMuted(availability, down);
    await sleep(16);
    await expectNoMessage(availability, before);
    await reconnect("crm-events-1");
    for (const part of ["crm-events-1", "crm-events-2", "command-center"]) await start(part);
    await expectResolved(down, before);
    await expectMessage(settings, availability, since);
    await until("two members", 120, twoMembers);
    // It was muted in the outage: only what was told before can be over.
    if ((await firingParts("CrmEventsUnderReplicatedConsumers", since)).length > 0) await expectResolved("CrmEventsUnderReplicatedConsumers", since);
  });
});

describe("the consumer group", () => {
  it("Kafka takes no commits, and a hot key", async () => {
    await until("two members", 60, twoMembers);
    await takeCommits(false);
    await freshPrometheus();
    since = await mark();
    await produce(Array.from({ length: 3000 }, (_, n) => eventLine(n, "hot")), "drill:hot");
    await seen(eventCauses["Kafka takes no commits, and a hot key"]);
  });

  it("messages that are no events", async () => {
    await produce(["this is no event"]);
    await sleep(5);
    await produce(["neither is this", "{}"]);
    await seen(eventCauses["messages that are no events"]);
  });

  it("a flood of events while Kafka takes no commits", async () => {
    await takeCommits(false);
    // More than 1000 a second over the 5 minutes of the rate.
    await flood(400_000);
    const [lag, backpressure] = eventCauses["a flood of events while Kafka takes no commits"];
    for (const name of [lag, backpressure]) await expectMessage(settings, name, since);
    await takeCommits(true);
    await expectResolved(lag, since);
    await until("no partition is stuck", 120, async () => !(await firingNow()).includes("CrmEventsPartitionStuck"));
    expect(await value('kafka:group_lag_sum{consumergroup="crm-events-sse"}')).toBeLessThan(settings.thresholds.lag);
  });

  it("a flood of events meets a starved replica", async () => {
    const [fanout] = eventCauses["a flood of events meets a starved replica"];
    const before = await mark();
    await docker("update", "--cpus", "0.2", container("crm-events-2"));
    await flood(600_000);
    // On a slow machine the starved one cannot even be scraped for a while, and the other one is late too.
    await expectMessage(settings, fanout, before);
    await docker("update", "--cpus", "0.5", container("crm-events-2"));
    await expectResolved(fanout, before);
  });
});

/**
 * Thousands of requests to a replica that has not reached Kafka: its history answers 503, each address is let through 120
 * times a minute. The first answer makes the series, which a rate does not count.
 */
async function refusals(): Promise<void> {
  const history = at("crm-events", "/crm-events/history");
  await until("a refusal", 60, async () => (await fetch(history)).status === 503);
  await sleep(5);
  const ask = async (url: string, times: number) => {
    for (let left = times; left > 0; left -= 40) await Promise.all(Array.from({ length: Math.min(40, left) }, () => fetch(url).then((r) => r.arrayBuffer())));
  };
  const inside = `for (let i = 0; i < 118; i++) await fetch("http://crm-events-1:9010/crm-events/history").then((r) => r.arrayBuffer())`;
  await Promise.all([ask(history, 110), ...["simulator", "crm-api"].map((part) => docker("exec", container(part), "node", "--input-type=module", "-e", inside))]);
  await ask(at("crm-events", "/healthz"), 3600);
}
