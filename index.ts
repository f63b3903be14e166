import * as pulumi from "@pulumi/pulumi";
import { Alertmanager } from "./components/alertmanager.ts";
import { Blackbox } from "./components/blackbox.ts";
import { ExternalGrafana } from "./components/external-grafana.ts";
import { Grafana } from "./components/grafana.ts";
import { Kafka } from "./components/kafka.ts";
import { KafkaExporter } from "./components/kafka-exporter.ts";
import { createPlatform } from "./components/platform/create.ts";
import { Prometheus } from "./components/prometheus.ts";
import * as services from "./components/services.ts";
import { readStack } from "./components/settings/read.ts";

// The SDK keeps the stack of every promise, and full ones take a tenth of a preview. Two frames say where an error is from.
Error.stackTraceLimit = 2;

const { settings, secrets, warnings } = readStack();
for (const warning of warnings) pulumi.log.warn(warning);

const platform = await createPlatform(settings);
const stack = { settings, secrets, platform };

// Stand-ins, in development only.
if (settings.slack.standin) services.slackStandin(stack);
if (settings.qbo.standin) services.qboStandin(stack);

// Events.
if (settings.kafka.builtIn) new Kafka("kafka", stack);
new KafkaExporter("kafka-exporter", stack);

// The CRM.
const crmApi = services.crmApi(stack);
const crmEvents = services.crmEvents(stack);
services.crmEventsHealth(stack);
if (settings.simulator) services.simulator(stack);

// What watches it.
new Alertmanager("alertmanager", stack);
new Blackbox("blackbox", stack);
new Prometheus("prometheus", stack);
if (settings.grafana.mode === "built-in") new Grafana("grafana", stack);
if (settings.grafana.mode === "external") new ExternalGrafana("grafana", stack);
services.commandCenter(stack);

/** What people open in a browser, as links in messages do; of the services what Docker publishes or the Ingress serves. */
export const urls = {
  commandCenter: settings.urls.commandCenter,
  prometheus: settings.urls.prometheus,
  alertmanager: settings.urls.alertmanager,
  grafana: settings.grafana.mode === "none" ? undefined : settings.urls.grafana,
  crmApi: crmApi.workload.url,
  crmEvents: crmEvents.workload.url,
};
