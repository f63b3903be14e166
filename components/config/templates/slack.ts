/** Alertmanager's message templates: what people read in Slack, in a page and in a mail. */
import type { Settings } from "../../settings/schema.ts";

/** Alerts of a group that are written out, and those that have a line each; Slack refuses messages of more than 40 000 characters. */
const shown = 8;
const listed = 24;
/** Longest label value, summary and description, and description on a line of its own, in characters. */
const limits = { label: 60, summary: 200, description: 600, line: 120 } as const;

/** Template text that cuts the piped value; a character is a code point, so none is cut in two. */
const cut = (length: number) => `reReplaceAll "(?s)^(.{${length}}).+$" "\${1}…"`;
/** Characters that Slack reads as markup, links or mentions, as it wants them written. `&` first, or it would be escaped twice. */
const escape = 'reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;" | reReplaceAll ">" "&gt;"';
/** A matcher's value in a link. It is a JSON string to Alertmanager's pages; `urlquery` alone writes a blank as `+`, which only forms read back. */
const encode = 'reReplaceAll `(["\\\\])` `\\${1}` | urlquery | reReplaceAll "[+]" "%20"';
/** Template text that is true of a value that no link can hold: it is too long for Slack, or has characters that a JSON string cannot have as they are. */
const unfit = 'match `(?s)^.{101}|[\\x00-\\x1f]`';

/** Labels that say which one it is, beside the service: written out and part of the silence. */
const subjects = { tenant: "tenant", org_id: "org", partition: "partition", instance: "instance" } as const;

/**
 * `templates/slack.tmpl`.
 * Texts are cut first and escaped after, so that no entity is cut in two. A group of different alerts has no common
 * annotations, so every alert brings its own.
 */
export function slackTemplate(s: Settings): string {
  const alertmanager = s.urls.alertmanager;
  return `${[colors(), titles(alertmanager), silence(alertmanager), alertTexts(), texts(alertmanager), plain()].join("\n")}\n`;
}

const define = (name: string, body: string) => `{{ define "${name}" }}${body}{{ end }}`;
const include = (name: string, dot = ".") => `{{ template "${name}" ${dot} }}`;

const colors = () => define("crm.slack.color", '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}');

/** `[FIRING:2] CrmApiDown (crm-api)`; with the tenant, where there is one. */
function title(name: string, filter: string): string {
  const about = `{{ with .CommonLabels.tenant }} ({{ . | ${cut(limits.label)}${filter} }}){{ else }}{{ with .CommonLabels.service }} ({{ . | ${cut(limits.label)}${filter} }}){{ end }}{{ end }}`;
  return define(name, `[{{ .Status | toUpper }}{{ if gt (len .Alerts.Firing) 1 }}:{{ len .Alerts.Firing }}{{ end }}]{{ with .CommonLabels.alertname }} {{ .${filter} }}{{ end }}${about}`);
}

const titles = (alertmanager: string) =>
  [
    title("crm.slack.title", ` | ${escape}`),
    title("crm.plain.title", ""),
    define("crm.slack.link", `${alertmanager}/#/alerts?filter=%7B{{ range $i, $p := .GroupLabels.SortedPairs }}{{ if $i }}%2C%20{{ end }}{{ .Name }}%3D%22{{ .Value | ${encode} }}%22{{ end }}%7D`),
  ].join("\n");

/** Opens Alertmanager's form with the alert filled in; without one of its labels a silence would be wider, so then the list of the alerts. */
const silence = (alertmanager: string) => {
  const labels = ["service", ...Object.keys(subjects)];
  const page = `{{ if or ${labels.map((label) => `(.Labels.${label} | ${unfit})`).join(" ")} }}alerts{{ else }}silences/new{{ end }}`;
  const pairs = labels
    .map((label) => `{{ with .Labels.${label} }}{{ if not (. | ${unfit}) }}%2C%20${label}%3D%22{{ . | ${encode} }}%22{{ end }}{{ end }}`)
    .join("");
  return define("crm.silence", `${alertmanager}/#/${page}?filter=%7Balertname%3D%22{{ .Labels.alertname | ${encode} }}%22${pairs}%7D`);
};

/** The labels that say which one it is, each behind a separator. */
const subject = (separator: string, filter: string) =>
  Object.entries(subjects)
    .map(([label, word]) => `{{ with .Labels.${label} }}${separator}${word} {{ . | ${cut(limits.label)}${filter} }}{{ end }}`)
    .join("");

function alertTexts(): string {
  const head = [
    `*{{ .Labels.alertname | ${escape} }}*`,
    `{{ with .Labels.severity }} · {{ . | ${escape} }}{{ end }}`,
    '{{ if eq .Status "resolved" }} · resolved{{ end }}',
    `{{ with .Labels.service }} · {{ . | ${cut(limits.label)} | ${escape} }}{{ end }}`,
    subject(" · ", ` | ${escape}`),
  ].join("");
  const links = [
    `{{ with .Annotations.runbook_url }}<{{ . | ${escape} }}|Runbook>{{ end }}`,
    `{{ with .Annotations.dashboard_url }} · <{{ . | ${escape} }}|Dashboard>{{ end }}`,
    ` · <${include("crm.silence")}|Silence>`,
  ].join("");
  const whole = define(
    "crm.slack.alert",
    [
      include("crm.slack.head"),
      `{{ with .Annotations.summary }}{{ . | ${cut(limits.summary)} | ${escape} }}`,
      `{{ end }}{{ with .Annotations.description }}{{ . | ${cut(limits.description)} | ${escape} }}`,
      `{{ end }}${links}`,
      "",
    ].join("\n"),
  );
  const line = define("crm.slack.line", `${include("crm.slack.head")}{{ with .Annotations.description }} · {{ . | ${cut(limits.line)} | ${escape} }}{{ end }}\n`);
  return [define("crm.slack.head", head), whole, line].join("\n");
}

/** Firing alerts first, then those of the group that are over. */
function texts(alertmanager: string): string {
  const each = `{{ if lt $i ${shown} }}${include("crm.slack.alert", "$a")}{{ else if lt $i ${listed} }}${include("crm.slack.line", "$a")}{{ end }}`;
  const list = (alerts: string) => `{{ range $i, $a := ${alerts} }}${each}{{ end }}{{ if gt (len ${alerts}) ${listed} }}Only ${listed} of {{ len ${alerts} }} are shown: <${alertmanager}/|all alerts>\n{{ end }}`;
  return [define("crm.slack.text", `${list(".Alerts.Firing")}${list(".Alerts.Resolved")}`), define("crm.slack.fallback", include("crm.slack.title"))].join("\n");
}

/** The same without Slack's markup, for a page or a mail. */
function plain(): string {
  const alert = [
    `{{ .Labels.alertname }} ({{ .Status }}, {{ .Labels.severity }}, {{ .Labels.service }}${subject(", ", "")})`,
    "{{ .Annotations.summary }}",
    "{{ .Annotations.description }}",
    "Runbook: {{ .Annotations.runbook_url }}",
    "Dashboard: {{ .Annotations.dashboard_url }}",
    `Silence: ${include("crm.silence")}`,
    "",
    "",
  ].join("\n");
  return define("crm.plain.text", `{{ range .Alerts }}${alert}{{ end }}`);
}
