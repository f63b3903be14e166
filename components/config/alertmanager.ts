/** Alertmanager's configuration and message templates, from the routing data. */
import { stringify } from "yaml";
import { assertSound } from "../../rules/checks.ts";
import { ruleGroups } from "../../rules/index.ts";
import { type Inhibition, type Receiver, type Route, matcherText, routing } from "../../rules/routing.ts";
import type { Files } from "../platform/platform.ts";
import type { Settings } from "../settings/schema.ts";
import { scaled } from "../settings/timing.ts";
import { slackTemplate } from "./templates/slack.ts";

/**
 * `alertmanager.yml` and `templates/slack.tmpl`.
 * Secrets are named as files that Alertmanager reads at each notification, so swapping one needs no reload.
 * @throws Error when rules or routes do not pass `rules/checks.ts`
 */
export function alertmanagerFiles(s: Settings): Files {
  const all = routing(s);
  assertSound({ settings: s, groups: ruleGroups(s), routing: all });
  const { root, receivers, inhibitions } = all;
  const config = {
    global: { resolve_timeout: scaled(s, "5m") },
    templates: ["templates/*.tmpl"],
    route: routeYaml(root),
    receivers: receivers.map(receiverYaml),
    inhibit_rules: inhibitions.map(inhibitionYaml),
  };
  return { "alertmanager.yml": stringify(config, { lineWidth: 0 }), "templates/slack.tmpl": slackTemplate(s) };
}

function routeYaml(route: Route): object {
  return {
    receiver: route.receiver,
    ...(route.matchers.length > 0 ? { matchers: route.matchers.map(matcherText) } : {}),
    ...(route.groupBy ? { group_by: route.groupBy } : {}),
    ...(route.groupWait ? { group_wait: route.groupWait } : {}),
    ...(route.groupInterval ? { group_interval: route.groupInterval } : {}),
    ...(route.repeatInterval ? { repeat_interval: route.repeatInterval } : {}),
    ...(route.continue ? { continue: true } : {}),
    ...(route.routes ? { routes: route.routes.map(routeYaml) } : {}),
  };
}

const template = (name: string) => `{{ template "${name}" . }}`;

function receiverYaml(r: Receiver): object {
  return {
    name: r.name,
    ...(r.slack ? { slack_configs: [slackYaml(r.slack)] } : {}),
    ...(r.webhook ? { webhook_configs: [{ url_file: r.webhook.urlFile, send_resolved: false, timeout: "10s" }] } : {}),
    ...(r.pagerduty
      ? {
          pagerduty_configs: [
            { routing_key_file: r.pagerduty.keyFile, send_resolved: true, severity: "{{ .CommonLabels.severity }}", description: template("crm.plain.title"), details: { alerts: template("crm.plain.text") } },
          ],
        }
      : {}),
    ...(r.mail ? { email_configs: [mailYaml(r.mail)] } : {}),
  };
}

const slackYaml = (slack: NonNullable<Receiver["slack"]>) => ({
  api_url_file: slack.urlFile,
  channel: slack.channel,
  send_resolved: true,
  color: template("crm.slack.color"),
  title: template("crm.slack.title"),
  title_link: template("crm.slack.link"),
  text: template("crm.slack.text"),
  fallback: template("crm.slack.fallback"),
  mrkdwn_in: ["text"],
  // A Slack that hangs must not use up the whole group interval: the attempt ends and is repeated.
  timeout: "10s",
});

const mailYaml = (mail: NonNullable<Receiver["mail"]>) => ({
  to: mail.to,
  from: mail.from,
  smarthost: mail.smarthost,
  ...(mail.username ? { auth_username: mail.username, auth_password_file: mail.passwordFile } : {}),
  send_resolved: true,
  headers: { Subject: template("crm.plain.title") },
  html: "",
  text: template("crm.plain.text"),
});

const inhibitionYaml = (rule: Inhibition) => ({
  name: rule.name,
  source_matchers: [matcherText({ label: "alertname", op: "=", value: rule.source })],
  target_matchers: [matcherText(rule.targets.length === 1 ? { label: "alertname", op: "=", value: rule.targets[0]! } : { label: "alertname", op: "=~", value: rule.targets.join("|") })],
  equal: rule.equal,
});
