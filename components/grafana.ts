import * as pulumi from "@pulumi/pulumi";
import { dashboardRevisions, grafanaFiles } from "./config/grafana.ts";
import { imageOf } from "./images.ts";
import { developmentSecret, factsOf, type StackContext } from "./part.ts";
import type { Workload } from "./platform/platform.ts";
import type { Settings } from "./settings/schema.ts";
import { parts, secretsDir } from "./topology.ts";

const mount = "/etc/grafana-stack";
const data = "/var/lib/grafana";
const passwordFile = `${secretsDir}/admin-password`;

/** What Grafana's settings are in every stack. */
export const environment: Readonly<Record<string, string>> = {
  GF_PATHS_PROVISIONING: `${mount}/current/provisioning`,
  // Grafana reads the file itself. With `__FILE` the image's start script would put the password into the environment,
  // and a "${" in it would be taken for a variable.
  GF_SECURITY_ADMIN_PASSWORD: `$__file{${passwordFile}}`,
  GF_SECURITY_DISABLE_GRAVATAR: "true",
  GF_USERS_ALLOW_SIGN_UP: "false",
  GF_AUTH_ANONYMOUS_ENABLED: "false",
  GF_LOG_MODE: "console",
  // Data sources come with the image as plugins. Updating them at the start needs a way out and a writable root; here it
  // would end the running plugin, fail to replace it, and leave every panel without data in a healthy Grafana.
  GF_PLUGINS_PREINSTALL_DISABLED: "true",
  GF_PLUGINS_PREINSTALL_AUTO_UPDATE: "false",
  GF_ANALYTICS_REPORTING_ENABLED: "false",
  GF_ANALYTICS_CHECK_FOR_UPDATES: "false",
  GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: "false",
  GF_NEWS_NEWS_FEED_ENABLED: "false",
};

/** The stack's own Grafana: data source and dashboards come from files and are reloaded by Grafana itself. */
export class Grafana extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: string, stack: StackContext, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:Grafana", name, {}, opts);
    const { settings: s, secrets, platform } = stack;
    this.workload = platform.run(
      "grafana",
      {
        ...factsOf(s, "grafana"),
        image: imageOf(s, "grafana"),
        user: 472,
        command: ["/bin/sh", "-c", startScript],
        env: {
          ...environment,
          GF_SERVER_ROOT_URL: s.urls.grafana,
        },
        config: { mount, files: grafanaFiles(s), check: "true", reload: reloadScript(s) },
        secrets: { files: { "admin-password": secrets.grafanaAdminPassword ?? developmentSecret }, restartOnChange: true },
        data: { mount: data, sizeGiB: 2 },
        scratch: [{ mount: "/tmp", sizeMiB: 64 }],
        health: { http: { port: parts.grafana.port, path: "/api/health" }, startSeconds: 120 },
        // Grafana 13 runs each data source that comes with it as a process of its own; idle it takes over 300 MiB.
        limits: { cpu: 0.5, memoryMiB: 768, pids: 512 },
      },
      { parent: this },
    );
    this.registerOutputs({ url: this.workload.url });
  }
}

/**
 * Grafana takes the administrator's password from its file only when it makes its database; after that the file is put
 * into the database here, so that a changed one holds. Grafana starts even if that fails, as it does where somebody has
 * deleted the user: dashboards matter more.
 */
export const startScript = `if [ -s ${data}/grafana.db ]; then
  grafana cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin < ${passwordFile} ||
    echo "the password of the user admin could not be set from its file; the one before stays" >&2
fi
exec /run.sh
`;

/**
 * Has Grafana read its provisioning again, which takes up new dashboards and deletes those that are gone, and waits
 * until its API serves each dashboard's new revision. The password goes by a pipe, not by an argument or a file of its
 * own. Grafana may still have the password before: then it is restarted when this loader is done, and reads everything.
 */
export function reloadScript(s: Settings): string {
  const base = `http://$HOST:${parts.grafana.port}`;
  const revisions = Object.entries(dashboardRevisions(s)).map(([uid, revision]) => `${uid}=${revision}`);
  return `curl -fs -m 3 -o /dev/null ${base}/api/health || { echo "$HOST does not answer; it will read the new files when it starts"; return 0; }
  ask() { printf 'user = "admin:%s"\\n' "$(sed 's/["\\]/\\\\&/g' ${passwordFile})" | curl -sS -m 60 -K - "$@"; }
  if [ "$(ask -o /dev/null -w '%{http_code}' ${base}/api/org)" = 401 ]; then
    started=$(curl -fs -m 3 ${base}/metrics | sed -n 's/^process_start_time_seconds //p')
    if awk "BEGIN { exit !($(stat -c %Y ${passwordFile}) > \${started:-0} && \${started:-0} > 0) }"; then
      echo "the password is newer than $HOST, which is restarted for it and reads the new files then"
      return 0
    fi
    echo "Grafana refuses the user admin: its password was changed by hand; restart $HOST, which sets it back" >&2
    return 1
  fi
  for kind in datasources dashboards; do
    ask -f -o /dev/null -X POST ${base}/api/admin/provisioning/$kind/reload || { echo "Grafana refuses the new $kind" >&2; return 1; }
  done
  for pair in ${revisions.join(" ")}; do
    tries=0
    until ask -f ${base}/api/dashboards/uid/\${pair%%=*} | grep -q "\${pair#*=}"; do
      tries=$((tries + 1))
      if [ $tries -ge 60 ]; then echo "Grafana does not serve the new \${pair%%=*}" >&2; return 1; fi
      sleep 1
    done
  done`;
}
