/** What people read in Slack: the templates under Alertmanager's own engine. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ensureTool } from "../../airgap/tools.ts";
import { alertmanagerFiles } from "../../components/config/alertmanager.ts";
import { alerts } from "../../rules/index.ts";
import { sampleLabels } from "../../rules/labels.ts";
import { sampleSettings } from "../support/settings.ts";

const amtool = await ensureTool("amtool").catch((error: Error) => void console.warn(`skipped: ${error.message}`));
const s = sampleSettings();
const folder = mkdtempSync(join(tmpdir(), "messages-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "slack.tmpl"), alertmanagerFiles(s)["templates/slack.tmpl"]!);

interface Given {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly resolved?: boolean;
  readonly description?: string;
}

/** What Alertmanager hands to a template for a group of these alerts. */
function data(group: readonly Given[]): object {
  const list = group.map(({ name, labels, resolved, description }) => {
    const rule = alerts(s).find((a) => a.alert === name)!;
    return {
      status: resolved ? "resolved" : "firing",
      labels: { ...sampleLabels(rule), ...labels },
      annotations: { summary: rule.summary, description: description ?? rule.description, runbook_url: rule.runbookUrl, dashboard_url: rule.dashboardUrl },
      startsAt: "2026-01-02T03:04:05Z",
    };
  });
  const [first] = list;
  const common = Object.fromEntries(Object.entries(first!.labels).filter(([name, value]) => list.every((a) => (a.labels as Record<string, string>)[name] === value)));
  return { receiver: "slack-crm", status: list.some((a) => a.status === "firing") ? "firing" : "resolved", alerts: list, groupLabels: { alertname: first!.labels.alertname, service: first!.labels.service }, commonLabels: common, commonAnnotations: {}, externalURL: "http://x" };
}

/**
 * One template's text for a group of alerts.
 * @param by labels that it is grouped by, beside the alert's name. @default the service
 */
function render(template: string, group: readonly Given[], by?: Readonly<Record<string, string>>): string {
  const given = data(group);
  writeFileSync(join(folder, "data.json"), JSON.stringify({ ...given, ...(by && { groupLabels: { alertname: group[0]!.name, ...by } }) }));
  const args = ["template", "render", `--template.glob=${folder}/*.tmpl`, `--template.text={{ template "${template}" . }}`, `--template.data=${folder}/data.json`];
  return execFileSync(amtool!, args, { encoding: "utf8" });
}

/** What Alertmanager's pages read from a link: to them each value is a JSON string (ui/app/src/Utils/Filter.elm). */
function matchersOf(link: string): Record<string, string> {
  const filter = decodeURIComponent(link.split("?filter=")[1]!);
  const pair = String.raw`(\w+)=("(?:[^"\\]|\\.)*")`;
  expect(filter).toMatch(new RegExp(`^\\{${pair}(?:, ${pair})*\\}$`));
  return Object.fromEntries([...filter.matchAll(new RegExp(pair, "g"))].map(([, name, value]) => [name!, JSON.parse(value!) as string]));
}

/** The last line's link of a page's or mail's text. */
function linkOf(text: string) {
  const [link, page] = /^Silence: http:\/\/localhost:9093\/#\/(\S+?)\?\S+$/m.exec(text)!;
  return { page, matchers: matchersOf(link) };
}

describe.skipIf(!amtool)("a Slack message", () => {
  it("says what, how bad, where, and what to do", () => {
    const group = [{ name: "CrmApiDown", description: "No replica of crm-api has answered a scrape for 5 minutes." }];
    expect(render("crm.slack.title", group)).toBe("[FIRING] CrmApiDown (crm-api)");
    expect(render("crm.slack.color", group)).toBe("danger");
    expect(render("crm.slack.link", group)).toBe("http://localhost:9093/#/alerts?filter=%7Balertname%3D%22CrmApiDown%22%2C%20service%3D%22crm-api%22%7D");
    expect(render("crm.slack.text", group)).toBe(
      [
        "*CrmApiDown* · critical · crm-api",
        "The CRM API does not answer",
        "No replica of crm-api has answered a scrape for 5 minutes.",
        "<https://runbooks.example.com/runbooks/CrmApiDown.md|Runbook> · <http://localhost:3000/d/peakpro-crm-kpis?viewPanel=4|Dashboard> · <http://localhost:9093/#/silences/new?filter=%7Balertname%3D%22CrmApiDown%22%2C%20service%3D%22crm-api%22%7D|Silence>",
        "",
      ].join("\n"),
    );
  });

  it("names tenant and organisation", () => {
    const rag = [{ name: "LowConfidenceSpike", labels: { tenant: "vip-initech" } }];
    expect(render("crm.slack.title", rag)).toBe("[FIRING] LowConfidenceSpike (vip-initech)");
    expect(render("crm.slack.text", rag)).toContain("*LowConfidenceSpike* · warning · rag-api · tenant vip-initech\n");
    expect(render("crm.slack.text", rag)).toContain("tenant%3D%22vip-initech%22");
    expect(render("crm.slack.text", [{ name: "CrmApiDown", labels: { org_id: "acme" } }])).toContain("*CrmApiDown* · critical · crm-api · org acme\n");
  });

  it("turns green when it is over", () => {
    const group = [{ name: "CrmApiDown", resolved: true }];
    expect(render("crm.slack.title", group)).toBe("[RESOLVED] CrmApiDown (crm-api)");
    expect(render("crm.slack.color", group)).toBe("good");
    expect(render("crm.slack.text", group)).toContain("*CrmApiDown* · critical · resolved · crm-api\n");
  });

  it("gives every alert of a group its own text", () => {
    const partitions = ["0", "3"].map((partition) => ({ name: "CrmEventsPartitionStuck", labels: { partition }, description: `Partition ${partition} stands still.` }));
    const mixed = [...partitions, { name: "CrmApiDown" }, { name: "OutboxStuck", resolved: true }];
    const text = render("crm.slack.text", mixed);
    expect(render("crm.slack.title", mixed)).toBe("[FIRING:3]");
    expect(render("crm.slack.title", partitions)).toBe("[FIRING:2] CrmEventsPartitionStuck (crm-events-sse)");
    for (const part of ["Partition 0 stands still.", "Partition 3 stands still.", "The CRM API does not answer", "*OutboxStuck* · critical · resolved · crm-api"]) expect(text).toContain(part);
    expect(text.indexOf("OutboxStuck")).toBeGreaterThan(text.indexOf("CrmApiDown"));
    for (const name of ["CrmEventsPartitionStuck", "CrmApiDown", "OutboxStuck"]) expect(text).toContain(`/runbooks/${name}.md|Runbook>`);
  });

  it("gives the many of a large group a line each", () => {
    const text = render("crm.slack.text", Array.from({ length: 20 }, (_, i) => ({ name: "CrmEventsPartitionStuck", labels: { partition: `${i}` }, description: `Partition ${i} stands still.` })));
    for (let i = 0; i < 20; i++) expect(text).toContain(`Partition ${i} stands still.`);
    expect(text).toContain("*CrmEventsPartitionStuck* · critical · crm-events-sse · partition 19 · Partition 19 stands still.\n");
    expect(text).not.toContain("are shown");
  });

  it("escapes what Slack would read as markup, once", () => {
    const nasty = "<!channel> & <https://evil.example|click> > &lt;";
    const text = render("crm.slack.text", [{ name: "LowConfidenceSpike", labels: { tenant: "a<b>&c" }, description: nasty }]);
    expect(text).toContain("&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; &gt; &amp;lt;");
    expect(text).toContain("tenant a&lt;b&gt;&amp;c");
    expect(text).toContain("tenant%3D%22a%3Cb%3E%26c%22");
    expect(render("crm.slack.title", [{ name: "LowConfidenceSpike", labels: { tenant: "a<b>&c" } }])).toBe("[FIRING] LowConfidenceSpike (a&lt;b&gt;&amp;c)");
    expect(text.match(/<(?!http)/g)).toBeNull();
  });

  it("encodes blanks and quotes in links", () => {
    const text = render("crm.slack.text", [{ name: "LowConfidenceSpike", labels: { tenant: 'big "co" + sons' } }]);
    expect(text).toContain("tenant%3D%22big%20%5C%22co%5C%22%20%2B%20sons%22%7D|Silence>");
  });

  it.each(['ac"me\\x', 'big "co" + sons', "a=b, {c}&d?#%", "x".repeat(100), "ä€😀".repeat(33), "\\"])("fills in exactly its own labels: %s", (tenant) => {
    const group = [{ name: "LowConfidenceSpike", labels: { tenant, org_id: '"' } }];
    const { page, matchers } = linkOf(render("crm.plain.text", group));
    expect(page).toBe("silences/new");
    expect(matchers).toEqual({ alertname: "LowConfidenceSpike", service: "rag-api", tenant, org_id: '"' });
    expect(matchersOf(render("crm.slack.link", group, { tenant }))).toEqual({ alertname: "LowConfidenceSpike", tenant });
  });

  it.each(["x".repeat(101), "😀".repeat(101), "a\nb", "a\tb", "a\u0000b"])("opens no silence that would be wider than the alert: %j", (value) => {
    for (const label of ["tenant", "org_id", "service"]) {
      const { page, matchers } = linkOf(render("crm.plain.text", [{ name: "LowConfidenceSpike", labels: { tenant: "acme", [label]: value } }]));
      expect(page).toBe("alerts");
      expect(matchers).toMatchObject({ alertname: "LowConfidenceSpike" });
      expect(matchers).not.toHaveProperty(label);
    }
  });

  it("cuts long texts between characters and stays far below Slack's limit", () => {
    const long = "ä&<".repeat(3000);
    const group = Array.from({ length: 40 }, (_, i) => ({ name: "LowConfidenceSpike", labels: { tenant: `t${i}-${"x".repeat(5000)}`, org_id: "y".repeat(5000) }, description: long }));
    const text = render("crm.slack.text", group);
    expect(text.length).toBeLessThan(40_000);
    expect(text).toContain("Only 24 of 40 are shown");
    expect(text).toContain("…");
    expect(text).not.toContain("\uFFFD");
    expect(text.replaceAll(/&(amp|lt|gt);/g, "")).not.toContain("&");
    expect(render("crm.slack.title", group.slice(0, 1)).length).toBeLessThan(150);
  });

  it("reads well without markup in a page or a mail", () => {
    const text = render("crm.plain.text", [{ name: "CrmApiDown", description: "a < b & c" }]);
    expect(text).toBe(
      [
        "CrmApiDown (firing, critical, crm-api)",
        "The CRM API does not answer",
        "a < b & c",
        "Runbook: https://runbooks.example.com/runbooks/CrmApiDown.md",
        "Dashboard: http://localhost:3000/d/peakpro-crm-kpis?viewPanel=4",
        "Silence: http://localhost:9093/#/silences/new?filter=%7Balertname%3D%22CrmApiDown%22%2C%20service%3D%22crm-api%22%7D",
        "",
        "",
      ].join("\n"),
    );
    expect(render("crm.plain.title", [{ name: "CrmApiDown" }])).toBe("[FIRING] CrmApiDown (crm-api)");
  });

  it("says in a page or a mail which one it is, and lets it be silenced", () => {
    const text = render("crm.plain.text", [
      { name: "LowConfidenceSpike", labels: { tenant: "a<b> & c" } },
      { name: "CrmApiDown", labels: { org_id: "acme" }, resolved: true },
      { name: "CrmEventsPartitionStuck", labels: { partition: "3", instance: "crm-events-1:9010" } },
    ]);
    expect(text).toContain("LowConfidenceSpike (firing, warning, rag-api, tenant a<b> & c)\n");
    expect(text).toContain("tenant%3D%22a%3Cb%3E%20%26%20c%22%7D\n");
    expect(text).toContain("CrmApiDown (resolved, critical, crm-api, org acme)\n");
    expect(text).toContain("CrmEventsPartitionStuck (firing, critical, crm-events-sse, partition 3, instance crm-events-1:9010)\n");
    expect(text.match(/^Silence: /gm)).toHaveLength(3);
  });
});
