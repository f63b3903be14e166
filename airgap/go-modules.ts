/** Programs that their projects publish as Go modules: which module, which build tags, which files the module lacks. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import { thirdParty } from "../components/images.ts";

/** A published Go module that is built here. */
export interface GoModule {
  readonly path: string;
  /** Version as Go names it. */
  readonly version: string;
  /** Version that the programs report. */
  readonly release: string;
  readonly tags: readonly string[];
  /** Files put into the module's source before the build: path → content. */
  readonly added: Readonly<Record<string, string | Uint8Array>>;
  /** What makes the result differ from the official build. */
  readonly differs: string;
}

/** Pages stand in for the web interface, whose compiled files no Go module holds. */
function page(title: string, links: readonly string[]): string {
  const items = links.map((link) => `<li><a href="${link}">${link}</a></li>`).join("");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body><h1>${title}</h1>
<p>This build was made offline, from the Go module, which has no web pages. The API is complete:</p><ul>${items}</ul></body></html>\n`;
}

const prometheusPage = page("Prometheus", ["/api/v1/alerts", "/api/v1/rules", "/api/v1/targets", "/api/v1/status/config", "/api/v1/status/tsdb", "/metrics", "/-/ready"]);
const alertmanagerPage = page("Alertmanager", ["/api/v2/alerts", "/api/v2/alerts/groups", "/api/v2/silences", "/api/v2/status", "/metrics", "/-/ready"]);

const release = (name: "prometheus" | "alertmanager" | "blackbox"): string => thirdParty[name].tag.replace(/^v/, "");

/** Prometheus 3.15.0 is published as v0.315.0: its module keeps the major version 0, which promises nothing about its Go API. */
export function prometheusModuleVersion(version: string): string {
  const [major, minor, patch] = version.split(".");
  return `v0.${major}${(minor ?? "").padStart(2, "0")}.${patch}`;
}

const alertmanagerAssets = "ui/app/dist/index.html";

export const modules = {
  prometheus: {
    path: "github.com/prometheus/prometheus",
    version: prometheusModuleVersion(release("prometheus")),
    release: release("prometheus"),
    // Of the service discoveries only those without a cloud provider's SDK: half the build time and size.
    tags: ["netgo", "builtinassets", "remove_all_sd", "enable_dns_sd"],
    added: {
      "web/ui/static/mantine-ui/index.html": prometheusPage,
      "web/ui/embed.go": "//go:build builtinassets\n\npackage ui\n\nimport \"embed\"\n\n// EmbedFS holds the pages.\n//\n//go:embed static\nvar EmbedFS embed.FS\n",
    },
    differs: "a page of links in place of the web interface; service discovery by file, HTTP and DNS only",
  },
  alertmanager: {
    path: "github.com/prometheus/alertmanager",
    version: `v${release("alertmanager")}`,
    release: release("alertmanager"),
    tags: ["netgo"],
    // Served as they are: a browser gets the one that it asks for.
    added: { [`${alertmanagerAssets}.gz`]: gzipSync(alertmanagerPage), [`${alertmanagerAssets}.br`]: brotliCompressSync(alertmanagerPage) },
    differs: "a page of links in place of the web interface",
  },
  blackbox: {
    path: "github.com/prometheus/blackbox_exporter",
    version: `v${release("blackbox")}`,
    release: release("blackbox"),
    tags: ["netgo"],
    added: {},
    differs: "nothing",
  },
} as const satisfies Record<string, GoModule>;

/** Programs and the package that each is built from. */
export const programs = {
  prometheus: { module: "prometheus", package: "./cmd/prometheus" },
  promtool: { module: "prometheus", package: "./cmd/promtool" },
  alertmanager: { module: "alertmanager", package: "./cmd/alertmanager" },
  amtool: { module: "alertmanager", package: "./cmd/amtool" },
  blackbox_exporter: { module: "blackbox", package: "." },
} as const satisfies Record<string, { readonly module: keyof typeof modules; readonly package: string }>;

export type ModuleName = keyof typeof modules;
export type ToolName = keyof typeof programs;
