/** Grafana's files: data sources, dashboard providers and the dashboards themselves. */
import { createHash } from "node:crypto";
import { stringify } from "yaml";
import { allDashboards, datasourceUid, folders, type Dashboard } from "../../dashboards/index.ts";
import type { Files } from "../platform/platform.ts";
import type { Settings } from "../settings/schema.ts";
import { timingOf } from "../settings/timing.ts";
import { parts } from "../topology.ts";

/** Where Grafana sees the dashboards. */
const dashboardsPath = "/etc/grafana-stack/current/dashboards";

/** Every dashboard with its folder. */
export const dashboards = (s: Settings): Dashboard[] => allDashboards(s);

/**
 * What the stack's objects are called in a Grafana that serves others too, so that they displace nobody's: name and uid of
 * the data source, prefix of the folders' uids. Grafana takes 40 of these characters in a uid; a name that has others, or
 * leaves no room for a folder's, ends in a hash. The dashboards' uids are the same for every stack, because links know
 * them: there is one stack per organisation of a Grafana.
 */
export function externalName(s: Settings): string {
  const name = `crm-${s.stack}`;
  if (/^[A-Za-z0-9_-]{1,28}$/.test(name)) return name;
  return `${name.replace(/[^A-Za-z0-9_-]/g, "-").slice(0, 19)}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
}

/** The dashboards for such a Grafana: the same, but they begin with the stack's data source there. */
export function externalDashboards(s: Settings): Dashboard[] {
  const name = externalName(s);
  return dashboards(s).map((d) => {
    const model = JSON.parse(d.json) as { templating: { list: { name: string; current?: object }[] } };
    model.templating.list.find((variable) => variable.name === "datasource")!.current = { selected: true, text: name, value: name };
    return { ...d, json: `${JSON.stringify(model, null, 2)}\n` };
  });
}

/** The mark at the end of each dashboard's description, by uid: Grafana serves the new content when it shows the new mark. */
export const dashboardRevisions = (s: Settings): Record<string, string> => Object.fromEntries(dashboards(s).map((d) => [d.uid, d.revision]));

/**
 * Files of Grafana's configuration folder: `dashboards/<uid>.json` and `provisioning/**`.
 *
 * A file provider has one folder and takes every file under its path, so a flat folder of files that belong to several
 * folders needs one provider per file; Grafana walks a path that is a file just as one that is a directory. A changed
 * dashboard is taken up by itself. One that comes or goes, and with it its provider, takes effect when Grafana is asked
 * to read its provisioning again: dashboards of providers that are gone are deleted then.
 */
export function grafanaFiles(s: Settings): Files {
  const all = dashboards(s);
  const files: Record<string, string> = { "provisioning/datasources/stack.yml": stringify(datasources(s)) };
  for (const folder of folders) {
    files[`provisioning/dashboards/${folder.toLowerCase()}.yml`] = stringify({ apiVersion: 1, providers: all.filter((d) => d.folder === folder).map(provider) });
  }
  for (const d of all) files[`dashboards/${d.uid}.json`] = d.json;
  return files;
}

/**
 * Edits in the page cannot be saved: the repository owns the dashboard.
 *
 * `disableDeletion`: Grafana resolves the link `current`, so every dashboard seems to move at each change of the
 * configuration. Without this it would be deleted and made again, and lose its stars and open pages on the way.
 *
 * `folderUid`: by its title alone a folder is looked for in an index that lags behind, so the next provider of the same
 * folder would make a second one. That several providers name one folder is an error line in Grafana's log, no more.
 */
const provider = (d: Dashboard) => ({
  name: d.uid,
  orgId: 1,
  type: "file",
  folder: d.folder,
  folderUid: d.folder.toLowerCase(),
  disableDeletion: true,
  allowUiUpdates: false,
  updateIntervalSeconds: 5,
  options: { path: `${dashboardsPath}/${d.uid}.json` },
});

/** How Grafana asks Prometheus: its smallest step follows the scrape interval. */
export const prometheusOptions = (s: Settings) => ({ httpMethod: "POST", timeInterval: `${timingOf(s).scrapeSeconds}s`, prometheusType: "Prometheus" });

/** The data sources; Grafana removes one that is no longer here. */
function datasources(s: Settings) {
  return {
    apiVersion: 1,
    prune: true,
    datasources: [
      {
        name: "Prometheus",
        uid: datasourceUid,
        type: "prometheus",
        access: "proxy",
        url: `http://prometheus:${parts.prometheus.port}`,
        isDefault: true,
        editable: false,
        jsonData: prometheusOptions(s),
      },
      {
        name: "Alertmanager",
        uid: "alertmanager",
        type: "alertmanager",
        access: "proxy",
        url: `http://alertmanager:${parts.alertmanager.port}`,
        editable: false,
        jsonData: { implementation: "prometheus", handleGrafanaManagedAlerts: false },
      },
    ],
  };
}
