import * as pulumi from "@pulumi/pulumi";
import { DataSource } from "@pulumiverse/grafana/oss/dataSource.js";
import { Dashboard } from "@pulumiverse/grafana/oss/dashboard.js";
import { Folder } from "@pulumiverse/grafana/oss/folder.js";
import { Provider } from "@pulumiverse/grafana/provider.js";
import { externalDashboards, externalName, prometheusOptions } from "./config/grafana.ts";
import type { StackContext } from "./part.ts";

/**
 * Data source, folders and dashboards in a Grafana that is already there; never the built-in one as well. The dashboards
 * have the same uids for every stack: a second one in the same organisation would take over those of the first.
 */
export class ExternalGrafana extends pulumi.ComponentResource {
  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:ExternalGrafana", name, {}, opts);
    const { settings: s, secrets } = stack;
    const provider = new Provider(`${name}-provider`, { url: s.grafana.url, auth: secrets.grafanaToken ?? pulumi.secret("missing") }, { parent: this });
    const inside = { parent: this, provider };
    const own = externalName(s);
    new DataSource(`${name}-prometheus`, { name: own, uid: own, type: "prometheus", url: s.urls.prometheus, jsonDataEncoded: JSON.stringify(prometheusOptions(s)) }, inside);
    const all = externalDashboards(s);
    const folders = new Map<string, Folder>();
    for (const title of new Set(all.map((d) => d.folder))) {
      const id = title.toLowerCase();
      // Not with a page in it that somebody has saved there himself.
      folders.set(title, new Folder(`${name}-folder-${id}`, { title, uid: `${own}-${id}`, preventDestroyIfNotEmpty: true }, inside));
    }
    for (const dashboard of all) {
      new Dashboard(`${name}-${dashboard.uid}`, { configJson: dashboard.json, folder: folders.get(dashboard.folder)!.uid, overwrite: true }, inside);
    }
    this.registerOutputs({});
  }
}
