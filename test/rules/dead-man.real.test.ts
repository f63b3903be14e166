/** The watchdog's way: real Prometheus, real Alertmanager, and the dead man's switch of the Slack stand-in at its end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { prometheusFiles } from "../../components/config/prometheus.ts";
import { createLogger } from "../../services/shared/log.ts";
import { createRegistry } from "../../services/shared/metrics.ts";
import { slackStandinApp } from "../../services/slack-standin/app.ts";
import { findAlertmanager, startAlertmanager, type TestAlertmanager } from "../support/alertmanager.ts";
import { findPrometheus, startPrometheus, type TestPrometheus } from "../support/prometheus.ts";
import { sampleSettings } from "../support/settings.ts";

const [prometheusProgram, alertmanagerProgram] = [await findPrometheus(), await findAlertmanager()];
const missing = [prometheusProgram, alertmanagerProgram].flatMap((p) => ("missing" in p ? [p.missing] : []));
if (missing.length > 0) console.warn(`skipped: ${missing.join("; ")}`);
const s = sampleSettings({ timing: "fast" });
/** The watchdog comes every 4 s in the fast profile. */
const deadManSeconds = 5;

describe.skipIf(missing.length > 0)("the watchdog's receiver", () => {
  let app: FastifyInstance;
  let am: TestAlertmanager;
  let prometheus: TestPrometheus;

  const launch = () => startPrometheus("program" in prometheusProgram ? prometheusProgram.program : "", () => configuration(am.url), ["--rules.alert.resend-delay=4s"]);
  const state = async () => ((await app.inject("/deadman")).json() as { state: string }).state;
  const becomes = async (wanted: string, seconds: number) => {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(200)) if ((await state()) === wanted) return;
    expect(await state()).toBe(wanted);
  };

  beforeAll(async () => {
    app = slackStandinApp({ webhooks: { "/services/T000/B000/ops": "#ops-alerts" }, deadManSeconds, registry: createRegistry(false), log: createLogger("slack-standin", "silent") });
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    am = await startAlertmanager("program" in alertmanagerProgram ? alertmanagerProgram.program : "", alertmanagerFiles(s), { "deadman-url": `${url}/deadman`, "slack-crm": url, "slack-ops": url });
    expect(await state()).toBe("waiting");
    prometheus = await launch();
  });
  afterAll(async () => {
    await prometheus?.stop();
    await am?.stop();
    await app?.close();
  });

  it("hears it all the time", async () => {
    await becomes("alive", 20);
    await sleep(3 * deadManSeconds * 1000);
    expect(await state()).toBe("alive");
  });

  it("notices a dead Alertmanager, and that it is back", async () => {
    await am.kill();
    await becomes("dead", 4 * deadManSeconds);
    await am.start();
    await becomes("alive", 20);
  });

  it("notices a dead Prometheus, and that it is back", async () => {
    await prometheus.stop();
    // Alertmanager goes on until the alert runs out: four times the resend delay after Prometheus last sent it.
    await becomes("dead", 16 + 4 * deadManSeconds);
    prometheus = await launch();
    await becomes("alive", 20);
  });
});

/** The stack's own files, sent to the test's Alertmanager; nothing is scraped. */
function configuration(alertmanager: string): Record<string, string> {
  const files = prometheusFiles(s);
  const config = parse(files["prometheus.yml"]!) as { alerting: object; scrape_configs: object[] };
  config.alerting = { alertmanagers: [{ static_configs: [{ targets: [new URL(alertmanager).host] }] }] };
  config.scrape_configs = [];
  return { ...files, "prometheus.yml": stringify(config) };
}
