/** Three Alertmanagers that gossip, as in production: each alert reaches Slack once, also when one of them dies. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { findAlertmanager, startAlertmanager, startSlack, type TestAlertmanager, type TestSlack } from "../support/alertmanager.ts";
import { freePort } from "../support/prometheus.ts";
import { sampleSettings } from "../support/settings.ts";
import { getJson, until } from "../support/stack.ts";

const found = await findAlertmanager();
if ("missing" in found) console.warn(`skipped: ${found.missing}`);
const s = sampleSettings({ replicas: { crmApi: 1, crmEvents: 2, alertmanager: 3 } });
const labelsOf = (name: string) => sampleLabels(alerts(s).find((a) => a.alert === name)!);
/** Quick group intervals, in which a second message would come. */
const quietMs = 8000;

describe.skipIf("missing" in found)("three Alertmanagers", () => {
  let slack: TestSlack;
  let peers: TestAlertmanager[];

  beforeAll(async () => {
    slack = await startSlack();
    const ports = [await freePort(), await freePort(), await freePort()];
    const secrets = { "slack-crm": `${slack.url}/crm`, "slack-ops": `${slack.url}/ops`, "deadman-url": `${slack.url}/deadman` };
    const cluster = ports.map((port) => `--cluster.peer=127.0.0.1:${port}`);
    peers = await Promise.all(ports.map((port) => startAlertmanager("program" in found ? found.program : "", alertmanagerFiles(s), secrets, [`--cluster.listen-address=127.0.0.1:${port}`, "--cluster.settle-timeout=5s", "--cluster.peer-timeout=2s", ...cluster])));
    for (const { url } of peers) await until("three peers that are ready", 30, () => isWhole(url));
  });
  afterAll(async () => {
    for (const peer of peers ?? []) await peer.stop();
    await slack?.stop();
  });

  const isWhole = async (url: string) => {
    const { cluster } = await getJson<{ cluster: { status: string; peers: unknown[] } }>(`${url}/api/v2/status`);
    return cluster.status === "ready" && cluster.peers.length === 3;
  };
  const titles = () => slack.delivered().map((m) => m.attachment.title);
  /** An alert of a service of its own: at a second attempt it is a new group, of which nothing was told yet. */
  const fresh = (name: string) => ({ ...labelsOf(name), service: `try-${randomUUID().slice(0, 8)}` });

  it("send one message of an alert that all of them get, as Prometheus sends it", async () => {
    const before = slack.delivered().length;
    const alert = fresh("CrmApiDown");
    await Promise.all(peers.map((peer) => peer.post([alert])));
    await slack.wait(before + 1, 30);
    await sleep(quietMs);
    expect(titles().slice(before)).toEqual([expect.stringContaining(`CrmApiDown (${alert.service})`)]);
  });

  it("mute on all of them what that alert mutes", async () => {
    const before = slack.delivered().length;
    await Promise.all(peers.map((peer) => peer.post([labelsOf("CrmApiDown"), labelsOf("RevenueZeroStreak")])));
    await sleep(quietMs);
    expect(titles().slice(before).filter((title) => title.includes("RevenueZeroStreak"))).toEqual([]);
  });

  it("still send the next one once when one of them is dead", async () => {
    await peers[0]!.kill();
    const alive = peers.slice(1);
    const alert = fresh("CrmEventsHighLag");
    const told = () => titles().filter((title) => title.includes(`CrmEventsHighLag (${alert.service})`));
    await Promise.all(alive.map((peer) => peer.post([alert])));
    await until("a message of the alert", 60, async () => told().length > 0);
    await sleep(quietMs);
    expect(told()).toHaveLength(1);
  });
});
